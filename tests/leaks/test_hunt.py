"""No secret is left behind by a flow: every file it wrote is searched, by a hunter that finds what is planted."""

import base64
import gzip
import json
import pickle
import sqlite3
import uuid
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import cloudpickle
import pytest
import xarray as xr
from numcodecs.zstd import Zstd  # type: ignore[import-untyped]

from bondstone.blocks import AwsCredentials, Block, Secret, find
from bondstone.blocks.encodings import encodings
from bondstone.cli.demo.hunt import Hit, hunt
from bondstone.cli.demo.prefect_home import prefect_home
from bondstone.cli.demo.server import KeyPair, s3_server
from bondstone.integrations import icechunk, s3
from bondstone.integrations.icechunk import IcechunkCommit
from bondstone.integrations.s3 import S3Upload

SECRET = 'Sä"n/t+i&n l\\7~~~~ÿÿ???'  # differs in every encoding

PLANTS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "hex": lambda raw: raw.hex().encode(),
    "HEX": lambda raw: raw.hex().upper().encode(),
    "url": lambda raw: quote(raw, safe="").encode(),
    "path": lambda raw: quote(raw).encode(),
    "bytes": lambda raw: repr(b"#" + raw).encode(),
    "utf-16-le, shown": lambda raw: repr(raw.decode().encode("utf-16-le")).encode(),
    "utf-16-be, shown": lambda raw: repr(raw.decode().encode("utf-16-be")).encode(),
    "form": lambda raw: quote_plus(raw).encode(),
    "json": lambda raw: json.dumps({"a": raw.decode()}).encode(),
    "json, unicode": lambda raw: json.dumps([raw.decode()], ensure_ascii=False).encode(),
    "json in json": lambda raw: json.dumps(json.dumps([raw.decode()])).encode(),
    "repr": lambda raw: repr([raw.decode()]).encode(),
    "utf-16-le": lambda raw: raw.decode().encode("utf-16-le"),
    "utf-16-be": lambda raw: raw.decode().encode("utf-16-be"),
    **{f"base64+{n}": lambda raw, n=n: base64.b64encode(b"#" * n + raw + b"#") for n in range(3)},  # type: ignore[misc]
    **{f"base64url+{n}": lambda raw, n=n: base64.urlsafe_b64encode(b"#" * n + raw + b"##") for n in range(3)},  # type: ignore[misc]
}


class TestTheHunter:
    """It finds what is there, says where and how, and does not repeat it."""

    @pytest.mark.parametrize("how", PLANTS)
    def test_each_encoding(self, how: str, tmp_path: Path) -> None:
        """In the middle of a file, in a folder below."""
        (tmp_path / "below").mkdir()
        (tmp_path / "below/log").write_bytes(b"\0..." + PLANTS[how](SECRET.encode()) + b"...\xff")

        hits = hunt({"token": SECRET, "other": "not-there"}, tmp_path)

        assert Hit("below/log", "token", how) in hits
        assert {(hit.where.split(",")[0], hit.name) for hit in hits} == {("below/log", "token")}
        assert SECRET not in str(hits)

    def test_every_encoding_is_planted(self) -> None:
        """A new one needs a plant."""
        assert set(encodings(SECRET)) == set(PLANTS)

    @pytest.mark.parametrize(
        "pack",
        [
            lambda raw: json.dumps(
                {"result": base64.encodebytes(pickle.dumps("." * 40 + raw.decode())).decode()}
            ).encode(),
            lambda raw: json.dumps(json.dumps({"result": base64.encodebytes(bytes(45) + raw).decode()})).encode(),
            lambda raw: base64.b64encode(base64.b64encode(bytes(50) + raw)),
            lambda raw: base64.b64encode(zlib.compress(bytes(500) + raw)),
            lambda raw: gzip.compress(bytes(500) + raw),
            lambda raw: b"header" + bytes(Zstd().encode(str(list(range(2000))).encode() + raw)),
        ],
        ids=["prefect result", "the same in json", "base64 twice", "base64 of zlib", "gzip", "zstd behind a header"],
    )
    def test_what_is_packed(self, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
        """As Prefect's results and Icechunk's metadata are."""
        (tmp_path / "packed").write_bytes(pack(SECRET.encode()))

        assert {hit.name for hit in hunt({"token": SECRET}, tmp_path)} == {"token"}

    def test_a_row_that_lies_in_pieces(self, tmp_path: Path) -> None:
        """SQLite cuts a long row into pages; a write-ahead log counts as well."""
        with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute('CREATE TABLE "t ""1""" (a)')
            for shift in range(20):
                text = "." * (4080 + shift) + SECRET + "." * 5000
                database.execute('INSERT INTO "t ""1""" VALUES (?)', [text])

            hits = hunt({"token": SECRET}, tmp_path)

        assert any(hit.where.startswith('a.db, table t "1"') for hit in hits)

    def test_the_name_of_a_file(self, tmp_path: Path) -> None:
        """A secret key is a poor name for a folder."""
        (tmp_path / "in-a-name").mkdir()

        assert hunt({"token": "in-a-name"}, tmp_path) == [Hit("the name of in-a-name", "token", "raw")]

    def test_too_short_a_secret(self, tmp_path: Path) -> None:
        """It would be found everywhere."""
        with pytest.raises(ValueError, match="less than 8 bytes"):
            hunt({"token": "secret"}, tmp_path)


def test_a_flow_leaves_no_secret(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    """Registry, Prefect's database, results and logs, pickles, output: after a run with blocks as parameters, results and in errors."""
    marker = f"to-be-found-{uuid.uuid4()}"
    with s3_server(tmp_path_factory.mktemp("server")) as server:  # its state holds keys, as it must
        server.create_user("flow")
        server.create_bucket("reports")
        old, new = server.create_key("flow"), server.create_key("flow")
        secrets = saved_blocks(server.endpoint, old, tmp_path)
        secrets["new key"] = new.secret_access_key
        with prefect_home(tmp_path):
            import prefect

            task: Any = prefect.task  # its types know no options beside a callable
            upload, commit = task(S3Upload("reports")), task(IcechunkCommit("ocean"))
            load, fail = task(loaded, log_prints=True), task(failing)

            @prefect.flow(log_prints=True)
            def flow(bucket: Block, path: str) -> list[object]:
                token = load("token")
                uploaded = upload(path, key="x.csv")
                AwsCredentials.load("prod").model_copy(update=vars(new)).save(overwrite=True)
                server.delete_key("flow", old.access_key_id)
                committed = commit(xr.Dataset({"sst": ("x", [1.0])}), group="g", message="m", key="k")
                print(bucket, token, vars(token), uploaded, committed)  # noqa: T201 -- to the logs
                state = fail(bucket, token, marker, return_state=True)
                return [marker, bucket, token, uploaded, committed, str(state.message)]

            (tmp_path / "x.csv").write_text("a,b\n")
            results = flow(Block.load("s3-bucket/reports"), str(tmp_path / "x.csv"))

        travelling = [
            results,
            s3.connect("reports"),
            s3.filesystem("reports"),
            icechunk.connect("ocean"),
            upload,
            commit,
        ]
        (tmp_path / "pickles").write_bytes(cloudpickle.dumps(travelling))
    print(marker)  # noqa: T201 -- where Prefect's own handler writes depends on which test set it up first
    out, err = capfd.readouterr()
    (tmp_path / "output").write_text(out + err)

    assert hunt(secrets, tmp_path) == []

    shown = {
        "marker": marker,
        "bucket": "s3-bucket/reports",
        "kind": "aws-credentials",
    }  # so these places were searched
    seen = {hit.where.split(",")[0] for hit in hunt(shown, tmp_path)}
    assert {"pickles", "output", "prefect/prefect.db"} <= seen
    assert any(where.startswith("prefect/storage/") for where in seen), seen
    assert any("/registry.db" in where for where in seen), seen


def saved_blocks(endpoint: str, key: KeyPair, folder: Path) -> dict[str, str]:
    """Blocks with secrets, each saved, loaded and saved again; and the secrets."""
    token, replaced = f'sentinel/{uuid.uuid4()}+ä"', f"replaced-{uuid.uuid4()}"
    Secret.model_validate({"value": replaced}).save("token")
    Secret.load("token").model_copy(update={"value": token}).save(overwrite=True)
    AwsCredentials.model_validate(vars(key)).save("prod")
    fields = {"bucket": "reports", "endpoint": endpoint, "credentials": "aws-credentials/prod"}
    find("s3-bucket").model_validate(fields).save("reports")
    find("icechunk-repo").model_validate({"path": str(folder / "ocean")}).save("ocean")
    return {"token": token, "replaced token": replaced, "old key": key.secret_access_key}


def loaded(name: str) -> Secret:
    """A task whose result is a block, which Prefect keeps."""
    token = Secret.load(name)
    print(f"{token} {token!r} {token.value} {token.get()[:0]}")  # noqa: T201 -- to the logs
    return token


def failing(bucket: Block, token: Secret, marker: str) -> None:
    """A task whose error speaks of its blocks."""
    raise ValueError(f"{marker} {bucket} {bucket!r} {token}", bucket, token)
