"""S3 by the name of a bucket block: what goes up comes down, keys may change underneath, and failures say what to do."""

import inspect
import io
import json
import os
import pickle
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from email.utils import formatdate
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import boto3
import cloudpickle
import obstore
import pandas as pd
import pytest
import s3fs
from botocore.exceptions import ClientError

import bondstone.integrations.icechunk
from bondstone.blocks import (
    AccessDenied,
    BondstoneError,
    InvalidName,
    InvalidSettings,
    NotFound,
    S3Bucket,
    ServiceUnavailable,
)
from bondstone.cli.demo.server import KeyPair, S3Server
from bondstone.integrations import s3
from bondstone.integrations.aws import LiveKeys
from bondstone.integrations.s3 import S3Download, S3Upload
from bondstone.integrations.s3.session import LiveSession
from tests.integrations.conftest import BUCKET, Account, both, elsewhere, save

TABLE = b"a,b\n1,2\n"
AIRFLOW_KEEPS = {  # Airflow 3, `Context` in airflow.sdk, and the arguments of its operators
    *(
        "conn",
        "conf",
        "context",
        "dag",
        "dag_run",
        "data_interval_end",
        "data_interval_start",
        "ds",
        "ds_nodash",
        "exception",
    ),
    *(
        "execution_date",
        "expanded_ti_count",
        "inlets",
        "inlet_events",
        "logical_date",
        "macros",
        "map_index_template",
        "next_ds",
    ),
    *(
        "next_execution_date",
        "outlets",
        "outlet_events",
        "params",
        "prev_data_interval_end_success",
        "prev_ds",
        "run_id",
        "task",
    ),
    *(
        "prev_data_interval_start_success",
        "prev_end_date_success",
        "prev_start_date_success",
        "reason",
        "start_date",
        "task_id",
    ),
    *(
        "task_instance",
        "task_instance_key_str",
        "task_reschedule_count",
        "templates_dict",
        "test_mode",
        "ti",
        "tomorrow_ds",
    ),
    *(
        "triggering_asset_events",
        "triggering_dataset_events",
        "try_number",
        "ts",
        "ts_nodash",
        "ts_nodash_with_tz",
        "var",
    ),
    *("yesterday_ds",),
}


class TestWhatGoesUp:
    """The bytes that arrive are those that were sent, whatever they came as."""

    @both
    def test_bytes(self, reports: Account) -> None:
        """The receipt has the place, the server's etag, the size, and the block in its version."""
        receipt = S3Upload("reports")(TABLE, key="2026/x.csv")

        assert S3Download("reports")("2026/x.csv") == TABLE
        assert (receipt.uri, receipt.size) == (f"s3://{BUCKET}/2026/x.csv", len(TABLE))
        assert (receipt.block, receipt.version) == ("s3-bucket/reports", 1)
        assert receipt.etag == administrator(reports.server).head_object(Bucket=BUCKET, Key="2026/x.csv")["ETag"]

    @pytest.mark.parametrize("as_what", [Path, str, lambda path: path.open("rb")], ids=["path", "text", "open file"])
    def test_a_file(self, as_what: Callable[[Path], Any], reports: Account, tmp_path: Path) -> None:
        """A path, its text, or the open file itself."""
        (tmp_path / "x.csv").write_bytes(TABLE)

        source = as_what(tmp_path / "x.csv")
        receipt = S3Upload("reports")(source, key="x.csv")

        assert S3Download("reports")("x.csv") == TABLE
        assert receipt.size == len(TABLE)
        if isinstance(source, io.IOBase):
            assert not source.closed
            source.close()

    def test_an_open_file_goes_up_from_where_it_stands(self, reports: Account) -> None:
        """What was read already stays out."""
        file = io.BytesIO(TABLE)
        file.readline()

        receipt = S3Upload("reports")(file, key="rest")

        assert S3Download("reports")("rest") == b"1,2\n"
        assert receipt.size == len(b"1,2\n")

    @both
    def test_a_large_file_goes_up_in_parts(self, reports: Account, tmp_path: Path) -> None:
        """Above 16 MiB."""
        data = os.urandom(17 * 1024 * 1024)
        (tmp_path / "large").write_bytes(data)

        receipt = S3Upload("reports")(tmp_path / "large", key="large")

        assert S3Download("reports")("large") == data
        assert receipt.size == len(data)
        assert "-" in str(receipt.etag)  # how S3 marks an object made of parts

    @both
    def test_nothing(self, reports: Account, tmp_path: Path) -> None:
        """An empty object is an object, from bytes and from a file."""
        (tmp_path / "empty").touch()

        sizes = [S3Upload("reports")(source, key="empty").size for source in (b"", tmp_path / "empty")]

        assert sizes == [0, 0]
        assert S3Download("reports")("empty") == b""

    def test_below_the_prefix_of_the_block(self, reports: Account) -> None:
        """Keys are relative to it; the receipt is not."""
        save("s3-bucket/monthly", **place(reports), prefix="2026/monthly", credentials="aws-credentials/prod")

        receipt = S3Upload("monthly")(TABLE, key="x.csv")

        assert S3Download("reports")("2026/monthly/x.csv") == S3Download("monthly")("x.csv") == TABLE
        assert receipt.uri == f"s3://{BUCKET}/2026/monthly/x.csv"

    def test_a_missing_file(self, reports: Account) -> None:
        """The text that was meant as data is the usual reason."""
        with pytest.raises(NotFound, match="there is no file 'no such file' to upload"):
            S3Upload("reports")("no such file", key="x")


class TestWhatComesDown:
    """A file is written whole or not at all."""

    def test_to_a_file(self, reports: Account, tmp_path: Path) -> None:
        """What stood there is replaced, and nothing else is left."""
        S3Upload("reports")(TABLE, key="x.csv")
        (tmp_path / "down").mkdir()
        (tmp_path / "down/x.csv").write_bytes(b"old")

        receipt = S3Download("reports")("x.csv", to=tmp_path / "down/x.csv")

        assert not isinstance(receipt, bytes)
        assert (receipt.uri, receipt.size, receipt.version) == (f"s3://{BUCKET}/x.csv", len(TABLE), 1)
        assert {path.name: path.read_bytes() for path in (tmp_path / "down").iterdir()} == {"x.csv": TABLE}

    def test_into_a_folder_that_is_not_there(self, reports: Account, tmp_path: Path) -> None:
        """No folder is made up."""
        S3Upload("reports")(TABLE, key="x.csv")

        with pytest.raises(FileNotFoundError):
            S3Download("reports")("x.csv", to=tmp_path / "none/x.csv")

        assert not (tmp_path / "none").exists()

    def test_half_an_answer(self, reports: Account, tmp_path: Path) -> None:
        """A server that hangs up in the middle leaves the file that was there as it was."""
        target = tmp_path / "down/x.csv"
        target.parent.mkdir()
        target.write_bytes(b"old")

        with hangs_up() as endpoint:
            save("s3-bucket/halfway", bucket=BUCKET, endpoint=endpoint, credentials="aws-credentials/prod")
            with pytest.raises(ServiceUnavailable):
                S3Download("halfway")("x.csv", to=target)
            with pytest.raises(ServiceUnavailable):
                S3Download("halfway")("x.csv")

        assert {path.name: path.read_bytes() for path in target.parent.iterdir()} == {"x.csv": b"old"}

    def test_a_missing_object(self, reports: Account, tmp_path: Path) -> None:
        """Not found, and no file of it."""
        with pytest.raises(NotFound, match="has no object of that key"):
            S3Download("reports")("none", to=tmp_path / "x")

        assert not (tmp_path / "x").exists()


class TestNames:
    """Keys and parameters that some system would change or refuse are refused here, for all."""

    @pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "a/../b", "..", "./a", "a/.", "/"])
    def test_a_key_that_clients_would_change(self, key: str, reports: Account) -> None:
        """Obstore refuses some of these and rewrites others."""
        with pytest.raises(InvalidName, match="a key is not empty"):
            S3Upload("reports")(b"", key=key)
        with pytest.raises(InvalidName, match="a key is not empty"):
            S3Download("reports")(key)

    @pytest.mark.parametrize("key", ["a b/ä+%20&=?#.csv", "a\\b{c}^|*'\"~[]<>", "...", "x" * 900])
    @both
    def test_an_unusual_key(self, key: str, reports: Account) -> None:
        """The server has it under that very name."""
        S3Upload("reports")(TABLE, key=key)

        assert S3Download("reports")(key) == TABLE
        assert administrator(reports.server).get_object(Bucket=BUCKET, Key=key)["Body"].read() == TABLE

    def test_the_parameters_of_every_task(self) -> None:
        """Data is positional only, the rest goes by name, and none has a name that Airflow keeps, which refuses such callables."""
        tasks = [
            getattr(module, name)
            for module in (s3, bondstone.integrations.icechunk)
            for name in module.__all__
            if "__call__" in vars(getattr(module, name))
        ]
        assert len(tasks) >= 10

        for task in tasks:
            if task is s3.S3List:  # has no data argument
                continue
            first, *others = list(inspect.signature(task.__call__).parameters.values())[1:]
            assert first.kind in (first.POSITIONAL_ONLY, first.KEYWORD_ONLY), task
            by_name = [parameter for parameter in others if parameter.name != "client"]  # of Dask: by place or by name
            assert {parameter.kind for parameter in by_name} <= {inspect.Parameter.KEYWORD_ONLY}, task
            assert not {first.name, *(parameter.name for parameter in others)} & AIRFLOW_KEEPS, task

    def test_a_ttl_that_is_too_long(self, reports: Account) -> None:
        """A rotator counts on the registry's `max_ttl`."""
        with pytest.raises(InvalidSettings, match="ttl is 301 s and this registry allows 0 to 300"):
            S3Upload("reports", ttl=301)(b"", key="x")


class TestFailing:
    """One line that names the block to correct; nothing of the vendor's text, which may echo what was signed."""

    @both
    def test_a_revoked_key(self, reports: Account) -> None:
        """The block to renew is the credentials', not the bucket's."""
        S3Upload("reports")(TABLE, key="x")

        reports.revoke()

        for call in (lambda: S3Upload("reports")(TABLE, key="x"), lambda: S3Download("reports")("x")):
            text = fails(AccessDenied, call)
            assert text == (
                f"bucket '{BUCKET}' at {reports.server.endpoint} refused the request (InvalidAccessKeyId): "
                "save a new version of aws-credentials/prod"
            )

    def test_a_wrong_secret(self, reports: Account) -> None:
        """Right id, wrong signature; the wrong secret is not shown either."""
        wrong = "wrong-secret-" + reports.key.secret_access_key[:10]
        save("aws-credentials/prod", access_key_id=reports.key.access_key_id, secret_access_key=wrong)

        text = fails(AccessDenied, lambda: S3Upload("reports")(TABLE, key="x"))

        assert "(SignatureDoesNotMatch): save a new version of aws-credentials/prod" in text
        assert wrong not in text

    def test_keys_that_the_bucket_holds_itself(self, reports: Account) -> None:
        """Then there is no other block to renew."""
        pair = {"access_key_id": "AKIAUNKNOWN", "secret_access_key": "never-issued"}
        save("s3-bucket/own", **place(reports), credentials=pair)

        text = fails(AccessDenied, lambda: S3Upload("own")(TABLE, key="x"))

        assert text.endswith("correct the credentials of s3-bucket/own")

    @both
    def test_a_missing_bucket(self, reports: Account) -> None:
        """Both ways."""
        save("s3-bucket/none", bucket="no-bucket", endpoint=reports.server.endpoint, credentials="aws-credentials/prod")

        for call in (lambda: S3Upload("none")(TABLE, key="x"), lambda: S3Download("none")("x")):
            text = fails(NotFound, call)
            assert text.startswith("there is no bucket 'no-bucket'")
            assert text.endswith("create it, or correct s3-bucket/none")

    def test_nobody_listens(self, reports: Account) -> None:
        """Told within 10 s."""
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        save("s3-bucket/down", bucket=BUCKET, endpoint=endpoint, credentials="aws-credentials/prod")
        start = time.monotonic()

        text = fails(ServiceUnavailable, lambda: S3Upload("down")(TABLE, key="x"))

        assert text.endswith("try again, or correct the endpoint of s3-bucket/down")
        assert time.monotonic() - start < 10

    def test_no_block_of_that_name(self, reports: Account) -> None:
        """The nearest name is offered."""
        with pytest.raises(NotFound, match="no s3-bucket named 'report': did you mean 'reports'"):
            S3Upload("report")(TABLE, key="x")


class TestWhoSigns:
    """The block's credentials; without any the vendor's default chain; or nobody."""

    def test_anonymous(self, reports: Account) -> None:
        """Unsigned requests read a public bucket, and are refused where it is not."""
        bucket = f"public-{reports.user}"
        reports.server.create_bucket(bucket)
        save("s3-bucket/public", bucket=bucket, endpoint=reports.server.endpoint, anonymous=True)
        save("s3-bucket/private", **place(reports), anonymous=True)
        open_to_all(reports.server, bucket)

        assert S3Download("public")("x.csv") == TABLE
        assert s3.client("public").get_object(Bucket=bucket, Key="x.csv")["Body"].read() == TABLE
        assert s3.filesystem("public").cat(f"{bucket}/x.csv") == TABLE
        assert fails(AccessDenied, lambda: S3Download("private")("x.csv"))

    def test_the_default_chain(self, reports: Account) -> None:
        """A block without credentials goes by the environment, with every client; the block's own ones do not."""
        save("s3-bucket/ambient", **place(reports))
        S3Upload("reports")(TABLE, key="x.csv")

        told = elsewhere(
            "from bondstone.integrations import s3\n"
            "print(s3.S3Download('ambient')('x.csv'))\n"
            f"print(s3.client('ambient').get_object(Bucket='{BUCKET}', Key='x.csv')['Body'].read())\n"
            f"print(s3.filesystem('ambient').cat('{BUCKET}/x.csv'))\n",
            AWS_ACCESS_KEY_ID=reports.key.access_key_id,
            AWS_SECRET_ACCESS_KEY=reports.key.secret_access_key,
        )

        assert told.splitlines() == [repr(TABLE)] * 3

    def test_the_environment_does_not_win(self, reports: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        """Over credentials that the block names: neither keys nor the wish not to sign."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFSOMEBODYELSE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-somebody-else")
        monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "of-somebody-else")

        S3Upload("reports")(TABLE, key="x.csv")

        assert s3.client("reports").get_object(Bucket=BUCKET, Key="x.csv")["Body"].read() == TABLE
        assert s3.filesystem("reports").cat(f"{BUCKET}/x.csv") == TABLE

    def test_a_role(self, reports: Account) -> None:
        """Temporary keys of a role, assumed with a key that goes on being replaced."""
        role = assumable_role(reports)
        save("aws-credentials/base", **vars(reports.key), role_arn=role, endpoint=reports.server.endpoint)
        save("s3-bucket/assumed", bucket=BUCKET, credentials="aws-credentials/base")
        S3Upload("reports")(TABLE, key="x.csv")

        assert S3Download("assumed")("x.csv") == TABLE
        reports.rotate()
        save("aws-credentials/base", **vars(reports.key), role_arn=role, endpoint=reports.server.endpoint)
        assert s3.client("assumed").get_object(Bucket=BUCKET, Key="x.csv")["Body"].read() == TABLE
        assert S3Download("assumed")("x.csv") == TABLE

    def test_a_role_that_is_refused(self, reports: Account) -> None:
        """The block to correct is the one that has the role."""
        pair = {"access_key_id": "AKIAUNKNOWN", "secret_access_key": "never-issued"}
        role = "arn:aws:iam::000000000000:role/none"
        save("aws-credentials/base", **pair, role_arn=role, endpoint=reports.server.endpoint)
        save("s3-bucket/assumed", bucket=BUCKET, credentials="aws-credentials/base")

        text = fails(AccessDenied, lambda: S3Upload("assumed")(TABLE, key="x"))

        assert text.startswith("AWS gave no keys for aws-credentials/base (InvalidClientTokenId)")

    def test_a_profile_that_is_not_there(self, reports: Account) -> None:
        """It may be on another machine."""
        save("aws-credentials/base", profile="analytics")
        save("s3-bucket/profiled", **place(reports), credentials="aws-credentials/base")

        text = fails(NotFound, lambda: S3Upload("profiled")(TABLE, key="x"))

        assert text.startswith("the profile of aws-credentials/base is not in ~/.aws/config here")

    def test_an_empty_chain(self, reports: Account) -> None:
        """Told as such, and what to do."""
        save("s3-bucket/ambient", **place(reports))

        told = elsewhere(
            "from bondstone.blocks import AccessDenied\n"
            "from bondstone.integrations.s3 import S3Upload\n"
            "try: S3Upload('ambient')(b'', key='x')\n"
            "except AccessDenied as error: print(error)"
        )

        assert told.endswith("give the bucket block credentials, or anonymous=True")


class TestRotation:
    """A key that is replaced in the registry and deleted at the server stops nobody who goes by the name."""

    @both
    def test_everything_goes_on(self, reports: Account) -> None:
        """Clients that were made, and used, with the old key work with the new one, in the same process."""
        upload, download = S3Upload("reports"), S3Download("reports")
        upload(TABLE, key="x.csv")
        store, client, files = s3.connect("reports", ttl=0), s3.client("reports"), s3.filesystem("reports")
        options = s3.storage_options("reports")
        ways: dict[str, Callable[[], object]] = {
            "task": lambda: upload(TABLE, key="x.csv").version,
            "download": lambda: download("x.csv"),
            "boto3": lambda: client.get_object(Bucket=BUCKET, Key="x.csv")["Body"].read(),
            "boto3 head": lambda: client.head_object(Bucket=BUCKET, Key="x.csv")["ContentLength"],
            "s3fs": lambda: files.cat(f"{BUCKET}/x.csv"),
            "pandas": lambda: len(pd.read_csv(f"s3://{BUCKET}/x.csv", storage_options=options)),
            "obstore": lambda: obstore.get(store, "x.csv").bytes() == TABLE,
        }
        before = {name: way() for name, way in ways.items()}

        reports.rotate()
        time.sleep(0.2)  # obstore asks its provider at most once in 100 ms

        assert {name: way() for name, way in ways.items()} == before

    def test_a_file_whose_upload_is_refused_first(self, reports: Account, tmp_path: Path) -> None:
        """It goes up again from its beginning, not from where the refused attempt had got to."""
        (tmp_path / "file").write_bytes(TABLE)
        old, new = reports.key, reports.server.create_key(reports.user)
        S3Upload("reports")(TABLE, key="warm")  # obstore keeps the key of this for 100 ms
        reports.publish(new)
        reports.server.delete_key(reports.user, old.access_key_id)

        receipt = S3Upload("reports")(tmp_path / "file", key="file")

        assert S3Download("reports")("file") == TABLE
        assert receipt.size == len(TABLE)

    def test_in_the_middle_of_a_multipart_upload(self, reports: Account) -> None:
        """Boto3 signs each part with the key of that moment."""
        client = s3.client("reports")
        upload_id = client.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
        whole = {"Bucket": BUCKET, "Key": "parts", "UploadId": upload_id}
        etags = []

        for number in (1, 2):
            part = client.upload_part(**whole, PartNumber=number, Body=bytes(5 * 1024 * 1024))
            etags.append({"PartNumber": number, "ETag": part["ETag"]})
            reports.rotate()
        client.complete_multipart_upload(**whole, MultipartUpload={"Parts": etags})

        assert client.head_object(Bucket=BUCKET, Key="parts")["ContentLength"] == 10 * 1024 * 1024

    def test_a_key_that_is_saved_while_the_request_is_refused(self, reports: Account) -> None:
        """Boto3 asks once more after a refusal: revocation first, new key second, no failure."""
        client = s3.client("reports")
        client.head_bucket(Bucket=BUCKET)
        new = reports.server.create_key(reports.user)
        reports.revoke()

        def late(**_: object) -> None:
            if reports.key is not new:
                reports.publish(new)

        client.meta.events.register_first("before-parse.s3", late)

        client.put_object(Bucket=BUCKET, Key="x", Body=TABLE)

        assert client.get_object(Bucket=BUCKET, Key="x")["Body"].read() == TABLE

    @both
    def test_a_key_that_is_saved_while_s3fs_is_refused(self, reports: Account) -> None:
        """S3fs asks once more too: for a whole object, and in the middle of one that goes up in parts."""
        files = s3.filesystem("reports")
        late = Late(reports)
        files.session.get_component("event_emitter").register_first("before-parse.s3", late)
        late.revoke()
        files.pipe(f"{BUCKET}/x.csv", TABLE)
        assert files.cat(f"{BUCKET}/x.csv") == TABLE

        with files.open(f"{BUCKET}/parts", "wb", block_size=5 * 1024 * 1024) as file:
            for _ in range(3):
                file.write(bytes(5 * 1024 * 1024))
                late.revoke()

        assert files.info(f"{BUCKET}/parts")["size"] == 15 * 1024 * 1024
        assert late.published == 4

    @both
    def test_a_managed_upload_of_boto3(self, reports: Account, tmp_path: Path) -> None:
        """Its threads send a large file in parts: the key goes after the first answer, the new one is saved at the next refusal."""
        (tmp_path / "large").write_bytes(os.urandom(24 * 1024 * 1024))
        client, late, answers = s3.client("reports"), Late(reports), []

        def answered(**_: object) -> None:
            answers.append(1)
            if len(answers) == 1:  # the upload has begun
                late.revoke()

        client.meta.events.register_first("before-parse.s3", late)
        client.meta.events.register_last("before-parse.s3", answered)

        client.upload_file(str(tmp_path / "large"), BUCKET, "large")

        assert late.published == 1
        assert S3Download("reports")("large") == (tmp_path / "large").read_bytes()

    @pytest.mark.parametrize("vendor", ["boto3", "s3fs"])
    def test_a_handle_that_is_behind(self, vendor: str, reports: Account) -> None:
        """Where a shared registry is asked once a minute, a refusal makes it be asked at once."""
        handle: Any = Behind(S3Bucket.load("reports"))
        if vendor == "boto3":
            client = s3.clients.client_of(handle)
        else:
            client = s3fs.S3FileSystem(
                session=LiveSession(LiveKeys(handle)),
                endpoint_url=reports.server.endpoint,
                client_kwargs={"region_name": "us-east-1"},
            )
        reports.rotate()

        if vendor == "boto3":
            client.put_object(Bucket=BUCKET, Key="x", Body=TABLE)
        else:
            client.pipe(f"{BUCKET}/x", TABLE)

        assert S3Download("reports")("x") == TABLE
        assert handle.refreshed == 1

    def test_a_refusal_asks_the_registry_once(self, reports: Account) -> None:
        """A key that stays refused is an error, not a loop, for each client."""
        client, files = s3.client("reports"), s3.filesystem("reports")
        sent: list[int] = []
        client.meta.events.register_first("before-send.s3", lambda **_: sent.append(1))
        reports.revoke()

        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            client.get_object(Bucket=BUCKET, Key="x")
        with pytest.raises(PermissionError):
            files.cat(f"{BUCKET}/x")

        assert len(sent) == 2

    def test_a_store_of_obstore(self, reports: Account) -> None:
        """Made before and used just now: it raises the vendor's error while it holds the old key, and goes on by itself after that."""
        store = s3.connect("reports", ttl=0)
        obstore.put(store, "x", TABLE)
        reports.rotate()

        for _ in range(20):
            try:
                obstore.put(store, "x", TABLE)
                break
            except obstore.exceptions.PermissionDeniedError:
                time.sleep(0.05)

        assert obstore.get(store, "x").bytes() == TABLE


class Behind:
    """A handle that shows what was, until it is refreshed."""

    ttl, source = 60.0, ("registry", "s3-bucket/reports")

    def __init__(self, block: S3Bucket) -> None:
        self._block, self.refreshed = block, 0

    def get(self) -> S3Bucket:
        return self._block

    def refresh(self) -> S3Bucket:
        self.refreshed += 1
        self._block = S3Bucket.load("reports")
        return self._block


class Late:
    """The key is deleted at the server first. The new one is saved when a request has been refused, before anybody is told."""

    def __init__(self, account: Account) -> None:
        self._account, self.published = account, 0
        self._new: KeyPair | None = None
        self._lock = Lock()

    def revoke(self) -> None:
        new = self._account.server.create_key(self._account.user)
        self._account.revoke()
        self._new = new

    def __call__(self, response_dict: dict[str, Any] | None = None, **_: object) -> None:
        with self._lock:
            if self._new is not None and response_dict is not None and response_dict["status_code"] == 403:
                self._account.publish(self._new)
                self._new, self.published = None, self.published + 1


class TestTwoRegistries:
    """One process may work with two."""

    def test_a_block_of_the_same_name_is_another_block(
        self, reports: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """S3fs and the tasks keep their clients; neither takes that of the other registry."""
        S3Upload("reports")(TABLE, key="x.csv")
        files = s3.filesystem("reports")
        assert files is s3.filesystem("reports")

        monkeypatch.setenv("BONDSTONE_REGISTRY", f"sqlite:///{tmp_path}/other/registry.db")
        pair = {"access_key_id": "AKIAOTHER", "secret_access_key": "of-the-other-registry"}
        save("s3-bucket/reports", **place(reports), credentials=pair)

        with pytest.raises(PermissionError):
            s3.filesystem("reports").cat(f"{BUCKET}/x.csv")
        with pytest.raises(AccessDenied):
            S3Download("reports")("x.csv")
        assert files.cat(f"{BUCKET}/x.csv") == TABLE


class TestTravelling:
    """What is sent to a worker holds the name of the block; what arrives there works."""

    def test_pickles_hold_no_key(self, reports: Account) -> None:
        """Whether fresh or used."""
        things = travelling(reports)

        for fresh in (pickle.dumps, cloudpickle.dumps):
            for name, thing in things.items():
                assert not reports.shown_in(fresh(thing)), name

    def test_reprs_hold_no_key(self, reports: Account) -> None:
        """Nor do their attributes."""
        things = travelling(reports)

        shown = repr(things) + "".join(f"{thing} {getattr(thing, '__dict__', '')}" for thing in things.values())

        assert not reports.shown_in(shown.encode())

    def test_they_work_where_they_arrive(self, reports: Account) -> None:
        """In another process with the same registry; a rotation before they arrive does not matter."""
        things = travelling(reports)
        reports.rotate()

        told = elsewhere(
            "import obstore, pandas\n"
            "print(it['upload'](b'a,b\\n1,2\\n', key='x.csv').size, it['download']('x.csv'))\n"
            "print(bytes(obstore.get(it['store'], 'x.csv').bytes()))\n"
            f"print(it['filesystem'].cat('{BUCKET}/x.csv'))\n"
            f"print(len(pandas.read_csv('s3://{BUCKET}/x.csv', storage_options=it['storage_options'])))",
            things,
        )

        assert told.splitlines() == [f"8 {TABLE!r}", repr(TABLE), repr(TABLE), "1"]

    def test_a_task_in_a_process_without_a_registry(self, reports: Account, tmp_path: Path) -> None:
        """The name alone opens nothing."""
        told = elsewhere(
            "try: it(b'', key='x')\nexcept LookupError as error: print(error)", S3Upload("reports"), HOME=str(tmp_path)
        )

        assert told.startswith("there is no registry at ")

    def test_a_store_that_arrives_at_another_registry(self, reports: Account, data: Path) -> None:
        """A block of the same name in another registry, at the same place, is not the one that was meant."""
        parcel = pickle.dumps(s3.connect("reports"))
        for path in data.parent.iterdir():
            path.unlink()

        told = elsewhere(
            "from bondstone.blocks import RegistryUnavailable, Secret\n"
            "Secret(value='another').save('first')\n"
            "try: pickle.loads(it)\n"
            "except RegistryUnavailable as error: print(error)",
            parcel,
        )

        assert told.startswith("another registry lies at sqlite:///")


def travelling(reports: Account) -> dict[str, Any]:
    """All that is made to travel, each used once, so that it has met the key."""
    S3Upload("reports")(TABLE, key="x.csv")
    things = {
        "upload": S3Upload("reports"),
        "download": S3Download("reports"),
        "store": s3.connect("reports"),
        "filesystem": s3.filesystem("reports"),
        "storage_options": s3.storage_options("reports"),
        "partial": partial(S3Upload("reports"), key="x.csv"),
    }
    assert things["download"]("x.csv") == obstore.get(things["store"], "x.csv").bytes() == TABLE
    assert things["filesystem"].cat(f"{BUCKET}/x.csv") == TABLE
    assert len(pd.read_csv(f"s3://{BUCKET}/x.csv", storage_options=things["storage_options"])) == 1
    assert reports.shown_in(cloudpickle.dumps(reports.key.secret_access_key))  # that is how it would look
    return things


def fails(kind: type[BondstoneError], call: Callable[[], object]) -> str:
    """The text of the error, which is one line and has no vendor's error behind it."""
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    text = str(caught.value)
    assert "\n" not in text
    assert "<" not in text
    return text


def place(reports: Account) -> dict[str, str]:
    return {"bucket": BUCKET, "endpoint": reports.server.endpoint}


def administrator(server: S3Server) -> Any:
    """A plain boto3 client that has nothing of ours in it."""
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=server.region,
        aws_access_key_id=server.admin.access_key_id,
        aws_secret_access_key=server.admin.secret_access_key,
    )


def open_to_all(server: S3Server, bucket: str) -> None:
    """An object `x.csv` in a bucket that anybody may read."""
    administrator(server).put_object(Bucket=bucket, Key="x.csv", Body=TABLE)
    administrator(server).delete_public_access_block(Bucket=bucket)
    anybody = policy(Principal="*", Action="s3:GetObject", Resource=f"arn:aws:s3:::{bucket}/*")
    administrator(server).put_bucket_policy(Bucket=bucket, Policy=anybody)


def assumable_role(account: Account) -> str:
    """The ARN of a role that the user may assume, and which may do all of S3."""
    admin = account.server.admin
    session = boto3.Session(admin.access_key_id, admin.secret_access_key, region_name=account.server.region)
    iam, role = session.client("iam", endpoint_url=account.server.endpoint), f"role-{account.user}"
    trust = policy(Action="sts:AssumeRole", Principal={"AWS": "*"})
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName=role, PolicyName="s3", PolicyDocument=policy(Action="s3:*", Resource="*"))
    may = policy(Action="sts:AssumeRole", Resource=arn)
    iam.put_user_policy(UserName=account.user, PolicyName="assume", PolicyDocument=may)
    return str(arn)


def policy(**statement: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


@contextmanager
def hangs_up() -> Iterator[str]:
    """The endpoint of a server that promises 1000 bytes, sends ten, and hangs up."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in {
                "Content-Length": "1000",
                "ETag": '"1"',
                "Last-Modified": formatdate(usegmt=True),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"0123456789")

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
