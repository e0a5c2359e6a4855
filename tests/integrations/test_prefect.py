"""Prefect with names of blocks: in parameters, in Prefect blocks, in cache keys, in storages. One server for all of it."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from typing import Any

import prefect
import pytest
import xarray as xr
from prefect.cache_policies import INPUTS
from prefect.exceptions import ParameterTypeError
from prefect.runner.storage import RunnerStorage
from prefect_dask.task_runners import DaskTaskRunner
from pydantic import ValidationError

from bondstone.blocks import NotFound, Reference, S3Bucket, Secret
from bondstone.cli.demo.hunt import hunt
from bondstone.cli.demo.prefect_home import prefect_home
from bondstone.integrations.icechunk import IcechunkCommit, connect
from bondstone.integrations.prefect import BondstoneSecret, GitStorage, Ref, block_versions, pull
from bondstone.integrations.receipts import CommitReceipt, ObjectReceipt
from bondstone.integrations.s3 import S3Download, S3Upload
from tests.example import example
from tests.integrations.conftest import BUCKET, Account, save
from tests.integrations.git_host import SECRETS, GitHost, commit, sh

pytestmark = pytest.mark.xdist_group("prefect")  # one worker, so one server
TOKEN = "s3ntinel-Value-7-of-a-flow"
SEA = xr.Dataset({"sst": ("x", [1.0, 2.0])})
TABLE = b"a,b\n1,2\n"
ARCHIVE = Reference.parse("s3-bucket/archive")


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a running server's database, results and logs."""
    with prefect_home(tmp_path_factory.mktemp("server")) as folder:
        yield folder


def row(server: Path, table: str, name: str) -> str:
    """All that the server keeps of a thing of that name."""
    with closing(sqlite3.connect(server / "prefect.db")) as database:
        (found,) = database.execute(f"SELECT * FROM {table} WHERE name = ?", [name])
    return str(found)


class TestTasks:
    """As they are."""

    def test_a_flow(self, prefect_server: Path, reports: Account, tmp_path: Path) -> None:
        """Callables become tasks with names, retries and submissions; a retry finds the key that was saved meanwhile."""
        source = tmp_path / "x.csv"
        source.write_bytes(TABLE)

        def renewed(*_: object) -> bool:
            """Somebody saves a new key; then the task is run again. (A `partial` would stop Prefect's retries.)"""
            reports.publish(reports.server.create_key(reports.user))
            return True

        task: Any = prefect.task  # its types know no options beside a callable
        upload = task(S3Upload("reports"), retries=2, retry_condition_fn=renewed)
        commit = task(IcechunkCommit("ocean"), retries=2)

        @prefect.flow
        def monthly(path: str) -> tuple[ObjectReceipt, CommitReceipt, str]:
            submitted = upload.submit(path, key="prefect/x.csv").result()
            snapshot = commit(SEA, group="monthly", message="by Prefect", key="2026-11")
            reports.revoke()
            upload(path, key="prefect/y.csv")
            return submitted, snapshot, str(prefect.runtime.flow_run.id)

        uploaded, committed, flow_run = monthly(str(source))

        assert (upload.name, commit.name) == ("S3Upload", "IcechunkCommit")
        assert uploaded == S3Upload("reports")(source, key="prefect/x.csv")
        assert S3Download("reports")("prefect/y.csv") == TABLE
        metadata = next(connect("ocean").ancestry(branch="main")).metadata
        assert metadata["bondstone.engine"] == "prefect"
        assert (metadata["bondstone.flow"], metadata["bondstone.flow_run"]) == ("monthly", flow_run)
        assert metadata["bondstone.task_run"]
        assert committed.snapshot == connect("ocean").lookup_branch("main")
        assert not reports.shown_in(json.dumps(metadata).encode())
        assert not hunt(reports.secrets, prefect_server)


class TestParameters:
    """The type of a parameter is a block class, and the flow gets the block; or `Ref`, and it gets the name."""

    @pytest.fixture
    def report(self) -> Any:
        @prefect.flow
        def report(
            bucket: S3Bucket,
            token: Secret | None = None,
            other: Ref | None = None,
            archive: Ref = ARCHIVE,
        ) -> None: ...

        return report

    def test_a_block_by_its_name(self, report: Any) -> None:
        """As it is when the run begins."""
        save("s3-bucket/reports", bucket="reports")

        given = report.validate_parameters(
            {"bucket": "s3-bucket/reports", "other": "bondstone://icechunk-repo/ocean@3"}
        )

        assert given["bucket"] == S3Bucket.load("reports")
        assert (given["other"].name, given["other"].version) == ("ocean", 3)
        assert given["archive"].name == "archive"

    def test_the_form_asks_for_names(self, report: Any) -> None:
        """A text with an example and a pattern; no field for a secret."""
        properties = report.parameters.properties

        assert properties["bucket"]["type"] == "string"
        assert properties["bucket"]["examples"] == ["s3-bucket/name"]
        assert re.search(properties["bucket"]["pattern"], "s3-bucket/reports")
        assert not re.search(properties["bucket"]["pattern"], "reports")
        assert "pattern" in properties["other"]["anyOf"][0]
        assert properties["archive"]["default"] == "s3-bucket/archive"
        assert "writeOnly" not in json.dumps(properties)

    @pytest.mark.parametrize("parameter", ["bucket", "token", "other"])
    def test_what_is_no_name_is_not_shown(self, parameter: str, report: Any) -> None:
        """It may be a token that was pasted there."""
        save("s3-bucket/reports", bucket="reports")

        with pytest.raises(ParameterTypeError) as caught:
            report.validate_parameters({"bucket": "s3-bucket/reports", parameter: TOKEN})

        assert TOKEN not in f"{caught.value!r}{caught.value}{caught.value.__cause__!r}"

    def test_a_name_of_a_field(self, report: Any) -> None:
        """Is no name of a block."""
        save("s3-bucket/reports", bucket="reports")

        with pytest.raises(ParameterTypeError, match="leave '#value' out"):
            report.validate_parameters({"bucket": "s3-bucket/reports", "other": "secret/a#value"})

    def test_the_server_checks_the_name_before_a_run_is_made(self, prefect_server: Path, report: Any) -> None:
        """By the schema of the deployment."""
        deployment_id = deployed(report)

        with pytest.raises(Exception, match="does not match"):
            run_of(deployment_id, bucket="reports")
        run = run_of(deployment_id, bucket="s3-bucket/reports")

        assert run.parameters == {"bucket": "s3-bucket/reports"}


def deployed(flow: Any) -> Any:
    """The id of a deployment that nobody runs."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        flow_id, schema = client.create_flow_from_name(flow.name), flow.parameters.model_dump()
        return client.create_deployment(
            flow_id, flow.name, parameter_openapi_schema=schema, enforce_parameter_schema=True
        )


def run_of(deployment_id: Any, **parameters: Any) -> Any:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.create_flow_run_from_deployment(deployment_id, parameters=parameters)


class TestSecretBlock:
    """A Prefect block that holds a name."""

    def test_prefect_keeps_the_name_and_a_flow_gets_the_value(self, prefect_server: Path) -> None:
        """The value of the moment; none of it reaches Prefect's database."""
        Secret(value={"user": "u", "token": TOKEN}).save("api")
        block: Any = BondstoneSecret  # its types leave open whether it is to be awaited
        block(reference="secret/api#value.token").save("api", overwrite=True)

        loaded = block.load("api")
        first = loaded.get()
        Secret(value={"user": "u", "token": f"{TOKEN}-2"}).save("api", overwrite=True)

        assert (first, loaded.get()) == (TOKEN, f"{TOKEN}-2")
        assert loaded._block_type_slug == "bondstone-secret"
        assert TOKEN not in f"{loaded!r}{loaded.model_dump_json()}"
        assert not hunt({"token": TOKEN}, prefect_server)

    def test_a_secret_in_the_place_of_its_name(self) -> None:
        """Is refused, and not shown."""
        with pytest.raises(ValidationError) as caught:
            BondstoneSecret(reference=TOKEN)

        assert TOKEN not in f"{caught.value} {caught.value!r} {caught.value.errors()} {caught.value.json()}"

    def test_a_name_that_is_not_there(self) -> None:
        """Is told when it is asked for."""
        Secret(value="x").save("there")

        with pytest.raises(NotFound, match="no secret named 'none'"):
            BondstoneSecret.model_validate({"reference": "secret/none"}).get()


class TestCacheKeys:
    """A result is used again for the same version of the same registry, and for no other."""

    @pytest.fixture
    def tenants(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Goes over to the registry of a tenant."""

        def become(tenant: str) -> None:
            monkeypatch.setenv("BONDSTONE_REGISTRY", f"sqlite:///{tmp_path}/{tenant}.db")

        return become

    def test_a_block_as_an_argument(self, prefect_server: Path, tenants: Any, tmp_path: Path) -> None:
        """Two tenants have a secret of one name and version; one of them rotates it."""

        @prefect.task(cache_policy=INPUTS, persist_result=True)
        def last_letter(secret: Secret) -> str:
            return str(secret.get())[-1]

        @prefect.flow
        def letters() -> list[str]:
            given = []
            for tenant, value in (("a", "of a"), ("b", "of b"), ("b", "now c"), ("a", None), ("b", None)):
                tenants(tenant)
                if value:
                    Secret(value=value).save("token", overwrite=True)
                given.append(last_letter(Secret.load("token")))
            return given

        assert letters() == ["a", "b", "c", "a", "c"]

    def test_a_task_that_holds_a_name(self, prefect_server: Path, tenants: Any) -> None:
        """With `block_versions`, which sees also that credentials inside a bucket were replaced."""
        seen: list[str] = []

        def count(x: int) -> int:
            seen.append("called")
            return x

        policy = INPUTS + block_versions("s3-bucket/reports")
        task: Any = prefect.task  # its types know no options beside a callable
        counted = task(count, cache_policy=policy, persist_result=True)

        def other() -> None:
            tenants("b")
            saved()

        @prefect.flow
        def calls() -> list[int]:
            given = []
            for change in (saved, lambda: None, rotated, lambda: None, other):
                change()
                counted(1)
                given.append(len(seen))
            return given

        tenants("a")
        assert calls() == [1, 1, 2, 2, 3]

    def test_the_key_is_not_made_of_the_secret(self) -> None:
        """Of two secrets of one name and version in one registry there is none; what is hashed is the name."""
        Secret(value=TOKEN).save("token")

        dumped = Secret.load("token").model_dump_json()

        assert TOKEN not in dumped
        assert '"$ref":"secret/token@1"' in dumped
        assert '"$registry"' in dumped


def saved() -> None:
    key = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"}
    save("aws-credentials/prod", **key)
    save("s3-bucket/reports", bucket="reports", credentials="aws-credentials/prod")


def rotated() -> None:
    """The credentials alone; the bucket's own version stays."""
    save("aws-credentials/prod", access_key_id="AKIAIOSFODNN7EXAMPLF", secret_access_key="w" * 40)


class TestDaskRunner:
    """Tasks on Dask workers that Prefect starts."""

    def test_tasks_on_worker_processes(self, prefect_server: Path, reports: Account) -> None:
        """They find registry and key in their own environment; neither Prefect nor Dask has the key."""
        task: Any = prefect.task  # its types know no options beside a callable
        upload, commit_task = task(S3Upload("reports")), task(IcechunkCommit("ocean"))
        cluster = {
            "n_workers": 2,
            "threads_per_worker": 1,
            "processes": True,
            "host": "127.0.0.1",
            "dashboard_address": "127.0.0.1:0",
        }

        runner: Any = DaskTaskRunner(cluster_kwargs=cluster)

        @prefect.flow(task_runner=runner)
        def parallel() -> tuple[list[str], str]:
            uploads = [upload.submit(b"x", key=f"prefect-dask/{number}") for number in range(4)]
            committed = commit_task.submit(SEA, group="dask", message="m", key="once")
            return [future.result().uri for future in uploads], committed.result().snapshot

        uris, snapshot = parallel()

        assert uris == [f"s3://{BUCKET}/prefect-dask/{number}" for number in range(4)]
        assert S3Download("reports")("prefect-dask/3") == b"x"
        assert connect("ocean").lookup_branch("main") == snapshot
        assert not hunt(reports.secrets, prefect_server)


class TestGitStorage:
    """Flow code by the name of a repository's block."""

    def test_it_is_a_storage_of_prefect(self, host: GitHost, tmp_path: Path) -> None:
        """Copied and moved, as `serve` does it; the code is in its folder, also where that is a part of the repository."""
        save(
            "git-repository/flows", url=f"{host.url}/flows.git", credentials="git-credentials/ci", subpath="flows/daily"
        )
        storage = GitStorage("flows")
        storage.set_base_path(tmp_path / "registering")
        prefect.utilities.asyncutils.run_coro_as_sync(storage.pull_code())

        copy = deepcopy(storage)
        copy.set_base_path(tmp_path / "serving")
        prefect.utilities.asyncutils.run_coro_as_sync(copy.pull_code())

        assert isinstance(storage, RunnerStorage)
        assert copy == storage
        assert copy.destination == tmp_path / "serving/flows/flows/daily"
        assert (copy.destination / "flow.py").is_file()
        assert copy.pull_interval == 60

    def test_the_pull_step(self, host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Is the name; it tells the folder and the commit."""
        monkeypatch.chdir(tmp_path)
        (step,) = GitStorage("flows").to_pull_step().items()

        given = pull(**step[1])

        assert step == ("bondstone.integrations.prefect.pull", {"repository": "flows"})
        assert given == {"directory": str(tmp_path / "flows"), "commit": sh(tmp_path / "work", "rev-parse", "HEAD")}

    @pytest.mark.timeout(200)
    def test_a_branch_is_followed_and_a_tag_stays(self, prefect_server: Path, host: GitHost, tmp_path: Path) -> None:
        """Registered from both; a commit later a process worker runs both. The token is nowhere but at the host."""
        program = example("flow_from_git")
        published(tmp_path, program.CODE.format(number=1), tag="v2")
        where = {"url": f"{host.url}/flows.git", "credentials": "git-credentials/ci"}
        save("git-repository/followed", **where, branch="feature")
        save("git-repository/pinned", **where, tag="v2")
        program.prefect("work-pool", "create", program.POOL, "--type", "process")
        for name in ("followed", "pinned"):
            program.deploy(name)

        published(tmp_path, program.CODE.format(number=2))
        printed = program.run_deployments("followed", "pinned")

        assert printed == ["edition 2", "edition 1"]
        assert '"repository": "followed"' in row(prefect_server, "deployment", "followed")
        assert host.url not in row(prefect_server, "deployment", "followed")
        assert not hunt(SECRETS, prefect_server)


def published(tmp_path: Path, code: str, *, tag: str = "v3") -> None:
    """Another `flow.py` on the branch `feature` of the host, with a tag."""
    work = tmp_path / "work"
    sh(work, "checkout", "-q", "feature")
    (work / "flow.py").write_text(code)
    commit(work, tag)
    sh(work, "tag", tag)
    sh(work, "push", "-q", "../root/flows.git", "feature", tag)
