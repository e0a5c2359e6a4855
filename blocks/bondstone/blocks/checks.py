"""Checks that several kinds share: the usual mistakes of pasting, told without the value."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from bondstone.blocks.secret_values import SecretStr


def _one_line(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if not value:
        raise PydanticCustomError("empty", "is empty")
    if value != value.strip() or any(c.isspace() or not c.isprintable() for c in value):
        raise PydanticCustomError("white_space", "holds white space or a line break: paste it again without")
    return secret


def _pem(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value().strip()
    if not (value.startswith("-----BEGIN ") and value.endswith("-----") and "PRIVATE KEY-----" in value):
        raise PydanticCustomError(
            "pem", "is not a private key in PEM form (it begins with -----BEGIN … PRIVATE KEY-----)"
        )
    return secret


def _no_space(text: str) -> str:
    if not text or text != text.strip() or any(c.isspace() for c in text):
        raise PydanticCustomError("white_space", "is empty or holds white space")
    return text


def _url(text: str) -> str:
    parts = urlsplit(_no_space(text))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PydanticCustomError("url", "is not a URL such as https://host:port")
    return no_userinfo(text)


def no_userinfo(url: str) -> str:
    """Refuse a URL with a user and password in it: it would be shown, and stored, as plain configuration."""
    parts = urlsplit(url)
    if parts.password is not None or (parts.scheme in ("http", "https") and parts.username is not None):
        raise PydanticCustomError("userinfo", "holds a user name or password: put those into a credentials block")
    return url


Token = Annotated[SecretStr, AfterValidator(_one_line)]
PrivateKey = Annotated[SecretStr, AfterValidator(_pem)]
Word = Annotated[str, AfterValidator(_no_space)]
Url = Annotated[str, AfterValidator(_url)]
