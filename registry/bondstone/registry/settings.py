"""What can be set from outside: five BONDSTONE_ variables, nothing else."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

from bondstone.registry.address import SERVERS, Address, server_address
from bondstone.registry.errors import InvalidSettings, KeyMissing, MissingExtra, NotFound, RegistryUnavailable
from bondstone.registry.keys import KeyProvider, Passphrase, environment_key, make_key_file
from bondstone.registry.providers import expects, is_address, provider_at, provider_in
from bondstone.registry.registry import Registry
from bondstone.registry.settings_row import DEFAULT_MAX_TTL
from bondstone.registry.sql import SqlStore
from bondstone.registry.sqlite import SqliteDatabase
from bondstone.registry.store import Store


class NoRegistry(NotFound):
    """There is no registry yet, so nothing in it either."""


class Settings(NamedTuple):
    """Where the registry is and what opens it. An empty string means "not set"."""

    registry: str = ""
    key_file: str = ""
    key: str = ""
    passphrase: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """`BONDSTONE_REGISTRY`, `BONDSTONE_KEY_FILE`, `BONDSTONE_KEY` and `BONDSTONE_PASSPHRASE`."""
        get = environment.get
        return cls(
            get("BONDSTONE_REGISTRY", ""),
            get("BONDSTONE_KEY_FILE", ""),
            get("BONDSTONE_KEY", ""),
            get("BONDSTONE_PASSPHRASE", ""),
        )

    def __repr__(self) -> str:
        return f"Settings(registry={self._shown()!r}, key_file={self.key_file!r})"

    def _shown(self) -> str:
        with suppress(InvalidSettings):
            return self.url
        return "(not shown)"

    @property
    def url(self) -> str:
        """The registry's URL, with an absolute path and without a password: fit to travel."""
        return self._server().url if self._is_server else f"sqlite:///{self.path}"

    @property
    def place(self) -> str:
        """Where the registry is, for people: a path, or the URL of a server without its password."""
        return self.url if self._is_server else str(self.path)

    @property
    def file(self) -> Path | None:
        """The registry's file; None if it is on a server."""
        return None if self._is_server else self.path

    @property
    def _is_server(self) -> bool:
        return self.registry.partition(":")[0] in SERVERS

    def _server(self) -> Address:
        address = server_address(self.registry)
        if address is None:
            raise InvalidSettings(
                "BONDSTONE_REGISTRY must be postgresql+psycopg://user:password@host:port/database; a user, password or database with one of"
                " :/?#[]@% in it must be percent-encoded"
            )
        return address

    @property
    def path(self) -> Path:
        """The registry's file. Raises `InvalidSettings` for another kind of URL, without echoing it: it may hold a password."""
        if not self.registry:
            return _folder("data") / "registry.db"
        scheme, found, path = self.registry.partition(":///")
        if scheme != "sqlite" or not found or not path:
            raise InvalidSettings(
                "BONDSTONE_REGISTRY must be sqlite:///path (for an absolute path sqlite:////path) or"
                " postgresql+psycopg://user:password@host:port/database"
            )
        return Path(path).expanduser().absolute()

    def store(self) -> Store:
        """What keeps the registry; nothing is made yet. Raises `InvalidSettings`, or `MissingExtra` if psycopg is not installed."""
        if not self._is_server:
            database = SqliteDatabase(self.path)
            database.warn_of_network()
            return SqlStore(database)
        address = self._server()
        try:
            from bondstone.registry.postgresql import PostgresqlDatabase
        except ImportError as error:
            raise MissingExtra(
                f"a PostgreSQL registry needs {error.name or 'psycopg'}: pip install 'bondstone[postgres]'"
            ) from None
        return SqlStore(PostgresqlDatabase(address.url, address.parameters))

    @property
    def key_path(self) -> Path:
        return Path(self.key_file).expanduser().absolute() if self.key_file else _folder("config") / "key"

    def provider(self, *, create: bool = False) -> KeyProvider:
        """What opens the registry. With `create`, a key file that is not there is made.

        Raises `InvalidSettings` if more than one way is set: for keys the choice must be explicit.
        """
        if sum(map(bool, (self.key_file, self.key, self.passphrase))) > 1:
            raise InvalidSettings("set only one of BONDSTONE_KEY_FILE, BONDSTONE_KEY and BONDSTONE_PASSPHRASE")
        if self.key:
            return provider_at(self.key) if is_address(self.key) else environment_key(self.key)
        if self.passphrase:
            return Passphrase(self.passphrase)
        return make_key_file(self.key_path) if create and not self.key_path.exists() else provider_in(self.key_path)

    def open(self, *, restored: bool = False) -> Registry:
        """The registry. Raises `NoRegistry` if there is none; for `restored` see `Registry.open`."""
        store = self.store()
        if not store.exists():
            raise NoRegistry(f"there is no registry at {self.place} yet: save a block first, or run 'bondstone init'")
        try:
            provider = self.provider()
        except KeyMissing as error:
            store.check_schema()
            rows = store.keyrings()
            store.close()
            raise KeyMissing(f"{error} (this registry {expects(rows)})") from None
        return Registry.open(store, provider, restored=restored, state=_folder("state"))

    def create(self, *, max_ttl: int = DEFAULT_MAX_TTL, filling: str = "") -> Registry:
        """The registry, made with its key if there is none yet; for `filling` see `Registry.create`."""
        store = self.store()
        exists = store.exists()
        if exists and not filling:
            return self.open()
        if not exists and not (self.key or self.passphrase):
            self.apart(self.key_path)
        provider = self.provider(create=not exists)
        return Registry.create(store, provider, max_ttl=max_ttl, filling=filling, state=_folder("state"))

    def apart(self, key_path: Path) -> None:
        """Refuse a key beside the data: it is copied, backed up and stolen with it."""
        if not self._is_server and key_path.resolve().parent == self.path.resolve().parent:
            raise InvalidSettings(
                "the key file must not lie in the folder of the registry: set BONDSTONE_KEY_FILE to another folder"
            )


def _folder(use: str) -> Path:
    """The user's data, config or state folder. XDG's on macOS too, where the platform's own are one and the same."""
    if os.name == "posix":  # two lines here; platformdirs takes 5 ms to import
        base = os.environ.get(f"XDG_{use.upper()}_HOME", "").strip()
        return Path(base or _XDG[use]).expanduser() / "bondstone"
    import platformdirs

    dirs = platformdirs.PlatformDirs("bondstone", appauthor=False, roaming=use == "config")
    return {"data": dirs.user_data_path, "config": dirs.user_config_path, "state": dirs.user_state_path}[use]


_XDG = {"data": "~/.local/share", "config": "~/.config", "state": "~/.local/state"}


_opened: dict[tuple[Any, ...], Registry] = {}
_NAMES = (
    *("BONDSTONE_REGISTRY", "BONDSTONE_KEY_FILE", "BONDSTONE_KEY", "BONDSTONE_PASSPHRASE"),
    *("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"),
)
# `os.environ.get` encodes and, for what is not set, raises inside: 5 µs for these eight, a fifth of a load. The mapping below it costs 0.4.
_raw_environment: Mapping[Any, Any] = getattr(os.environ, "_data", os.environ)
_raw_names: list[Any] = [os.environ.encodekey(name) if hasattr(os.environ, "_data") else name for name in _NAMES]


def current_registry(*, create: bool = False) -> Registry:
    """The registry that the environment names, opened once per process and setting."""
    # Never in a local: it holds the key or the passphrase, and crash reporters show locals.
    registry = _opened.get(tuple(map(_raw_environment.get, _raw_names)))
    if registry is None:
        settings = Settings.from_environment()
        opened = settings.create() if create else settings.open()
        registry = _opened.setdefault(tuple(map(_raw_environment.get, _raw_names)), opened)
        if registry is not opened:  # another thread was faster
            opened.close()
    return registry


def registry_at(url: str, registry_id: str) -> Registry:
    """The registry that a pickled name belongs to, opened with the key of *this* process.

    It is this process's own, if that has the id: the same registry may have another path here. Raises
    `RegistryUnavailable` if another registry lies there: its blocks of the same names are not the ones that were meant.
    """
    with suppress(NoRegistry):
        own = current_registry()
        if own.id == registry_id or own.url == url:
            return _meant(own, registry_id)
    registry = _opened.get((url,))
    if registry is None:
        registry = _opened[(url,)] = Settings.from_environment()._replace(registry=url).open()
    return _meant(registry, registry_id)


def _meant(registry: Registry, registry_id: str) -> Registry:
    if registry.id != registry_id:
        raise RegistryUnavailable(
            f"another registry lies at {registry.url} than the one this name was made for: save or make it anew here"
        )
    return registry
