"""`bondstone scan` finds what was left behind, says whose it is and what to do, and never prints it."""

import base64
import gzip
import json
import os
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bondstone.blocks import AwsCredentials, S3Bucket, Secret
from bondstone.blocks.encodings import encodings
from bondstone.registry import current_registry
from tests.app.program import Ended

Cli = Callable[..., Ended]
FOUND, USAGE = 1, 2
VALUE = "s3ntinel+Value/9?"
pytestmark = pytest.mark.shows_secrets("*")  # files with secrets are what is searched


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder, and a registry with three secrets of which one is too short."""
    Secret(value=VALUE).save("token")
    Secret(value={"a": ["inner-secret-value"], "b": "short"}).save("data")
    AwsCredentials(access_key_id="AKIAEXAMPLE", secret_access_key="of/a+key/that-is-secret").save("prod")
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def found(cli: Cli, *arguments: str) -> list[tuple[str, str, str, str]]:
    """Place, line, block and encoding of each; no value in what was printed."""
    ended = cli("scan", *arguments)
    assert not [value for value in (VALUE, "inner-secret-value", "that-is-secret") if value in ended.out + ended.err]
    rows = [line.split("\t") for line in ended.out.splitlines()]
    assert ended.code == (FOUND if rows else 0), ended.err
    return [(row[0], row[1], row[2], row[4]) for row in rows]


class TestFiles:
    """What lies in a folder, packed or not."""

    @pytest.mark.parametrize("how", encodings(VALUE))
    def test_each_encoding(self, how: str, place: Path, cli: Cli) -> None:
        """With the line it stands in."""
        (place / "a.log").write_bytes(b"one\ntwo " + encodings(VALUE)[how] + b" more\n")

        assert (str(place / "a.log"), "2", "secret/token@1", how) in found(cli, str(place))

    def test_what_to_do(self, place: Path, cli: Cli) -> None:
        """The field, and the command that replaces the credential."""
        (place / "a").write_text("x=of/a+key/that-is-secret inner-secret-value")

        rows = [line.split("\t") for line in cli("scan", str(place)).out.splitlines()]

        assert [(row[3], row[5]) for row in rows] == [
            ("secret_access_key", "bondstone rotate aws-credentials/prod"),
            ("value.a", "bondstone rotate secret/data"),
        ]

    def test_nothing(self, place: Path, cli: Cli) -> None:
        """Exit code 0; what was not looked for is told. Access key ids are no secrets."""
        (place / "a").write_text("nothing but short words and AKIAEXAMPLE")

        ended = cli("scan", str(place))

        assert (ended.code, ended.out) == (0, "")
        assert "1 values of less than 8 characters were not looked for" in ended.err
        assert "3 values were looked for" in ended.err

    def test_packed_files(self, place: Path, cli: Cli) -> None:
        """Gzip, zip, and one in the other."""
        (place / "a.gz").write_bytes(gzip.compress(b"." * 1000 + VALUE.encode()))
        with zipfile.ZipFile(place / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inner/c.txt", VALUE)
            archive.writestr("d.gz", gzip.compress(VALUE.encode()))
        (place / "broken.gz").write_bytes(gzip.compress(b"12345678")[:-4])

        rows = found(cli, str(place))

        assert [row[0].removeprefix(f"{place}/") for row in rows] == [
            "a.gz, unpacked",
            "b.zip, inner/c.txt",
            "b.zip, d.gz, unpacked",
        ]

    def test_a_long_file(self, place: Path, cli: Cli) -> None:
        """Where one piece ends and the next begins, once, with its line."""
        line = b"x" * 99 + b"\n"
        with (place / "long").open("wb") as file:
            file.write(line * (8 * 2**20 // 100))
            file.write(b"y" * (8 * 2**20 - file.tell() - 5) + VALUE.encode() + b"\n" + line * 10 + VALUE.encode())

        assert [row[1] for row in found(cli, str(place))] == ["83887", "83898"]

    def test_where_two_pieces_overlap(self, place: Path, cli: Cli) -> None:
        """What lies in both, and what stands twice in a line, is told once."""
        line = b"x" * 99 + b"\n"
        with (place / "long").open("wb") as file:
            file.write(line * (8 * 2**20 // 100))
            file.write(b"y" * (8 * 2**20 - file.tell() - len(VALUE) - 1) + VALUE.encode() + b"\n" + line)
        (place / "short").write_text(f"{VALUE} {VALUE}\n")

        rows = found(cli, str(place))

        assert [(Path(where).name, line) for where, line, *_ in rows] == [("long", "83887"), ("short", "1")]

    def test_a_row_of_a_database(self, place: Path, cli: Cli) -> None:
        """A long row lies in the file in pieces."""
        with closing(sqlite3.connect(place / "prefect.db", isolation_level=None)) as database:
            database.execute("CREATE TABLE run (id, parameters)")
            for shift in range(20):
                database.execute("INSERT INTO run VALUES (1, ?)", ["." * (4080 + shift) + VALUE + "." * 5000])

        rows = found(cli, "--prefect-db", str(place / "prefect.db"))

        assert (f"{place}/prefect.db, table run", "", "secret/token@1", "raw") in rows

    def test_a_prefect_database(self, place: Path, cli: Cli) -> None:
        """A result in base64, as a pickle in JSON."""
        with closing(sqlite3.connect(place / "prefect.db", isolation_level=None)) as database:
            database.execute("CREATE TABLE result (data TEXT)")
            text = json.dumps({"result": base64.encodebytes(b"\x80\x04." + bytes(60) + VALUE.encode()).decode()})
            database.execute("INSERT INTO result VALUES (?)", [text])

        ended = cli("scan", "--prefect-db", str(place / "prefect.db"), "--json")

        assert {item["where"] for item in json.loads(ended.out)} >= {f"{place}/prefect.db, table result"}

    def test_links_and_names(self, place: Path, cli: Cli) -> None:
        """A link is not followed, nor does a loop of them hold us up; a name of a file may be a secret."""
        (place / "inner-secret-value").touch()
        (place / "loop").symlink_to(place)
        (place / "out").symlink_to("/etc")
        (place.parent / "beside").write_text(VALUE)
        (place / "linked").symlink_to(place.parent / "beside")

        assert [row[0] for row in found(cli, str(place))] == [f"the name of {place}/**********"]

    def test_what_cannot_be_read(self, place: Path, cli: Cli) -> None:
        """It is told, and the rest is searched."""
        (place / "db").write_bytes(b"SQLite format 3\0" + bytes(100))
        (place / "other").write_text(VALUE)

        ended = cli("scan", str(place))

        assert ended.code == FOUND
        assert f"not searched: {place}/db (its tables were not read" in ended.err


class TestElsewhere:
    """What other programs can see."""

    def test_the_environment(self, place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        """By the name of the variable, in a URL too."""
        monkeypatch.setenv("MY_URL", f"https://u:{encodings(VALUE)['url'].decode()}@host/")

        assert found(cli, "--env") == [("environment variable MY_URL", "", "secret/token@1", "url")]

    @pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc")
    def test_processes(self, place: Path, cli: Cli) -> None:
        """Arguments and environment of a child."""
        program = [sys.executable, "-c", "input()", VALUE]
        with subprocess.Popen(program, stdin=subprocess.PIPE, env={**os.environ, "TOKEN": VALUE}) as child:
            rows = found(cli, "--processes")
            child.communicate(b"\n")

        places = [row[0] for row in rows if str(child.pid) in row[0]]
        assert [where.split(" (")[0] for where in places] == [
            f"arguments of process {child.pid}",
            f"variable TOKEN of process {child.pid}",
        ]

    def test_a_git_history(self, place: Path, cli: Cli) -> None:
        """A file that was deleted since, a message, a branch that is gone, and the configuration."""

        def git(*arguments: str) -> None:
            identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
            subprocess.run(["git", "-C", str(place), *identity, *arguments], check=True, capture_output=True)

        git("init", "-b", "main")
        (place / "settings.py").write_text(f"\nTOKEN = '{VALUE}'\n")
        git("add", ".")
        git("commit", "-m", "first")
        git("rm", "settings.py")
        git("commit", "-m", "with inner-secret-value in its message")
        git("remote", "add", "origin", f"https://u:{encodings(VALUE)['url'].decode()}@host/r.git")

        rows = found(cli, "--git", str(place))

        assert {(row[0].split(":", 1)[-1].split(" ")[0], row[1], row[2], row[3]) for row in rows} == {
            ("settings.py", "2", "secret/token@1", "raw"),
            ("commit", "6", "secret/data@1", "raw"),
            ("the", "", "secret/token@1", "url"),
        }

    def test_no_repository(self, place: Path, cli: Cli) -> None:
        """It is told as such."""
        ended = cli("scan", "--git", str(place))

        assert ended.code != 0
        assert "is no Git repository" in ended.err


class TestReporting:
    """For people, programs and GitHub."""

    def test_annotations(self, place: Path, cli: Cli) -> None:
        """One line each, with file and line."""
        (place / "a.log").write_text(f"\n{VALUE}")

        (line,) = cli("scan", "--github", str(place)).out.splitlines()

        assert line.startswith(
            f"::error file={place}/a.log,line=2,title=secret found::secret/token@1 (value) stands in "
        )

    def test_json(self, place: Path, cli: Cli) -> None:
        """Each with block, version, field and remedy."""
        (place / "a.log").write_text(f"\n{VALUE}")

        (item,) = json.loads(cli("scan", "--json", str(place)).out)

        assert item == {
            "where": str(place / "a.log"),
            "line": 2,
            "reference": "secret/token@1",
            "field": "value",
            "encoding": "raw",
            "remedy": "bondstone rotate secret/token",
        }

    @pytest.mark.parametrize("arguments", [(), ("no/such/path",), ("--prefect-db", "no/such/path")])
    def test_bad_input(self, arguments: tuple[str, ...], place: Path, cli: Cli) -> None:
        """Nothing to search is an error, and not a clean bill."""
        assert cli("scan", *arguments).code == USAGE

    def test_on_record(self, place: Path, cli: Cli) -> None:
        """One look, which opens all."""
        cli("scan", str(place))

        assert [row.action for row in current_registry().audit(limit=1)] == ["look"]


class TestWho:
    """`bondstone who` tells who has had a block, and what holds it."""

    def test_holders(self, place: Path, cli: Cli) -> None:
        """One row for each process, with the newest version and how often."""
        program = "from bondstone.blocks import Secret; [Secret.load('token') for _ in range(3)]"
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
        Secret(value="another-value").save("token", overwrite=True)

        held = json.loads(cli("who", "secret/token", "--json").out)["holders"]

        assert [(item["version"], item["times"]) for item in held] == [(2, 2), (1, 3)]
        assert held[0]["who"].endswith(f":{os.getpid()}")

    def test_what_holds_it(self, place: Path, cli: Cli) -> None:
        """Blocks that hold it by reference; one that has its own copy does not."""
        aws = AwsCredentials.load("prod")
        S3Bucket(bucket="bucket-a", credentials=aws).save("by-reference")
        S3Bucket(bucket="bucket-b", credentials=aws.model_copy(update={"region": "eu-west-1"})).save("by-value")

        assert json.loads(cli("who", "aws-credentials/prod", "--json").out)["inside"] == ["s3-bucket/by-reference"]
        assert "it is inside s3-bucket/by-reference: ask for those, too" in cli("who", "aws-credentials/prod").err

    def test_a_refusal_is_no_holder(self, place: Path, cli: Cli) -> None:
        """Who asked for what was not there has seen nothing; neither has who deleted it."""
        cli("show", "secret/none")
        cli("rm", "secret/data", "--yes")

        assert json.loads(cli("who", "secret/none", "--json").out) == {"holders": [], "inside": []}
        assert [item["times"] for item in json.loads(cli("who", "secret/data", "--json").out)["holders"]] == [1]
