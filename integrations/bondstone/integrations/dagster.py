"""Dagster: blocks as resources, datasets kept in Icechunk, and messages when something fails."""

from typing import TYPE_CHECKING, Any

from bondstone.blocks import Block, Handle, IcechunkRepo, InvalidName, InvalidSettings, Reference, find, live
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk import IcechunkCommit, connect
from bondstone.integrations.notify import Notify

need("dagster", "dagster")  # told as ours before Python tells it

from dagster import (  # noqa: E402
    ConfigurableIOManager,
    ConfigurableResource,
    HookContext,
    HookDefinition,
    InputContext,
    OutputContext,
    failure_hook,
)
from pydantic import Field  # noqa: E402

if TYPE_CHECKING:
    from xarray import Dataset


class BlockResource(ConfigurableResource[Any]):
    """A block as a resource. Its configuration, and all that Dagster keeps and shows of it, is a reference."""

    reference: str = Field(description="The block's kind and name, such as s3-bucket/reports.")
    ttl: float | None = Field(default=None, description="Seconds that it may be stale.")

    def get(self) -> Block:
        """The block as it is now: ask again rather than keep it. Raises what `Block.load` raises."""
        return self.handle().get()  # type: ignore[no-any-return]

    def handle(self) -> Handle[Any]:
        """The live view of the block, for what asks often. Raises `InvalidName` for a reference to one version or field."""
        parsed = Reference.parse(self.reference)
        if parsed.version is not None or parsed.field is not None:
            raise InvalidName(f"a resource follows its block: give '{parsed.kind}/{parsed.name}' alone")
        return live(find(parsed.kind), parsed.name, ttl=self.ttl)


class IcechunkIOManager(ConfigurableIOManager):
    """Keeps xarray datasets as versions of an Icechunk repository: one group per asset, and in it one per partition.

    A dataset is committed once for each run, asset and partition, whatever is tried again. Loading gives the newest version.
    """

    repo: str = Field(description="The name of an IcechunkRepo block.")
    ttl: float | None = Field(default=None, description="Seconds that its credentials may be stale.")

    def handle_output(self, context: OutputContext, obj: "Dataset") -> None:
        """Commit `obj`; the snapshot is in the metadata of the output. Raises `TypeError` if it is no Dataset, and as `IcechunkCommit`."""
        (group,) = _groups(context)
        if not isinstance(obj, need("xarray", "icechunk").Dataset):
            raise TypeError(f"{group} is a {type(obj).__name__}: IcechunkIOManager keeps xarray Datasets")
        commit = IcechunkCommit(self.repo, ttl=self.ttl)
        receipt = commit(obj, group=group, message=f"{group} by Dagster", key=f"{context.run_id}/{group}")
        context.add_output_metadata(
            {
                "snapshot": receipt.snapshot,
                "uri": receipt.uri,
                "group": group,
                "block": f"{receipt.block}@{receipt.version}",
            }
        )

    def load_input(self, context: InputContext) -> Any:
        """The dataset, read as it is used; of several partitions a mapping by their keys. Raises as `icechunk.connect`."""
        groups = _groups(context)
        if not context.has_asset_partitions or len(groups) == 1:
            return self._opened(groups[0])
        return {key: self._opened(group) for key, group in zip(context.asset_partition_keys, groups, strict=True)}

    def _opened(self, group: str) -> "Dataset":
        repository = connect(self.repo, ttl=self.ttl)
        branch = live(IcechunkRepo, self.repo, ttl=self.ttl).get().branch
        store = repository.readonly_session(branch).store
        return need("xarray", "icechunk").open_zarr(store, group=group, consolidated=False)  # type: ignore[no-any-return]


def _groups(context: OutputContext | InputContext) -> list[str]:
    """Where in the repository it lies. The path of a plain op's output begins with the run, as in Dagster's own IO managers."""
    if not context.has_asset_key:
        return ["/".join(context.get_identifier())]
    asset = "/".join(context.asset_key.path)
    if not context.has_asset_partitions:
        return [asset]
    groups = [f"{asset}/{key}" for key in context.asset_partition_keys]
    if isinstance(context, OutputContext) and len(groups) != 1:
        raise InvalidSettings(
            f"{asset} gives {len(groups)} partitions in one run: use a backfill policy of one run each"
        )
    return groups


def notify_on_failure(notify: Notify) -> HookDefinition:
    """A hook for jobs and ops: posts which step of which run failed, and why."""
    name = "".join(letter if letter.isalnum() else "_" for letter in f"notify_{notify.webhook}")

    @failure_hook(name=name)
    def post(context: HookContext) -> None:
        notify(context)

    return post
