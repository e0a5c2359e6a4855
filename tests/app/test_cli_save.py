"""`bondstone save`: what it takes, what it refuses, and that no refusal echoes a value."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bondstone.blocks import AwsCredentials, Block, GitCredentials, IcechunkRepo, S3Bucket, Secret
from tests.app.program import SENTINEL, Ended, bondstone, on_a_terminal

Cli = Callable[..., Ended]
USAGE, NOT_FOUND, UNKNOWN_KIND, CONFLICT, INVALID_NAME, INVALID_BLOCK = 2, 3, 4, 5, 6, 7

PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token.txt"
    path.write_text(SENTINEL + "\n")
    return path


def test_standard_input_is_a_value(home: Path) -> None:
    """`value=-` reads to the end; the one line end that `echo` adds is left out."""
    ended = bondstone("save", "secret/token", "value=-", stdin=f"{SENTINEL}\n".encode())

    assert (ended.code, ended.out) == (0, "saved secret/token@1\n")
    assert Secret.load("token").get() == SENTINEL
    assert SENTINEL not in ended.err


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"one\n", "one"),
        (b"one\r\n", "one"),
        (b"one\n\n", "one\n\n"),
        (PEM.encode(), PEM),
        (PEM.replace("\n", "\r\n").encode(), PEM.replace("\n", "\r\n")),
        (PEM.rstrip().encode(), PEM.rstrip()),
        (b"{\n}\n", "{\n}\n"),
        (b" one ", " one "),
        (b"007", "007"),
        (b'{"a": 1}', '{"a": 1}'),
        (b"\xff\x00\n", b"\xff\x00\n"),
    ],
)
@pytest.mark.shows_secrets("value")
def test_a_file_is_a_value(cli: Cli, tmp_path: Path, content: bytes, value: object) -> None:
    """One line loses its line end and stays text, whatever it looks like; several lines, and what is no text, are kept exactly."""
    (tmp_path / "value").write_bytes(content)

    assert cli("save", "secret/x", f"value=@{tmp_path}/value").code == 0

    assert Secret.load("x").get() == value


@pytest.mark.shows_secrets("token.txt")
def test_plain_fields_are_typed(cli: Cli, token: Path) -> None:
    """What is no text is read as what the field says; a block is named by its reference, in either form."""
    cli("save", "aws-credentials/prod", "access_key_id=AKIAIOSFODNN7EXAMPLE", f"secret_access_key=@{token}")

    for reference in ("aws-credentials/prod", "bondstone://aws-credentials/prod"):
        saved = cli(
            *("save", "s3-bucket/b", "bucket=reports", "path_style=true", f"credentials={reference}", "--overwrite")
        )
        assert saved.code == 0, saved.err

    bucket = S3Bucket.load("b")
    assert bucket.path_style is True
    assert bucket.credentials == AwsCredentials.load("prod")


@pytest.mark.shows_secrets("token.txt")
def test_a_mapping_is_json(cli: Cli, token: Path) -> None:
    """A field that takes a mapping reads JSON with references in it; blocks written out are refused, for their secrets."""
    cli("save", "aws-credentials/a", "access_key_id=AKIAIOSFODNN7EXAMPLE", f"secret_access_key=@{token}")
    save = ("save", "icechunk-repo/r", "path=/data/ocean")

    good = cli(*save, 'virtual_chunk_credentials={"s3://x/": "aws-credentials/a"}')
    broken = cli(*save, f"virtual_chunk_credentials={SENTINEL}")
    inline = cli(*save, f'virtual_chunk_credentials={{"s3://x/": {{"secret_access_key": "{SENTINEL}"}}}}')

    assert good.code == 0, good.err
    assert "s3://x/" in IcechunkRepo.load("r").virtual_chunk_credentials
    assert (broken.code, inline.code) == (INVALID_BLOCK, INVALID_BLOCK)
    assert SENTINEL not in broken.err + inline.err


@pytest.mark.shows_secrets("token.txt")
def test_a_taken_name_is_kept(cli: Cli, token: Path) -> None:
    """Without --overwrite a taken name is a conflict that tells of it; with it, a second version."""
    save = ("save", "secret/x", f"value=@{token}")
    cli(*save)

    again, over = cli(*save), cli(*save, "--overwrite")

    assert again.code == CONFLICT
    assert "--overwrite" in again.err
    assert over.out == "saved secret/x@2\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["secret/x", f"value={SENTINEL}"],
        ["secret/x", f"value={SENTINEL}", "extra"],
        ["secret/x", f"value={SENTINEL}", "--no-such-option"],
        ["secret/x", f"--value={SENTINEL}"],
        ["secret/x", "--value", SENTINEL],
        ["secret/x", f"-p{SENTINEL}"],
        ["secret/x", SENTINEL],
        ["secret/x", f"{SENTINEL}=="],
        ["secret/x", f"valeu={SENTINEL}"],
        ["secret/x", f"value=@{SENTINEL}"],
        ["secret/x", "value=@/dev/null", f"value={SENTINEL}"],
        ["aws-credentials/x", f"session_token={SENTINEL}"],
        ["aws-credentials/x", f"endpoint={SENTINEL}"],
        ["git-repository/x", f"url=https://user:{SENTINEL}@example.org/x.git"],
        ["s3-bucket/x", f"bucket={SENTINEL}"],
        ["s3-bucket/x", "bucket=reports", f"path_style={SENTINEL}"],
        ["secret/ema_s3ntinel-Value-9", "value=-"],
        ["secret/AKIAIOSFODNN7s3ntinel-Value-9", "value=-"],
        ["ema_s3ntinel-Value-9"],
    ],
)
def test_a_value_in_the_wrong_place_is_not_echoed(cli: Cli, arguments: list[str]) -> None:
    """Whatever is wrong with the command, and wherever the secret was put: it is not shown, nor saved."""
    ended = cli("save", *arguments)

    assert ended.code in (USAGE, INVALID_NAME, INVALID_BLOCK)
    assert SENTINEL not in ended.out + ended.err
    assert Block.names() == []


def test_a_secret_on_the_command_line_is_told_the_safe_ways(cli: Cli) -> None:
    """The refusal names the file, the standard input and the prompt."""
    ended = cli("save", "secret/x", f"value={SENTINEL}")

    assert ended.code == INVALID_BLOCK
    assert all(way in ended.err for way in ("value=@FILE", "value=-", "'value' alone"))


def test_a_missing_secret_is_asked_for_unseen(home: Path) -> None:
    """On a terminal the program asks; what is typed does not appear."""
    ended = on_a_terminal("save", "secret/x", "value", answers=(SENTINEL,))

    assert ended.code == 0
    assert "value (The value itself): " in ended.out
    assert SENTINEL not in ended.out
    assert Secret.load("x").get() == SENTINEL


def test_a_dash_on_a_terminal_is_a_prompt_too(home: Path) -> None:
    """Standard input would show what is typed."""
    ended = on_a_terminal("save", "secret/x", "value=-", answers=(SENTINEL,))

    assert ended.code == 0
    assert SENTINEL not in ended.out


def test_a_secret_that_begins_with_an_at_sign(home: Path) -> None:
    """Where @FILE is read it is no value, and the line says where it is one."""
    refused = on_a_terminal("save", "secret/x", "value", answers=(f"@{SENTINEL}", "\x04"))
    saved = on_a_terminal("save", "secret/x", "value=-", answers=(f"@{SENTINEL}",))

    assert "a value that begins with @ goes through value=-" in refused.out
    assert saved.code == 0
    assert SENTINEL not in refused.out + saved.out
    assert Secret.load("x").get() == f"@{SENTINEL}"


def test_every_field_is_asked_for(home: Path) -> None:
    """Without a FIELD a terminal is asked field by field: Enter skips what is optional, and a required one is asked again."""
    ended = on_a_terminal("save", "s3-bucket/b", answers=("", "reports", "", "eu-central-1", "", "yes", "", ""))

    assert ended.code == 0, ended.out
    assert "bucket is required" in ended.out
    assert S3Bucket.load("b") == S3Bucket(bucket="reports", region="eu-central-1", path_style=True)


def test_secrets_among_all_the_fields_are_unseen(home: Path) -> None:
    """The optional secrets are asked for as well, hidden."""
    answers = ("me", SENTINEL, "", "", "", "", "")

    ended = on_a_terminal("save", "git-credentials/ci", answers=answers)

    assert ended.code == 0, ended.out
    assert SENTINEL not in ended.out
    assert GitCredentials.load("ci").username == "me"


@pytest.mark.shows_secrets("key.pem")
def test_a_private_key_is_too_long_for_a_prompt(home: Path, tmp_path: Path) -> None:
    """A prompt takes one line, and the next ones must not go to the shell: it says how, and asks again."""
    (tmp_path / "key.pem").write_text(PEM)

    ended = on_a_terminal("save", "secret/x", "value", answers=("-----BEGIN PRIVATE KEY-----", f"@{tmp_path}/key.pem"))

    assert ended.code == 0
    assert "This has several lines, and a prompt takes one: answer @FILE" in ended.out
    assert Secret.load("x").get() == PEM


def test_what_a_terminal_would_cut_is_not_taken(home: Path) -> None:
    """The kernel drops what is beyond its line buffer, silently: half a secret would be saved."""
    ended = on_a_terminal("save", "secret/x", "value", answers=("v" * 5000, "short"))

    assert ended.code == 0
    assert "A terminal takes 4095 bytes a line" in ended.out
    assert Secret.load("x").get() == "short"


def test_end_of_input_at_a_prompt_saves_nothing(home: Path) -> None:
    """Ctrl-D is a no; Ctrl-C ends with 130, as signals do."""
    left = on_a_terminal("save", "secret/x", answers=("\x04",))
    interrupted = on_a_terminal("save", "secret/x", answers=("\x03",))

    assert (left.code, interrupted.code) == (1, 130)
    assert Block.names() == []
