"""Checks that several kinds share: the usual mistakes of pasting, told without the value."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from bondstone.blocks import pem
from bondstone.blocks.secret_values import SecretStr

STORED = "stored"  # the context of a load: what was saved has been checked, and parsing a key again would cost a load tenfold


def _one_line(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if not value:
        raise PydanticCustomError("empty", "is empty")
    if value != value.strip() or any(c.isspace() or not c.isprintable() for c in value):
        raise PydanticCustomError("white_space", "holds white space or a line break: paste it again without")
    return secret


def _password(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if not value:
        raise PydanticCustomError("empty", "is empty")
    if value != value.strip() or not value.isprintable():
        raise PydanticCustomError(
            "white_space", "begins or ends with white space, or holds a line break: paste it again"
        )
    return secret


def _private_key(secret: SecretStr, info: ValidationInfo) -> SecretStr:
    fault = None if info.context == STORED else pem.private_key_fault(secret.get_secret_value())
    if fault:
        raise PydanticCustomError("pem", "{fault}", {"fault": fault})
    return secret


def opened[M](model: M, key: SecretStr | None, passphrase: SecretStr | None, info: ValidationInfo) -> M:
    """`model`, if its private key opens with its passphrase; the last step of a model's validator."""
    if key is None or info.context == STORED:
        return model
    fault = pem.opening_fault(key.get_secret_value(), passphrase.get_secret_value() if passphrase else None)
    if fault:
        raise PydanticCustomError("passphrase", "{fault}", {"fault": fault})
    return model


def _certificate(text: str, info: ValidationInfo) -> str:
    fault = None if info.context == STORED else pem.certificate_fault(text)
    if fault:
        raise PydanticCustomError("pem", "{fault}", {"fault": fault})
    return text


def _no_space(text: str) -> str:
    if not text or text != text.strip() or any(c.isspace() for c in text):
        raise PydanticCustomError("white_space", "is empty or holds white space")
    return text


def _url(text: str) -> str:
    fault = url_fault(_no_space(text))
    if fault:
        raise PydanticCustomError("url", "{fault}", {"fault": fault})
    return text


def _secret_url(secret: SecretStr) -> SecretStr:
    _one_line(secret)
    fault = url_fault(secret.get_secret_value())
    if fault:
        raise PydanticCustomError("url", "{fault}", {"fault": fault})
    return secret


def _host(text: str) -> str:
    """A name or an address, or IPv6 in brackets or without."""
    if re.fullmatch(r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?", _no_space(text)):
        return text
    raise PydanticCustomError("host", "is not a host name: leave out scheme, user, port and path")


def _prefix(text: str) -> str:
    prefix = text.strip("/")
    if "//" in prefix:
        raise PydanticCustomError("prefix", "has an empty segment ('//')")
    return prefix


def _name_alone(value: object) -> object:
    if isinstance(value, str) and "/" in value:
        raise PydanticCustomError("name", "is the name alone: the rest of its URL goes into prefix")
    return value


def url_fault(text: str) -> str | None:
    """What is wrong with an HTTP URL, without showing it."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or half of an IPv6 address
        return "is not a URL such as https://host:port"
    if not usable:
        return "is not a URL such as https://host:port"
    return USERINFO if parts.username is not None or parts.password is not None else None


USERINFO = "holds a user name or password: put those into a credentials block"


def no_userinfo(url: str) -> str:
    """Refuse a URL with a user and password in it: it would be shown, and stored, as plain configuration."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise PydanticCustomError("url", "is not a URL") from None
    if parts.password is not None or (parts.scheme in ("http", "https") and parts.username is not None):
        raise PydanticCustomError("userinfo", USERINFO)
    return url


Token = Annotated[SecretStr, AfterValidator(_one_line)]
Password = Annotated[SecretStr, AfterValidator(_password)]
PrivateKey = Annotated[SecretStr, AfterValidator(_private_key)]
Certificate = Annotated[str, AfterValidator(_certificate)]
SecretUrl = Annotated[SecretStr, AfterValidator(_secret_url)]
Word = Annotated[str, AfterValidator(_no_space)]
Host = Annotated[str, AfterValidator(_host)]
Url = Annotated[str, AfterValidator(_url)]
Prefix = Annotated[str, AfterValidator(_prefix)]
NameAlone = BeforeValidator(_name_alone)  # of a bucket or container; comes before its pattern, whose error says less
