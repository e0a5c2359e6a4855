"""Blocks, datasets and messages under a real Dagster, with an instance in a folder of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster
import numpy as np
import pytest
import xarray as xr

from bondstone.blocks import InvalidName, NotFound, S3Bucket
from bondstone.cli.demo.hunt import hunt, hunt_bytes
from bondstone.integrations.dagster import BlockResource, IcechunkIOManager, notify_on_failure
from bondstone.integrations.icechunk import connect
from bondstone.integrations.notify import Notify
from bondstone.integrations.s3 import S3Download, S3Upload
from tests.integrations.conftest import Account, save
from tests.integrations.stand_in import Asked, Said, stand_in

VALUE = "senti" + "nel of a block"
SEA = xr.Dataset({"sst": (("time", "x"), np.full((2, 3), 300.0))}, attrs={"units": "K"})
DAYS = dagster.StaticPartitionsDefinition(["2026-11-20", "2026-11-21"])


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Dagster keeps what it keeps."""
    return tmp_path_factory.mktemp("dagster")


@pytest.fixture(scope="module")
def instance(storage: Path) -> Iterator[dagster.DagsterInstance]:
    """One for all, since its databases take 2 s to make."""
    (storage / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with dagster.DagsterInstance.from_config(str(storage)) as made:
        yield made


@pytest.fixture
def local(tmp_path: Path) -> None:
    """`icechunk-repo/local`."""
    save("icechunk-repo/local", path=str(tmp_path / "ocean.icechunk"))


def materialized(instance: dagster.DagsterInstance, *assets: Any, **options: Any) -> dagster.ExecuteInProcessResult:
    resources = {"io_manager": IcechunkIOManager(repo="local")}
    return dagster.materialize(list(assets), instance=instance, resources=resources, **options)


@dagster.asset(key_prefix="ocean")
def sst() -> xr.Dataset:
    return SEA


@dagster.asset(ins={"sst": dagster.AssetIn(key=["ocean", "sst"])})
def mean(sst: xr.Dataset) -> xr.Dataset:
    return sst.mean("time")


class TestIcechunk:
    """Outputs are commits, inputs are what was committed."""

    def test_assets(self, instance: dagster.DagsterInstance, local: None) -> None:
        """Each is a group; the next one reads it; the snapshot is in the catalogue."""
        result = materialized(instance, sst, mean)

        store = connect("local").readonly_session("main").store
        xr.testing.assert_identical(xr.open_zarr(store, group="ocean/sst", consolidated=False).load(), SEA)
        assert xr.open_zarr(store, group="mean", consolidated=False).sst.dims == ("x",)
        told = result.asset_materializations_for_node("ocean__sst")[0].metadata
        commit = next(one for one in connect("local").ancestry(branch="main") if one.message == "ocean/sst by Dagster")
        assert told["snapshot"].value == commit.id
        assert told["block"].value == "icechunk-repo/local@1"
        assert commit.metadata["bondstone.key"] == f"{result.run_id}/ocean/sst"

    def test_a_step_that_is_tried_again(self, instance: dagster.DagsterInstance, local: None) -> None:
        """After its commit: the same run commits once, the next run anew."""
        left = [True]

        class Lost(IcechunkIOManager):
            """The answer of the first commit does not arrive."""

            def handle_output(self, context: dagster.OutputContext, obj: xr.Dataset) -> None:
                super().handle_output(context, obj)
                if left.pop() if left else False:
                    raise dagster.RetryRequested(max_retries=1)

        for _ in range(2):
            result = dagster.materialize([sst], instance=instance, resources={"io_manager": Lost(repo="local")})
            assert result.success

        messages = [commit.message for commit in connect("local").ancestry(branch="main")]
        assert messages.count("ocean/sst by Dagster") == 2

    def test_partitions(self, instance: dagster.DagsterInstance, local: None) -> None:
        """Are groups of their own: read one by one, or all by their keys."""

        @dagster.asset(partitions_def=DAYS)
        def daily(context: dagster.AssetExecutionContext) -> xr.Dataset:
            return SEA.assign_attrs(day=context.partition_key)

        @dagster.asset(partitions_def=DAYS)
        def checked(daily: xr.Dataset) -> xr.Dataset:
            return daily.assign_attrs(checked=daily.attrs["day"])

        @dagster.asset
        def days(daily: dict[str, xr.Dataset]) -> xr.Dataset:
            return xr.Dataset(attrs={key: dataset.attrs["day"] for key, dataset in daily.items()})

        for day in DAYS.get_partition_keys():
            materialized(instance, daily, checked, partition_key=day)
        materialized(instance, daily, days, selection="days")

        store = connect("local").readonly_session("main").store
        for day in DAYS.get_partition_keys():
            one = xr.open_zarr(store, group=f"checked/{day}", consolidated=False)
            assert one.attrs["checked"] == day
        assert xr.open_zarr(store, group="days", consolidated=False).attrs == {"2026-11-20": "2026-11-20"} | {
            "2026-11-21": "2026-11-21"
        }

    @pytest.mark.filterwarnings("ignore:Parameter `backfill_policy`")  # of Dagster's, in beta
    def test_several_partitions_in_one_run(self, instance: dagster.DagsterInstance, local: None) -> None:
        """Would be one dataset for two groups: refused, and nothing is written."""

        @dagster.asset(partitions_def=DAYS, backfill_policy=dagster.BackfillPolicy.single_run())
        def daily() -> xr.Dataset:
            return SEA

        tags = {"dagster/asset_partition_range_start": "2026-11-20", "dagster/asset_partition_range_end": "2026-11-21"}
        result = materialized(instance, daily, tags=tags, raise_on_error=False)

        assert not result.success
        assert "2 partitions in one run" in str(result.failure_data_for_node("daily"))
        assert len(list(connect("local").ancestry(branch="main"))) == 1

    def test_a_job_of_ops(self, instance: dagster.DagsterInstance, local: None) -> None:
        """What goes from op to op is below the run."""

        @dagster.op
        def made() -> xr.Dataset:
            return SEA

        @dagster.op
        def used(dataset: xr.Dataset) -> None:
            assert dataset.attrs == SEA.attrs

        @dagster.job(resource_defs={"io_manager": IcechunkIOManager(repo="local")})
        def ops() -> None:
            used(made())

        result = ops.execute_in_process(instance=instance)

        store = connect("local").readonly_session("main").store
        there = xr.open_zarr(store, group=f"{result.run_id}/made/result", consolidated=False)
        xr.testing.assert_identical(there.load(), SEA)

    def test_what_is_no_dataset(self, instance: dagster.DagsterInstance, local: None) -> None:
        """Is refused, and nothing is written."""

        @dagster.asset
        def text() -> str:
            return "300 K"

        result = materialized(instance, text, raise_on_error=False)

        assert "text is a str: IcechunkIOManager keeps xarray Datasets" in str(result.failure_data_for_node("text"))


class TestBlocks:
    """A resource is a reference."""

    def test_a_rotation_in_the_middle(self, instance: dagster.DagsterInstance, reports: Account, storage: Path) -> None:
        """What runs on follows it; neither configuration nor storage holds a value."""
        save("secret/token", value=VALUE)

        @dagster.op
        def uploaded(bucket: BlockResource, token: BlockResource) -> str:
            assert isinstance(bucket.get(), S3Bucket)
            assert token.handle().get().get() == VALUE
            before = bucket.get().credentials.version  # type: ignore[attr-defined]
            reports.rotate()
            S3Upload("reports")(b"x", key="dagster/x")
            return f"{before} {bucket.get().credentials.version}"  # type: ignore[attr-defined]

        references = {"bucket": "s3-bucket/reports", "token": "secret/token"}
        resources = {name: BlockResource(reference=reference) for name, reference in references.items()}

        @dagster.job(resource_defs=resources)
        def upload() -> None:
            uploaded()

        result = upload.execute_in_process(instance=instance)

        assert result.output_for_node("uploaded") == "1 2"
        assert S3Download("reports")("dagster/x") == b"x"
        secrets = {"value": VALUE, **reports.secrets}
        assert not hunt_bytes(secrets, repr((resources, upload, result.all_events)).encode(), "shown")
        assert list(storage.rglob("*.db"))
        assert not hunt(secrets, storage)

    @pytest.mark.parametrize(
        ("reference", "error"),
        [
            ("secret/none", NotFound),
            ("secret/token@1", InvalidName),
            ("token", InvalidName),
            ("secret/token#x", InvalidName),
        ],
    )
    def test_a_reference_that_cannot_be_followed(self, reference: str, error: type[Exception]) -> None:
        """Is told when it is asked for."""
        save("secret/token", value=VALUE)

        with pytest.raises(error):
            BlockResource(reference=reference).get()


class TestFailing:
    """A message to where people read it."""

    def test_a_hook(self, instance: dagster.DagsterInstance, storage: Path) -> None:
        """Tells job, step, run and reason; what Dagster keeps has nothing of the webhook."""
        asked: list[Asked] = []

        def answer(request: Asked) -> Said:
            asked.append(request)
            return Said()

        @dagster.op
        def ingest() -> None:
            raise ValueError("no data today")

        @dagster.job(hooks={notify_on_failure(Notify("team/alerts"))})
        def daily() -> None:
            ingest()

        with stand_in(answer) as url:
            save("http-webhook/team/alerts", url=f"{url}/services/{VALUE.replace(' ', '-')}")
            result = daily.execute_in_process(instance=instance, raise_on_error=False)

        assert json.loads(asked[0].body) == {
            "text": f"daily / ingest: failed in run {result.run_id}: ValueError: no data today"
        }
        assert not hunt({"hook": VALUE.replace(" ", "-")}, storage)


def test_nothing_else_imports_dagster() -> None:
    """It takes seconds."""
    program = (
        "import sys, bondstone.integrations.notify, bondstone.integrations.icechunk\nprint('dagster' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"
