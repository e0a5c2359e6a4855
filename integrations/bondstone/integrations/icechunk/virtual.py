"""Ingest files where they lie: the repository refers to their bytes, and each file is taken once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bondstone.blocks import Conflict
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk import sources
from bondstone.integrations.icechunk.commit import Rebased, checked, clear
from bondstone.integrations.icechunk.committing import KEEP_KEYS, Work, commit
from bondstone.integrations.icechunk.containers import Container, Source, url_of
from bondstone.integrations.icechunk.repo import repo
from bondstone.integrations.receipts import IngestReceipt

if TYPE_CHECKING:
    import icechunk


@dataclass(frozen=True)
class VirtualIngest:
    """Commit references to the chunks of files that stay where they are, such as NetCDF4 and HDF5."""

    repo: str  # the name of an IcechunkRepo block, whose virtual_chunk_credentials let the files in, or arraylake-repo/name
    ttl: float | None = None
    keep_keys: int = KEEP_KEYS  # at least as many keys are remembered, the newest

    def __call__(
        self,
        urls: str | Path | Iterable[str | Path],
        /,
        *,
        message: str,
        group: str | None = None,
        dim: str | None = None,
        parser: Callable[..., Any] | None = None,
        replace: bool = False,
        key: str | None = None,
    ) -> IngestReceipt:
        """Add files, `s3://…` or local, to a group, one after the other along `dim`.

        A file that was ingested into the group before, with the etag that it has now, is skipped. `replace` makes the group anew from
        these files alone. `parser` is one of virtualizarr's, by default that of HDF5. Raises what `IcechunkCommit` raises; `InvalidBlock`
        if neither an entry of the block nor Arraylake lets the repository refer to a file; `Conflict` if a file has changed since it was
        ingested, if the group holds other data, or if the files' coordinates along `dim` overlap or turn back.
        """
        path, target = checked(group), repo(self.repo, ttl=self.ttl)
        given = [urls] if isinstance(urls, str | Path) else urls
        found = {url: target.container(url) for url in map(url_of, given)}
        files = [(container, container.look(url)) for url, container in found.items()]
        with target.translated():
            repository = target.open()
            for container in set(found.values()):
                container.declare(repository)
        parse = parser or need("virtualizarr.parsers", "virtual").HDFParser()
        change = _Ingested(files, path, dim, parse, replace)
        receipt = commit(Work(target, change, message, path, key, self.keep_keys))
        ingested = () if receipt.already else tuple(change.ingested)
        skipped = tuple(url for url in found if url not in ingested)
        facts: dict[str, Any] = vars(receipt) | {"already": not ingested}
        return IngestReceipt(**facts, ingested=ingested, skipped=skipped)


@dataclass
class _Ingested(Rebased):
    files: list[tuple[Container, Source]]
    group: str | None
    dim: str | None
    parser: Callable[..., Any]
    replace: bool
    ingested: list[str] = field(default_factory=list)

    @property
    def facts(self) -> dict[str, Any]:
        return {"group": self.group, "sources": {source.url: source.etag for _, source in self.files}}

    def write(self, session: "icechunk.Session") -> dict[str, Any]:
        self.ingested = []
        known = sources.read(sources.group(session, self.group))
        if self.replace and known != self.facts["sources"]:
            clear(session, self.group)
            known = {}
        new = [(container, source) for container, source in self.files if not _taken(source, known)]
        for container, source in new:
            self._add(session, container, source, bool(known))
            known[source.url] = source.etag
            self.ingested.append(source.url)
        if new:
            sources.write(sources.group(session, self.group), known)
            _refuse_disorder(session, self.group, self.dim)
        return self.facts

    def compare(self, session: "icechunk.Session | None", facts: dict[str, Any]) -> None:
        if facts != facts | self.facts:
            raise Conflict("this key has ingested other files: use another key for these")

    def _add(self, session: "icechunk.Session", container: Container, source: Source, more: bool) -> None:
        node = sources.group(session, self.group)
        if not more and node is not None and any(node.array_keys()):
            raise Conflict(
                f"the group {self.group!r} holds data that were not ingested: choose another, or replace=True"
            )
        if more and self.dim is None:
            raise Conflict(f"the group {self.group!r} holds other files: give the dim to append along, or replace=True")
        container.ask(lambda store: self._refer(session, store, container.root, source, more))

    def _refer(self, session: "icechunk.Session", store: Any, root: str, source: Source, more: bool) -> None:
        registry = need("obspec_utils.registry", "virtual").ObjectStoreRegistry({root: store})
        virtual = need("virtualizarr", "virtual").open_virtual_dataset(source.url, registry, self.parser)
        how = {"append_dim": self.dim} if more else {"mode": "a"}
        # Icechunk compares whole seconds: a file of this very second must not look changed.
        until = source.modified.replace(microsecond=0) + timedelta(seconds=bool(source.modified.microsecond))
        virtual.vz.to_icechunk(session.store, group=self.group, last_updated_at=until, **how)


def _taken(source: Source, known: dict[str, str]) -> bool:
    if source.url in known and known[source.url] != source.etag:
        raise Conflict(f"{source.url} has changed since it was ingested: replace=True makes the group anew")
    return source.url in known


def _refuse_disorder(session: "icechunk.Session", group: str | None, dim: str | None) -> None:
    """Raise `Conflict` unless the coordinate goes one way, without repeating itself."""
    stored = need("xarray", "virtual").open_zarr(session.store, group=group, consolidated=False, chunks=None)
    index = stored.indexes.get(dim)
    if index is not None and not (index.is_unique and (index.is_monotonic_increasing or index.is_monotonic_decreasing)):
        raise Conflict(f"the files overlap along {dim!r}, or are not in its order: nothing was committed")
