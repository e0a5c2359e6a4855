"""What `bondstone demo` does, step by step."""

import pickle
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from bondstone.blocks import AccessDenied, AwsCredentials, IcechunkRepo, S3Bucket, Secret, SecretStr
from bondstone.cli.demo.folder import prepared
from bondstone.integrations.extras import need
from bondstone.integrations.receipts import Receipt

if TYPE_CHECKING:
    from bondstone.cli.demo.server import KeyPair, S3Server

EngineName = Literal["prefect", "dask", "plain"]
USER = "ocean-flow"


@dataclass
class Story:
    """What happened, for the summary. `secrets` are the values that nothing on the disk may show, by what they are."""

    folder: Path
    engine: EngineName
    server: str
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    receipts: list[Receipt] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)


def run(*, engine: EngineName, folder: Path) -> int:
    """Run the demo in `folder` and print the summary. Returns the exit code: 1 if a secret was found in clear."""
    for module in ("matplotlib", "netCDF4", "pandas", "iris_sample_data", "boto3", "icechunk"):
        need(module, "demo")
    need({"prefect": "prefect.main", "dask": "distributed", "plain": "xarray"}[engine], engine)
    from bondstone.cli.demo.server import s3_server
    from bondstone.cli.demo.summary import Summary

    folder, console = prepared(folder), Console(highlight=False)
    need("icechunk", "demo").set_logs_filter("error")
    with s3_server(folder / "s3-server") as server:
        story = Story(folder, engine, server.name)
        _play(story, server, lambda step: console.print(f"[bold]·[/bold] {step}", soft_wrap=True))
        summary = Summary.collect(story)
    return summary.tell(console)


def _play(story: Story, server: "S3Server", say: Callable[[str], None]) -> None:
    from bondstone.cli.demo.engines import engine
    from bondstone.cli.demo.plot import plot

    say(f"a real S3 server, {server.name}, at {server.endpoint}: it refuses unknown and revoked keys")
    old = _save_blocks(story, server)
    say("saved, encrypted: aws-credentials/prod, s3-bucket/reports, icechunk-repo/ocean, secret/report-signing-key")
    say(f"starting {story.engine}" if story.engine != "plain" else "plain Python")
    with engine(story.engine, story.folder) as ocean:
        source = str(Path(need("iris_sample_data", "demo").path) / "ostia_monthly.nc")
        story.receipts += ocean(source, "edition-1")
        say("the flow ran: two commits to Icechunk on S3, a table and its signature uploaded")
        _rotate(story, server, old)
        say("the AWS key was replaced in the registry and the old one deleted at the server, which now refuses it")
        story.receipts += ocean(source, "edition-2")
        say("the flow ran again, in the same process, with the new key")
    plot(story.folder / "seasons.png")
    _leave_pickles(story.folder / "pickles")


def _save_blocks(story: Story, server: "S3Server") -> "KeyPair":
    server.create_user(USER)
    server.create_bucket("reports")
    key = server.create_key(USER)
    aws = _credentials(key).save("prod")
    bucket = S3Bucket(bucket="reports", endpoint=server.endpoint, credentials=aws).save("reports")
    IcechunkRepo(bucket=bucket, prefix="ocean").save("ocean")
    signing = secrets.token_urlsafe(32)
    Secret(value=SecretStr(signing)).save("report-signing-key")
    story.secrets |= {"the first AWS secret key": key.secret_access_key, "the signing key": signing}
    return key


def _credentials(key: "KeyPair") -> AwsCredentials:
    return AwsCredentials(access_key_id=key.access_key_id, secret_access_key=SecretStr(key.secret_access_key))


def _rotate(story: Story, server: "S3Server", old: "KeyPair") -> None:
    new = server.create_key(USER)
    _credentials(new).save("prod", overwrite=True)
    server.delete_key(USER, old.access_key_id)
    story.secrets["the second AWS secret key"] = new.secret_access_key
    _prove_dead(old)


def _prove_dead(old: "KeyPair") -> None:
    """Ask with the old key, and be refused: or the demo would show nothing."""
    from bondstone.integrations.s3 import S3Download

    bucket = S3Bucket.load("reports").model_copy(update={"credentials": _credentials(old)})
    bucket.save("reports-with-the-old-key")
    try:
        S3Download("reports-with-the-old-key")("edition-1/seasonal.csv")
    except AccessDenied:
        S3Bucket.delete("reports-with-the-old-key")
        return
    raise AssertionError("the server still accepts the deleted key")


def _leave_pickles(folder: Path) -> None:
    """What would travel to workers, for the hunt: tasks, a repository and a store."""
    from bondstone.integrations import icechunk, s3

    folder.mkdir()
    travellers = {
        "upload": s3.S3Upload("reports"),
        "commit": icechunk.IcechunkCommit("ocean"),
        "store": s3.connect("reports"),
        "filesystem": s3.filesystem("reports"),
        "repository": icechunk.connect("ocean"),
        "credentials": AwsCredentials.load("prod"),
    }
    for name, traveller in travellers.items():
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(traveller))
