"""`bondstone render`: every value arrives exactly, whatever is in it, and nothing else of the file changes."""

import json
import stat
import tomllib
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bondstone.blocks import AwsCredentials, S3Bucket, Secret
from bondstone.cli.rendering import Span, env
from bondstone.cli.rendering import json as in_json
from bondstone.cli.rendering import toml as in_toml
from bondstone.cli.rendering import yaml as in_yaml
from tests.app.program import SENTINEL, Ended, bondstone

pytestmark = pytest.mark.shows_secrets("a.*", "b.json", "out.json")  # files that the tests hand in, or ask for

Cli = Callable[..., Ended]
USAGE, NOT_FOUND, INVALID_NAME, INVALID_BLOCK = 2, 3, 6, 7
NASTY = [
    SENTINEL,
    "quote \" and ' and \\",
    "two\nlines\r\nand\ttab",
    "# no comment",
    " spaces ",
    "yes",
    "007",
    "{a: [b]}",
    "@%`|>&*!?-:,",
    "ä€😀\x7f\x85\u2028\ufeff",
    "\x01\x1b[31m",
    "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n",
    "$x $$ %s \\n",
]
READERS: dict[str, Callable[[str], Any]] = {
    "a.json": json.loads,
    "a.toml": tomllib.loads,
    "a.yaml": lambda text: yaml.load(text, yaml.SafeLoader),
    "a.env": lambda text: dict(dotenv_values(stream=StringIO(text))),
}
TEMPLATES = {
    "a.json": '{"x": "bondstone://secret/x",\n  "bondstone://k": ["${bondstone://secret/x}-"], "n": 1.50}',
    "a.toml": '# "bondstone://secret/none"\nx = \'bondstone://secret/x\' # c\nn = 1.50\n[t]\ny = ["""bondstone://secret/x""", "é"]\n',
    "a.yaml": "# bondstone://secret/none\nx: bondstone://secret/x   # c\nn: 1.50\nl: [ 'bondstone://secret/x', \"é\" ]\n"
    "b: |-\n  bondstone://secret/x\nc: &a bondstone://secret/x\nd: *a\ne: !!str bondstone://secret/x\n? bondstone://k\n: z\n",
    "a.env": "# bondstone://secret/none\nexport X=bondstone://secret/x  # c\n\nN = 1.50\nQ='bondstone://secret/x'\nR=\"bondstone://secret/x\"\n",
}  # fmt: skip


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], str]:
    def to(name: str, text: str) -> str:
        (tmp_path / name).write_bytes(text.encode())
        return str(tmp_path / name)

    return to


Write = Callable[[str, str], str]


def resolved(value: Any, secret: object) -> Any:
    """What the reader of a rendered file is to see, from what it sees in the template."""
    if isinstance(value, dict):
        return {key: resolved(item, secret) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, secret) for item in value]
    if value == "bondstone://secret/x":
        return secret
    return value.replace("${bondstone://secret/x}", str(secret)) if isinstance(value, str) else value


@pytest.mark.parametrize("secret", NASTY)
@pytest.mark.parametrize("name", TEMPLATES)
def test_the_format_reads_the_very_value(cli: Cli, write: Write, name: str, secret: str) -> None:
    """In every place where a string can stand; by the library that reads it."""
    Secret(value=secret).save("x")

    ended = cli("render", write(name, TEMPLATES[name]))

    assert ended.code == 0, ended.err
    assert READERS[name](ended.out) == resolved(READERS[name](TEMPLATES[name]), secret)


@pytest.mark.parametrize("name", TEMPLATES)
def test_all_else_stays_as_it_is(cli: Cli, write: Write, name: str) -> None:
    """Comments, order, numbers, line ends and what stands in comments; byte for byte."""
    Secret(value="VALUE").save("x")
    text = TEMPLATES[name].replace("\n", "\r\n")

    ended = bondstone("render", write(name, text))

    expected = text.replace("${bondstone://secret/x}-", "VALUE-")
    for form in ("'''{}'''", '"""{}"""', '"{}"', "'{}'", "|-\r\n  {}", "{}"):
        expected = expected.replace(form.format("bondstone://secret/x"), "<value>")
    squeezed = ended.out.replace('"VALUE"', "<value>").replace("'VALUE'", "<value>")
    assert ended.code == 0, ended.err
    assert squeezed == expected


@pytest.mark.parametrize("value", [7, True, 1.5, None, [1, "a"], {"a": {"b": [None]}}])
def test_values_keep_their_type(cli: Cli, write: Write, value: object) -> None:
    """Numbers stay numbers, and mappings are mappings; TOML has no null."""
    Secret(value=value).save("x")

    for name in ("a.json", "a.yaml", "a.toml"):
        ended = cli(
            "render", write(name, {"a.toml": 'x = "bondstone://secret/x"'}.get(name, '{"x": "bondstone://secret/x"}'))
        )
        if name == "a.toml" and "null" in json.dumps(value):
            assert (ended.code, ended.out) == (INVALID_BLOCK, "")
        else:
            assert READERS[name](ended.out) == {"x": value}, ended.err


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_can_be_written(text: str) -> None:
    """In each format, between its own quotes."""
    span = Span(0, 0, "")

    assert json.loads(in_json.FORMAT.write(text, span)) == text
    assert tomllib.loads("x = " + in_toml.FORMAT.write(text, span))["x"] == text
    assert yaml.load("x: " + in_yaml.FORMAT.write(text, span), yaml.SafeLoader)["x"] == text
    if "\0" not in text and "${" not in text:
        assert dotenv_values(stream=StringIO("X=" + env.FORMAT.write(text, span)))["X"] == text


def test_several_documents_and_fields(cli: Cli, write: Write) -> None:
    """As Kubernetes has them; each block is loaded once."""
    aws = AwsCredentials(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key=SENTINEL).save("prod")
    S3Bucket(bucket="reports", credentials=aws).save("reports")
    text = "a: bondstone://s3-bucket/reports#bucket\n---\nb:\n  - bondstone://aws-credentials/prod#secret_access_key\n"

    assert cli("render", write("k.yml", text)).out == f'a: "reports"\n---\nb:\n  - "{SENTINEL}"\n'


@pytest.mark.parametrize(
    ("name", "text", "code", "told"),
    [
        ("a.yaml", "a: 1\nb: bondstone://secret/none\n", NOT_FOUND, "'a.yaml': line 2: there is no secret"),
        ("a.json", '{"a": 1,\n"b": "bondstone://secret/none"}', NOT_FOUND, "line 2"),
        ("a.toml", 'a = 1\n\nb = "bondstone://secret/none"', NOT_FOUND, "line 3"),
        ("a.env", "A=1\nB=bondstone://secret/none\n", NOT_FOUND, "line 2"),
        ("a.yaml", "a: x-bondstone://secret/x\n", INVALID_NAME, "${bondstone://"),
        ("a.yaml", "a: bondstone://aws-credentials/prod\n", NOT_FOUND, "line 1"),
        ("a.yaml", "a: [SENTINEL\n", USAGE, "is not YAML"),
        ("a.json", '{"a": SENTINEL}', USAGE, "line 1 is not JSON"),
        ("a.toml", "a = SENTINEL", USAGE, "line 1 is not TOML"),
        ("a.env", "A=1\nSENTINEL\nB x\n", USAGE, "line 3 is not NAME=value"),
        ("a.toml", "[\"bondstone://secret/x\"]\na=1\n", USAGE, "no value can"),
        ("a.txt", "bondstone://secret/x", USAGE, ".yaml, .yml, .toml, .json or .env"),
        ("a.json", '{"a": "bondstone://secret/raw"}', INVALID_BLOCK, "bytes"),
        ("a.yaml", "a: bondstone://secret/raw", INVALID_BLOCK, "bytes"),
        ("a.env", "A=bondstone://secret/raw", INVALID_BLOCK, "no text"),
        ("a.env", "A=bondstone://secret/odd", INVALID_BLOCK, "cannot say"),
    ],
)  # fmt: skip
def test_what_cannot_be_rendered_gives_nothing(
    cli: Cli, write: Write, tmp_path: Path, name: str, text: str, code: int, told: str
) -> None:
    """One line with the place, no value, and no file."""
    Secret(value=SENTINEL).save("x")
    Secret(value=b"\xff").save("raw")
    Secret(value=SENTINEL + "${X}").save("odd")
    path, out = write(name, text.replace("SENTINEL", SENTINEL)), tmp_path / "out"

    ended = cli("render", path, "--out", str(out))

    assert (ended.code, ended.out) == (code, ""), ended.err
    assert told in ended.err
    assert ended.err.count("\n") == 1
    assert SENTINEL not in ended.err
    assert not out.exists()


def test_a_file_is_private_and_whole(cli: Cli, write: Write, tmp_path: Path) -> None:
    """Mode 0600, whatever was there; nothing is left beside it, and a link is replaced, not followed."""
    Secret(value=SENTINEL).save("x")
    path, target, out = write("a.json", '"bondstone://secret/x"'), tmp_path / "target", tmp_path / "out.json"
    target.write_text("other")
    out.symlink_to(target)
    before = set(tmp_path.iterdir())

    ended = cli("render", path, "--out", str(out))

    assert (ended.code, ended.out) == (0, "")
    assert json.loads(out.read_text()) == SENTINEL
    assert stat.S_IMODE(out.lstat().st_mode) == 0o600
    assert target.read_text() == "other"
    assert set(tmp_path.iterdir()) == before


def test_the_template_is_not_lost_and_git_does_not_see(cli: Cli, write: Write, tmp_path: Path) -> None:
    """Not over the template itself; not into a work tree unless that is meant."""
    Secret(value=SENTINEL).save("x")
    path = write("a.json", '"bondstone://secret/x"')

    itself = cli("render", path, "--out", path)
    (tmp_path / ".git").mkdir()
    refused, forced = (cli("render", path, "--out", f"{tmp_path}/b.json", *more) for more in ((), ("--force",)))

    assert [itself.code, refused.code, forced.code] == [USAGE, USAGE, 0]
    assert Path(path).read_text() == '"bondstone://secret/x"'
    assert "Git" in refused.err


def test_without_references_a_file_is_what_it_was(cli: Cli, write: Write, data: Path) -> None:
    """And no registry is needed."""
    text = "a: &x [1, {b: c}]\nd: *x\n"

    assert cli("render", write("a.yaml", text)).out == text
    assert not data.exists()


def test_a_yaml_that_holds_itself(cli: Cli, write: Write) -> None:
    """Ends."""
    Secret(value="v").save("x")

    assert cli("render", write("a.yaml", "a: &x [*x, 1]\n")).code == 0
    assert cli("render", write("a.yaml", "a: &x [*x, bondstone://secret/x]\n")).code in (0, USAGE)
