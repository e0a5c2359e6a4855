"""How one git command comes by its credential: never by argv, environment, URL, `.git/config` or a file that stays.

A token goes through a descriptor that only this command and its children inherit, read by a credential helper that git asks for
this host and no other (so a redirect elsewhere gets nothing). The user's own helpers are switched off for the command, because they
would *store* the token. A private key is in a file of mode 0600, in memory where the system has a place for that, until the command
has ended; what a kill leaves of it, the next checkout removes.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bondstone.blocks import GitCredentials, InvalidBlock, SecretStr
from bondstone.integrations.extras import need
from bondstone.integrations.github_app import installation_token
from bondstone.integrations.scratch import scratch

# Of the caller's variables, these lead git and its children to servers by way of proxies and certificates; the others of git's would lead
# it to another repository, or make it write a trace.
_KEPT = ("GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")


@dataclass(frozen=True)
class Access:
    """What a git command is started with."""

    environment: dict[str, str]
    descriptors: tuple[int, ...] = ()


@contextmanager
def access(credentials: GitCredentials | None, url: str, *, submodules: bool = False) -> Iterator[Access]:
    """For one command, on the repository of `url` or on its submodules, wherever on the same host those are.

    Raises `InvalidBlock` where credentials and URL do not go together, and what `installation_token` raises.
    """
    environment = _environment() | (_of_submodules(url) if submodules else {})
    if credentials is None:
        yield Access(environment | _config(_ALWAYS))
    elif credentials.ssh_private_key:
        with _key(credentials, url) as command:
            yield Access(environment | _config(_ALWAYS) | {"GIT_SSH_COMMAND": command})
    else:
        with _token(credentials, url) as descriptor:
            helper = _helper(_host(url) if submodules else url, descriptor)
            yield Access(environment | _config((*_ALWAYS, helper)), (descriptor,))


_ALWAYS = (("credential.helper", ""), ("core.hooksPath", os.devnull))  # an empty helper forgets those before it


def _of_submodules(url: str) -> dict[str, str]:
    """A repository of somebody else says where its submodules are: it must not have folders of this machine copied."""
    local = url.startswith(("/", ".", "file:"))
    return {"GIT_ALLOW_PROTOCOL": "https:http:ssh:file" if local else "https:http:ssh"}


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _helper(url: str, descriptor: int) -> tuple[str, str]:
    """For this URL and no other host, wherever it redirects."""
    return f"credential.{url}.helper", f"!f() {{ test $1 != get || cat /dev/fd/{descriptor}; }}; f"


def _config(settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Configuration for one command, by its environment; none of it is secret."""
    words = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        words |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return words


def _environment() -> dict[str, str]:
    """Ours, without what is not git's business: the registry's key, for one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "BONDSTONE_"))}
    kept |= {name: os.environ[name] for name in _KEPT if name in os.environ}
    ours = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "SSH_ASKPASS": "true", "LC_ALL": "C"}
    return kept | ours | {"GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file", "GIT_SSH_COMMAND": _ssh()}


def _ssh(*options: str) -> str:
    """A host whose key is not known is refused: who it is cannot be asked in a flow."""
    return " ".join(("ssh", "-oBatchMode=yes", "-oStrictHostKeyChecking=yes", "-oConnectTimeout=15", *options))


@contextmanager
def _token(credentials: GitCredentials, url: str) -> Iterator[int]:
    """The descriptor from which a helper can read the answer, as often as it is asked."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidBlock(
            f"{_name(credentials)} has a token, which goes with an https:// URL; {_shown(url)} needs a key"
        )
    secret = credentials.token or installation_token(credentials, url)
    answer = f"username={credentials.username or 'x-access-token'}\npassword={secret.get_secret_value()}\nquit=1\n"
    descriptor = _written(answer)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _written(text: str) -> int:
    """The descriptor of a file that has no name."""
    descriptor = os.memfd_create("git") if hasattr(os, "memfd_create") else nameless()
    os.write(descriptor, text.encode())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def nameless() -> int:
    """The descriptor of an empty file that is not to be found, where the system has none that never had a name."""
    with scratch("git") as folder:
        return _private_file(folder / "answer")


def _private_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


@contextmanager
def _key(credentials: GitCredentials, url: str) -> Iterator[str]:
    """The ssh command that uses the key."""
    if urlsplit(url).scheme in ("http", "https"):
        raise InvalidBlock(f"{_name(credentials)} has an SSH key, which does not go with {_shown(url)}: give a token")
    with scratch("git", in_memory=True) as folder:
        path = folder / "key"
        with os.fdopen(_private_file(path), "wb") as file:
            file.write(_open_key(credentials).get_secret_value().encode())
        yield _ssh("-oIdentitiesOnly=yes", "-oIdentityAgent=none", f"-i '{path}'")


def _open_key(credentials: GitCredentials) -> SecretStr:
    """The key as ssh reads it without asking: it has nobody to ask for a passphrase."""
    pem = credentials.ssh_private_key or SecretStr("")
    if credentials.ssh_passphrase is None:
        return SecretStr(pem.get_secret_value().strip() + "\n")
    from cryptography.hazmat.primitives import serialization as of

    text, phrase = pem.get_secret_value().strip().encode() + b"\n", credentials.ssh_passphrase.get_secret_value()
    load = of.load_pem_private_key
    if text.startswith(b"-----BEGIN OPENSSH"):
        need("bcrypt", "git")
        load = of.load_ssh_private_key
    try:
        key = load(text, phrase.encode())
        return SecretStr(key.private_bytes(of.Encoding.PEM, of.PrivateFormat.OpenSSH, of.NoEncryption()).decode())
    except (ValueError, TypeError):
        pass
    del text, phrase  # a frame with values in it must not be in the traceback
    raise InvalidBlock(f"ssh_passphrase of {_name(credentials)} does not open its ssh_private_key: correct it")


def _name(credentials: GitCredentials) -> str:
    return str(credentials.reference or "its git-credentials")


def _shown(url: str) -> str:
    """The URL without a user in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.hostname else url.rpartition("@")[2]
