"""Kinds, names and references: what may stand in them, and how a refused one is told without echoing a pasted key."""

import re
import unicodedata
from functools import lru_cache
from typing import Self

from bondstone.registry.errors import InvalidName

SCHEME = "bondstone://"
MAX_LENGTH = 255

_KIND = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_SEGMENT = re.compile(r"[a-z0-9_-][a-z0-9._-]*")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_KEY_SHAPES = re.compile(
    r"(?:^|[/=:@# ])(?:ema_[a-z0-9]{6}|ey[ij][a-z0-9_-]{10}|(?:akia|asia|aroa|aida)[a-z0-9]{8}|gh[pousr]_[a-z0-9]{6}"
    r"|github_pat_|glpat-|xox[abeoprs]-|sk[-_](?:live|test|ant|proj)|pnu_|hvs\.)|-----begin",
    re.IGNORECASE,
)


def looks_like_a_key(text: str) -> bool:
    """Whether `text` has the shape of a vendor's key or token, such as ``AKIA…`` or ``ema_…``."""
    return _KEY_SHAPES.search(text) is not None


def shown(text: str) -> str:
    """`text` in quotes, or a stand-in where it may be a secret: key-shaped, long and mixed, or over 64 characters."""
    words = re.split(r"[\s/]+", text)
    mixed = any(len(word) >= 16 and _mixed(word) for word in words)
    if looks_like_a_key(text) or mixed or len(text) > 64 or not text.isprintable():
        return "(not shown: it may be a secret)"
    return f"'{text}'"


def for_the_record(text: str) -> str:
    """`text` as it may stand in the audit log: a pasted key must not."""
    return text if shown(text).startswith("'") else "(not shown)"


def _mixed(word: str) -> bool:
    """Letters of both cases, or letters among digits: how random keys look, and words do not."""
    lower, upper = re.search("[a-z]", word), re.search("[A-Z]", word)
    digits = len(re.findall("[0-9]", word))
    return bool((lower and upper) or ((lower or upper) and digits >= 4 and not re.search("[-_.]", word)))


def slug(text: str) -> str:
    """The nearest legal name: ``My Reports`` becomes ``my-reports``."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    segments = (re.sub(r"[^a-z0-9._-]+", "-", part.lower()).strip("-.") for part in plain.split("/"))
    return "/".join(segment for segment in segments if segment)[:MAX_LENGTH].rstrip("/")


@lru_cache(maxsize=4096)
def check_name(name: str) -> str:
    """`name` if it is legal.

    Raises `InvalidName`: segments of lower-case letters, digits, ``-``, ``_``, ``.``, joined by ``/``, at most 255 characters, and nothing
    that looks like a key.
    """
    if not isinstance(name, str):
        raise InvalidName(f"a name is a string, not {type(name).__name__}")
    if looks_like_a_key(name):
        raise InvalidName(
            "this name looks like a key or token (not shown): give the block a name, and the key as its value"
        )
    if len(name) <= MAX_LENGTH and all(_SEGMENT.fullmatch(part) for part in name.split("/")):
        return name
    raise InvalidName(f"illegal name {shown(name)}: {_NAME_RULE}{_suggestion(name)}")


_NAME_RULE = "use lower-case letters, digits, '-', '_', '.', in segments joined by '/', at most 255 characters"


def _suggestion(name: str) -> str:
    nearest = slug(name)
    return f"; for example '{nearest}'" if nearest and shown(name).startswith("'") else ""


@lru_cache(maxsize=1024)
def check_kind(kind: str) -> str:
    """`kind` if it is kebab-case, such as ``aws-credentials``. Raises `InvalidName`."""
    if isinstance(kind, str) and len(kind) <= 64 and _KIND.fullmatch(kind) and not looks_like_a_key(kind):
        return kind
    raise InvalidName(f"illegal kind {shown(str(kind))}: a kind is kebab-case, such as '{_nearest_kind(str(kind))}'")


def _nearest_kind(kind: str) -> str:
    """``Aws Credentials``, ``AwsCredentials`` and ``aws_credentials`` are all meant to be the same."""
    nearest = kebab(slug(kebab(kind))).strip("-")
    return nearest if shown(kind).startswith("'") and _KIND.fullmatch(nearest) else "aws-credentials"


def kebab(class_name: str) -> str:
    """``AwsCredentials`` becomes ``aws-credentials``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", class_name).lower().replace("_", "-")


class Reference(str):
    """A name for a block, one of its versions or one of its fields: ``kind/name``, ``kind/name@3``, ``kind/name@3#field``.

    A string, so it compares with one and is JSON; `uri` is the form that stands in files and environment values.

    >>> Reference.parse("bondstone://aws-credentials/prod@3#access_key_id").version
    3
    """

    __slots__ = ("field", "kind", "name", "version")
    kind: str
    name: str
    version: int | None
    field: str | None

    def __new__(cls, kind: str, name: str, version: int | None = None, field: str | None = None) -> Self:
        """Raises `InvalidName` for an illegal part."""
        if version is not None and (type(version) is not int or not 1 <= version < 10**18):
            raise InvalidName("a version is a whole number from 1, of at most 18 digits")
        if field is not None and not _FIELD.fullmatch(field):
            raise InvalidName(f"illegal field {shown(field)} in a reference: a field is a name such as 'access_key_id'")
        text = f"{check_kind(kind)}/{check_name(name)}"
        text += f"@{version}" if version is not None else ""
        self = super().__new__(cls, text + (f"#{field}" if field is not None else ""))
        self.kind, self.name, self.version, self.field = kind, name, version, field
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """The reference that `text` writes, with or without ``bondstone://``. Raises `InvalidName`."""
        if isinstance(text, cls):
            return text
        if not isinstance(text, str):
            raise InvalidName(f"a reference is a string such as 'secret/token', not {type(text).__name__}")
        body, has_field, field = text.removeprefix(SCHEME).partition("#")
        path, has_version, version = body.partition("@")
        kind, slash, name = path.partition("/")
        if kind.endswith(":"):
            raise InvalidName(f"not a reference: {shown(text)}; a URI begins with {SCHEME}, and kind/name does without")
        cut_short = not (kind and slash and name) or (has_field and not field)
        if cut_short or (has_version and not _VERSION.fullmatch(version)):
            raise InvalidName(f"not a reference: {shown(text)}; write kind/name, kind/name@3 or kind/name#field")
        return cls(kind, name, int(version) if has_version else None, field if has_field else None)

    @property
    def uri(self) -> str:
        """The form for files and environment values: ``bondstone://kind/name``."""
        return SCHEME + self

    def __getnewargs__(self) -> tuple[str, str, int | None, str | None]:  # type: ignore[override]
        return (self.kind, self.name, self.version, self.field)

    def __getstate__(self) -> None:
        return None
