"""Everything that a person types wrong: its exit code, and the exact line that says what to do. Nothing is saved, nothing echoed."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bondstone.blocks import AwsCredentials, Block, IcechunkRepo, InvalidBlock, S3Bucket, Secret
from bondstone.cli.fields import collect
from tests.app.program import PROGRAM, SENTINEL, Ended, bondstone

Cli = Callable[..., Ended]
USAGE, NOT_FOUND, UNKNOWN_KIND, INVALID_NAME, INVALID_BLOCK = 2, 3, 4, 6, 7
KIND_RULE = "a kind is kebab-case, such as"
NAME_RULE = "use lower-case letters, digits, '-', '_', '.', in segments joined by '/', at most 255 characters"
FORMS = "write kind/name, kind/name@3 or kind/name#field"
VALUE = "secret: field 'value'"
INLINE = (
    "secret: 'value' is a secret, and a command line is read by others and kept by the shell: give value=@FILE, value=- (standard input), "
    "or 'value' alone to be asked; if that was the real value, clear the shell's history"
)
OTHER_FILE = "give a file that you can read; a value that begins with @ goes through value=-"
KINDS = [
    (["show", "secert/token"], UNKNOWN_KIND, "unknown kind 'secert': did you mean 'secret'?"),
    (["save", "secert/x", "value=@TOKEN"], UNKNOWN_KIND, "unknown kind 'secert': did you mean 'secret'?"),
    (["history", "secert/token"], UNKNOWN_KIND, "unknown kind 'secert': did you mean 'secret'?"),
    (["rm", "secert/token", "--yes"], UNKNOWN_KIND, "unknown kind 'secert': did you mean 'secret'?"),
    (["ls", "--kind", "secert"], UNKNOWN_KIND, "unknown kind 'secert': did you mean 'secret'?"),
    (["types", "secert"], UNKNOWN_KIND, "unknown kind 'secert': did you mean 'secret'?"),
    (["types", "zzz"], UNKNOWN_KIND, "unknown kind 'zzz': see 'bondstone types'"),
    (["save", "Secret/x", "value=@TOKEN"], INVALID_NAME, f"illegal kind 'Secret': {KIND_RULE} 'secret'"),
    (["show", "AwsCredentials/x"], INVALID_NAME, f"illegal kind 'AwsCredentials': {KIND_RULE} 'aws-credentials'"),
    (["types", "aws_credentials"], INVALID_NAME, f"illegal kind 'aws_credentials': {KIND_RULE} 'aws-credentials'"),
    (["types", "S3 Bucket"], INVALID_NAME, f"illegal kind 'S3 Bucket': {KIND_RULE} 's3-bucket'"),
    (["ls", "--kind", "?"], INVALID_NAME, f"illegal kind '?': {KIND_RULE} 'aws-credentials'"),
]
NAMES = [
    (
        ["save", "s3-bucket/x", "bucket=reports", "credentials=secret/token"],
        "s3-bucket: field 'credentials': expected a reference such as 'aws-credentials/name'",
    ),
    (["save", "secret/My Token", "value=@TOKEN"], f"illegal name 'My Token': {NAME_RULE}; for example 'my-token'"),
    (["save", "secret/PROD", "value=@TOKEN"], f"illegal name 'PROD': {NAME_RULE}; for example 'prod'"),
    (["show", "secret/token "], f"illegal name 'token ': {NAME_RULE}; for example 'token'"),
    (["show", "secret//x"], f"illegal name '/x': {NAME_RULE}; for example 'x'"),
    (["save", "secret", "value=@TOKEN"], f"not a reference: 'secret'; {FORMS}"),
    (["save", "secret/", "value=@TOKEN"], f"not a reference: 'secret/'; {FORMS}"),
    (["show", "/token"], f"not a reference: '/token'; {FORMS}"),
    (["show", "secret:token"], f"not a reference: 'secret:token'; {FORMS}"),
    (["show", "secret token"], f"not a reference: 'secret token'; {FORMS}"),
    (["show", "secret/token@latest"], f"not a reference: 'secret/token@latest'; {FORMS}"),
    (["show", "secret/token@0"], f"not a reference: 'secret/token@0'; {FORMS}"),
    (["show", "secret/token@1@2"], f"not a reference: 'secret/token@1@2'; {FORMS}"),
    (["show", "secret/token#"], f"not a reference: 'secret/token#'; {FORMS}"),
    (["show", "bondstone://secret"], f"not a reference: 'bondstone://secret'; {FORMS}"),
    (
        ["show", "bondstone:/secret/token"],
        "not a reference: 'bondstone:/secret/token'; a URI begins with bondstone://, and kind/name does without",
    ),
    (
        ["show", "https://secret/token"],
        "not a reference: 'https://secret/token'; a URI begins with bondstone://, and kind/name does without",
    ),
    (["save", "secret/x@3", "value=@TOKEN"], "'secret/x@3' names a version or field: write secret/x"),
    (["save", "secret/x#value", "value=@TOKEN"], "'secret/x#value' names a version or field: write secret/x"),
    (["history", "secret/token@1"], "'secret/token@1' names a version or field: write secret/token"),
    (["rm", "secret/token@1", "--yes"], "'secret/token@1' names a version or field: write secret/token"),
    (["audit", "--ref", "secret/token@1"], "'secret/token@1' names a version or field: write secret/token"),
]
MISSING = [
    (["show", "secret/toke"], "there is no secret named 'toke': did you mean 'token'?"),
    (["show", "s3-bucket/b"], "there is no s3-bucket named 'b': save it first, or see 'bondstone ls --kind s3-bucket'"),
    (["show", "secret/token@2"], "there is no secret/token@2: the newest version is 1"),
    (
        ["show", "aws-credentials/prod#secret_key"],
        "aws-credentials has no such field: did you mean 'secret_access_key'?",
    ),
    (["show", "secret/token#zzz"], "secret has no such field: it has value"),
    (
        ["save", "s3-bucket/x", "bucket=reports", "credentials=aws-credentials/pro"],
        "there is no aws-credentials named 'pro': did you mean 'prod'?",
    ),
]
FIELDS = [
    (["secret/x", "valu=@TOKEN"], "secret: unknown field, did you mean 'value'?"),
    (["secret/x", "zzz=@TOKEN"], "secret: unknown field; it has value"),
    (["secret/x"], f"{VALUE} is missing (The value itself): give value=@FILE or value=-"),
    (["secret/x", "value"], "secret: 'value' cannot be asked for without a terminal: give value=- or value=@FILE"),
    (["secret/x", "value=@TOKEN", "value=-"], f"{VALUE} is given more than once"),
    (
        ["git-credentials/x", "token=-", "ssh_passphrase=-"],
        "git-credentials: only one field can be read from standard input",
    ),
    (["secret/x", f"value={SENTINEL}"], INLINE),
    (
        ["secret/x", "value=@/no/such/file"],
        f"{VALUE}: cannot read the file after '@' (No such file or directory): {OTHER_FILE}",
    ),
    (["secret/x", "value=@/"], f"{VALUE}: cannot read the file after '@' (Is a directory): {OTHER_FILE}"),
    (["secret/x", "value=@"], f"{VALUE}: cannot read the file after '@' (not a path): {OTHER_FILE}"),
    (["secret/x", "value=@~nosuchuser/x"], f"{VALUE}: cannot read the file after '@' (not a path): {OTHER_FILE}"),
    (
        ["secret/x", "value=@/dev/null"],
        f"{VALUE}: the file after '@' is empty: did the program that was to write it fail?",
    ),
    (
        ["secret/x", "value=@/dev/zero"],
        f"{VALUE}: is larger than 1 MiB, the most that a block holds: keep it in a file or a bucket",
    ),
    (
        ["s3-bucket/x", "bucket=@BINARY"],
        "s3-bucket: field 'bucket': takes text in UTF-8, and this is none: is it the right file? A binary value goes into a secret block",
    ),
    (["s3-bucket/x"], "s3-bucket: field 'bucket' is missing (Bucket name)"),
    (
        ["s3-bucket/x", "bucket=reports", "path_style=perhaps"],
        "s3-bucket: field 'path_style': Input should be a valid boolean, unable to interpret input",
    ),
    (
        ["s3-bucket/x", "bucket=reports", "credentials=prod"],
        "s3-bucket: field 'credentials': takes the name of a saved block: aws-credentials/NAME",
    ),
    (
        ["icechunk-repo/x", "path=/data", "virtual_chunk_credentials={s3://x/: a}"],
        "icechunk-repo: field 'virtual_chunk_credentials': takes JSON, such as "
        '{"s3://archive/": "aws-credentials/archive"}; this is none (line 1, column 2)',
    ),
]
FIELDS += [
    (
        ["icechunk-repo/x", "path=/data", "virtual_chunk_credentials=" + "[" * 100_000],
        "icechunk-repo: field 'virtual_chunk_credentials': takes JSON, such as "
        '{"s3://archive/": "aws-credentials/archive"}; this is none (all of it)',
    )
]
COMMANDS = [
    (["shwo"], "no such command, did you mean show?; see 'bondstone --help'"),
    (["zzz"], "no such command; see 'bondstone --help'"),
    (["key", "rotat"], "no such command, did you mean rotate?; see 'bondstone key --help'"),
    (["ls", "--limt", "3"], "no such option, did you mean --limit?; see 'bondstone ls --help'"),
    (
        ["ls", "--limit", "-1"],
        "invalid value for '--limit': Input should be greater than or equal to 0; see 'bondstone ls --help'",
    ),
    (
        ["ls", "--offset", "-1"],
        "invalid value for '--offset': Input should be greater than or equal to 0; see 'bondstone ls --help'",
    ),
    (
        ["ls", "--limit", "x"],
        "invalid value for '--limit': Input should be a valid integer, unable to parse string as an integer; see 'bondstone ls --help'",
    ),
    (
        ["init", "--max-ttl", "0"],
        "invalid value for '--max-ttl': Input should be greater than or equal to 1; see 'bondstone init --help'",
    ),
    (["show"], "missing argument 'REF'; see 'bondstone show --help'"),
    (["completion"], "missing argument 'SHELL': bash, zsh, fish; see 'bondstone completion --help'"),
    (
        ["completion", "tcsh"],
        "invalid value for 'SHELL': not one of 'bash', 'zsh', 'fish'; see 'bondstone completion --help'",
    ),
    (["show", "secret/token", "c"], "too many arguments; see 'bondstone show --help'"),
    (["save"], "give KIND/NAME, such as secret/token: nobody can be asked here; 'bondstone types' lists the kinds"),
    (["rm", "secret/token"], "'rm' deletes all versions of secret/token: add --yes, since nobody can be asked here"),
    (["show", "secret/token#value"], "'secret/token#value' is a secret: add --reveal to show it"),
    (
        ["audit", "--since", "yesterday"],
        "--since is a time, such as 2026-11-21 or 2026-11-21T12:00 (UTC), or how long ago, such as 90s, 15m, 2h, 7d",
    ),
]
CASES = [
    *KINDS,
    *((arguments, INVALID_NAME, line) for arguments, line in NAMES),
    *((arguments, NOT_FOUND, line) for arguments, line in MISSING),
    *((["save", *arguments], INVALID_BLOCK, line) for arguments, line in FIELDS),
    *((arguments, USAGE, line) for arguments, line in COMMANDS),
]


@pytest.fixture
def saved(home: Path) -> list[str]:
    """What there is."""
    Secret(value="v").save("token")
    AwsCredentials(profile="me").save("prod")
    return Block.names()


@pytest.mark.parametrize(("arguments", "code", "line"), CASES, ids=[" ".join(case[0])[:80] for case in CASES])
def test_the_line_says_what_to_do(
    cli: Cli, saved: list[str], tmp_path: Path, arguments: list[str], code: int, line: str
) -> None:
    """One line, by the exit code of its kind."""
    (tmp_path / "token").write_text(SENTINEL)
    (tmp_path / "binary").write_bytes(b"\xff\x00")

    typed = [word.replace("TOKEN", f"{tmp_path}/token").replace("BINARY", f"{tmp_path}/binary") for word in arguments]
    ended = cli(*typed)

    assert ended == (code, "", f"bondstone: {line}\n")
    assert Block.names() == saved


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (IcechunkRepo, "virtual_chunk_credentials={" + SENTINEL),
        (S3Bucket, "bucket=@BINARY"),
        (Secret, f"value=@/{SENTINEL}"),
    ],
)
def test_a_refusal_holds_nothing_of_what_was_refused(home: Path, tmp_path: Path, kind: type[Block], word: str) -> None:
    """Python's own errors have the text, the bytes or the path in them: none is left behind ours."""
    (tmp_path / "binary").write_bytes(b"\xff" + SENTINEL.encode())

    with pytest.raises(InvalidBlock) as caught:
        collect(kind, [word.replace("BINARY", f"{tmp_path}/binary")])

    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("size", [1024 * 1024 + 1, 50_000_000])
def test_a_huge_value_is_refused(home: Path, tmp_path: Path, size: int) -> None:
    """From a file or standard input; an input without end is not read to its end."""
    line = f"bondstone: {VALUE}: is larger than 1 MiB, the most that a block holds: keep it in a file or a bucket\n"
    (tmp_path / "big").write_bytes(b"x" * size)

    from_file = bondstone("save", "secret/x", f"value=@{tmp_path}/big")
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as endless:
        ended = subprocess.run(
            [*PROGRAM, "save", "secret/x", "value=-"], stdin=endless.stdout, capture_output=True, timeout=60
        )
        endless.kill()

    assert from_file == (INVALID_BLOCK, "", line)
    assert (ended.returncode, ended.stderr.decode()) == (INVALID_BLOCK, line)
    assert Block.names() == []


def test_empty_standard_input_is_no_value(home: Path) -> None:
    """A pipe whose first program failed brings nothing; an empty secret would take the place of the real one."""
    ended = bondstone("save", "secret/x", "value=-")

    assert ended.code == INVALID_BLOCK
    assert ended.err == f"bondstone: {VALUE}: standard input is empty: did the program that was to write it fail?\n"


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="has no /proc")
def test_a_file_that_cannot_be_read_is_told(cli: Cli) -> None:
    """The reason is said; this one nobody can read from its begin, root neither."""
    ended = cli("save", "secret/x", "value=@/proc/self/mem")

    assert ended.code == INVALID_BLOCK
    assert ended.err.startswith(f"bondstone: {VALUE}: cannot read the file after '@' (")
    assert ended.err.endswith(f"): {OTHER_FILE}\n")


@pytest.mark.parametrize(
    ("arguments", "out"),
    [
        (["show", "bondstone://secret/token", "--reveal"], "value\tv\n"),
        (["show", "bondstone://secret/token@1#value", "--reveal"], None),
        (["history", "bondstone://secret/token"], None),
        (["audit", "--ref", "bondstone://secret/token"], None),
        (["save", "bondstone://secret/other", "value=@TOKEN"], "saved secret/other@1\n"),
        (
            ["save", "s3-bucket/b", "bucket=reports", "credentials=bondstone://aws-credentials/prod"],
            "saved s3-bucket/b@1\n",
        ),
        (["rm", "bondstone://secret/token", "--yes"], "deleted secret/token\n"),
    ],
)
def test_a_uri_is_a_name(saved: list[str], tmp_path: Path, arguments: list[str], out: str | None) -> None:
    """Wherever kind/name is: what stands in a file can be pasted."""
    (tmp_path / "token").write_text("v")

    ended = bondstone(*(word.replace("TOKEN", f"{tmp_path}/token") for word in arguments))

    assert (ended.code, ended.err) == (0, "")
    assert out in (None, ended.out)
