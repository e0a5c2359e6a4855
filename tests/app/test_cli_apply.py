"""`bondstone plan` and `apply`: files say what blocks there are, never what their secrets are."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bondstone.blocks import AwsCredentials, Block, GitRepository, IcechunkRepo, S3Bucket, Secret
from bondstone.cli import apply, described
from bondstone.cli.changes import carry_out
from tests.app.program import SENTINEL, Ended, bondstone

pytestmark = pytest.mark.shows_secrets("token.txt", "blocks.yaml")  # files that the tests hand in, or ask for

Cli = Callable[..., Ended]
Write = Callable[..., str]
USAGE, NOT_FOUND, UNKNOWN_KIND, INVALID_NAME, INVALID_BLOCK = 2, 3, 4, 6, 7

REPORTS = """
prefix: team/
blocks:
  s3-bucket/team/reports:            # before what it is made of
    bucket: reports
    path_style: yes
    credentials: aws-credentials/team/prod
  aws-credentials/team/prod:
    access_key_id: AKIAIOSFODNN7EXAMPLE
    secret_access_key: ${BLOCKS_KEY}
  secret/team/token:
    value: "@token.txt"
  secret/team/pair: {value: {user: "${BLOCKS_USER}", token: bondstone://secret/team/token}}
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file; gives its path. What the files refer to is there."""
    monkeypatch.setenv("BLOCKS_KEY", SENTINEL)
    monkeypatch.setenv("BLOCKS_USER", "somebody")
    monkeypatch.setenv("EMPTY", "")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "token.txt").write_text(f"{SENTINEL}-token\n")

    def to(text: str, name: str = "blocks.yaml") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return to


def did(ended: Ended) -> dict[str, str]:
    """What was done to each block."""
    assert ended.code == 0, ended.err
    return {row.split("\t")[1]: row.split("\t")[0] for row in ended.out.splitlines()}


def test_files_become_blocks(cli: Cli, write: Write) -> None:
    """In an order that works, with live references; variables, files and other blocks give the secrets."""
    ended = cli("apply", write(REPORTS))

    assert list(did(ended).values()) == ["create"] * 4
    bucket = S3Bucket.load("team/reports")
    assert (bucket.path_style, bucket.credentials and bucket.credentials.reference) == (
        True,
        "aws-credentials/team/prod",
    )
    assert Secret.load("team/pair").get() == {"user": "somebody", "token": f"{SENTINEL}-token"}
    assert SENTINEL not in ended.out + ended.err


def test_a_plan_writes_nothing(cli: Cli, write: Write, data: Path) -> None:
    """Not even a registry; and it says what apply then does."""
    planned = cli("plan", write(REPORTS))

    assert not data.exists()
    assert planned.out == cli("apply", write(REPORTS)).out
    assert cli("plan", write(REPORTS)).out == cli("apply", write(REPORTS)).out


def test_equal_blocks_get_no_version(cli: Cli, write: Write) -> None:
    """Applied again nothing is saved; changed somewhere, that block alone is."""
    path = write(REPORTS)
    cli("apply", path)

    assert set(did(cli("apply", path)).values()) == {"same"}
    assert len(S3Bucket.history("team/reports")) == 1


def test_a_changed_secret_is_told_by_its_field(cli: Cli, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bucket that holds the credentials by reference is the same as before."""
    path = write(REPORTS)
    cli("apply", path)
    monkeypatch.setenv("BLOCKS_KEY", f"{SENTINEL}-new")

    planned = cli("plan", path)
    applied = cli("apply", path)

    assert "change\taws-credentials/team/prod\tsecret_access_key\n" in planned.out
    assert did(applied)["s3-bucket/team/reports"] == "same"
    assert SENTINEL not in planned.out + applied.out
    bucket = S3Bucket.load("team/reports")
    assert bucket.credentials
    assert bucket.credentials.version == 2
    assert bucket.credentials == AwsCredentials.load("team/prod")


def test_json_has_no_values_either(cli: Cli, write: Write) -> None:
    """The same three things."""
    ended = cli("plan", write(REPORTS), "--json")

    rows = json.loads(ended.out)

    assert [set(row) for row in rows] == [{"action", "reference", "fields"}] * 4
    assert SENTINEL not in ended.out


def test_a_field_that_is_left_out_has_its_default_again(cli: Cli, write: Write) -> None:
    """The file is all of the block."""
    cli("apply", write("blocks:\n  s3-bucket/b: {bucket: reports, region: eu-central-1}\n"))

    ended = cli("apply", write("blocks:\n  s3-bucket/b: {bucket: reports}\n"))

    assert ended.out == "change\ts3-bucket/b\tregion\n"
    assert S3Bucket.load("b").region is None


def test_text_stays_as_it_is_written(cli: Cli, write: Write) -> None:
    """YAML's guesses do not come between: 1.10 is no number, and no country is a no."""
    cli("apply", write("blocks:\n  git-repository/r: {url: https://example.org/r, branch: 1.10, subpath: no}\n"))

    repository = GitRepository.load("r")

    assert (repository.branch, repository.subpath, repository.tag) == ("1.10", "no", None)


def test_blocks_in_a_mapping_and_at_a_version(cli: Cli, write: Write) -> None:
    """A field that holds several; a version stays the one that is named."""
    AwsCredentials(profile="first").save("other")
    AwsCredentials(profile="second").save("other", overwrite=True)
    text = """
blocks:
  aws-credentials/mine: {profile: mine}
  icechunk-repo/ocean:
    path: /data/ocean
    virtual_chunk_credentials: {"s3://a/": aws-credentials/mine, "s3://b/": bondstone://aws-credentials/other@1}
"""

    assert set(did(cli("apply", write(text))).values()) == {"create"}

    found = IcechunkRepo.load("ocean").virtual_chunk_credentials
    assert {url: (aws.reference, aws.version) for url, aws in found.items() if aws} == {
        "s3://a/": ("aws-credentials/mine", 1),
        "s3://b/": ("aws-credentials/other", 1),
    }
    assert set(did(cli("apply", write(text))).values()) == {"same"}


def test_several_files(cli: Cli, write: Write) -> None:
    """One may hold what the other needs, in either order; one block in two of them is an error that names both."""
    a = write("blocks:\n  s3-bucket/b: {bucket: reports, credentials: aws-credentials/a}\n", "a.yaml")
    b = write("blocks:\n  aws-credentials/a: {profile: x}\n", "b.yaml")

    twice = cli("apply", a, b, a)
    good = cli("apply", a, b)

    assert twice.code == USAGE
    assert twice.err.count("'a.yaml': line 2") == 2
    assert list(did(good)) == ["aws-credentials/a", "s3-bucket/b"]


def test_prune_deletes_below_the_prefix_alone(cli: Cli, write: Write) -> None:
    """And only when it is asked to; the plan shows it."""
    cli("apply", write(REPORTS))
    for name in ("team/old", "team2/x", "other", "team"):
        Secret(value="x").save(name)
    path = write(REPORTS)

    without, planned = cli("apply", path), cli("plan", path, "--prune")
    assert "delete" not in without.out
    assert planned.out.endswith("delete\tsecret/team/old\t\n")
    assert "secret/team/old" in Block.names()
    applied = cli("apply", path, "--prune")

    assert applied.out == planned.out
    assert Secret.names() == ["other", "team", "team/pair", "team/token", "team2/x"]


def test_prune_of_a_file_that_is_empty_now(cli: Cli, write: Write) -> None:
    """The last block of a file can go too."""
    cli("apply", write("prefix: team/\nblocks:\n  secret/team/a: {value: '${BLOCKS_KEY}'}\n"))

    assert cli("apply", write("prefix: team/\nblocks:\n"), "--prune").out == "delete\tsecret/team/a\t\n"


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("blocks:\n  secret/a: {value: SENTINEL}", INVALID_BLOCK, '${VARIABLE}, "@file" or bondstone://'),
        ("blocks:\n  secret/a: {value: {user: SENTINEL}}", INVALID_BLOCK, "in clear"),
        ("blocks:\n  secret/a: {value: ['${BLOCKS_KEY}', 7]}", INVALID_BLOCK, "in clear"),
        (
            "blocks:\n  aws-credentials/a: {access_key_id: A, secret_access_key: 'x-${BLOCKS_KEY}'}",
            INVALID_BLOCK,
            "in clear",
        ),
        ("blocks:\n  aws-credentials/a: {access_key_id: A, secret_access_key: x}", INVALID_BLOCK, "in clear"),
        ("blocks:\n  aws-credentials/a: {acces_key_id: SENTINEL}", INVALID_BLOCK, "did you mean 'access_key_id'?"),
        ("blocks:\n  secret/a: {value: '${NOT_THERE}'}", INVALID_BLOCK, "NOT_THERE is not set"),
        ("blocks:\n  secret/a: {value: '${EMPTY}'}", INVALID_BLOCK, "EMPTY is not set, or empty"),
        ("blocks:\n  secret/a: {value: '@none.txt'}", USAGE, "No such file"),
        ("blocks:\n  secret/a: {value: '@empty.txt'}", INVALID_BLOCK, "'empty.txt' is empty"),
        ("blocks:\n  secret/a: {value: '@/dev/zero'}", USAGE, "larger than 1 MiB"),
        ("blocks:\n  secret/a: {value: @token.txt}", USAGE, "stands in quotes"),
        ("blocks:\n  secret/a: {value: 'bondstone://secret/none'}", NOT_FOUND, "line 2: there is no"),
        ("blocks:\n  secret/a:", INVALID_BLOCK, "'value' is missing"),
        ("blocks:\n  s3-bucket/a: {bucket: r, credentials: aws-credentials/none}", NOT_FOUND, "line 2"),
        ("blocks:\n  s3-bucket/a: {bucket: reports, credentials: secret/good}", INVALID_BLOCK, "'credentials'"),
        (
            "blocks:\n  icechunk-repo/a: {path: /x, virtual_chunk_credentials: {a: SENTINEL}}",
            INVALID_BLOCK,
            "takes references",
        ),
        (
            "blocks:\n  s3-bucket/a: {bucket: r, credentials: {access_key_id: A, secret_access_key: SENTINEL}}",
            INVALID_BLOCK,
            "takes references",
        ),
        ("blocks:\n  secert/a: {value: x}", UNKNOWN_KIND, "did you mean 'secret'?"),
        ("blocks:\n  secret/My A: {value: x}", INVALID_NAME, "'my-a'"),
        ("blocks:\n  secret/a@1: {value: x}", INVALID_NAME, "secret/a"),
        ("blocks:\n  secret/a: {value: SENTINEL}\n  secret/a: {value: x}", USAGE, "line 3: 'secret/a' is there twice"),
        ("blocks:\n  secret/a: {value: SENTINEL, value: x}", USAGE, "'value' is there twice"),
        ("blocks:\n  s3-bucket/a: {<<: {bucket: SENTINEL}}", USAGE, "a key is a text"),
        ("blocks:\n  secret/a: {value: {a: '${BLOCKS_KEY}', a: SENTINEL}}", USAGE, "'a' is there twice"),
        ("blocks:\n  secret/a: {value: {[SENTINEL]: x}}", USAGE, "a key is a text"),
        ("blocks:\n  secret/a: {value: &x [*x]}", USAGE, "holds itself"),
        ("blocks: [secret/a]", USAGE, "a mapping belongs here"),
        ("blocks: {secret/a: SENTINEL}", USAGE, "a mapping belongs here"),
        ("secret/a: {value: SENTINEL}", USAGE, "at the top stands 'blocks'"),
        ("", USAGE, "at the top stands 'blocks'"),
        ("blocks: {}\nblock: SENTINEL", USAGE, "nothing else"),
        ("blocks: {secret/a: {value: SENTINEL}", USAGE, "is not YAML"),
        ("blocks: {}\n---\nblocks: {}", USAGE, "is not YAML"),
        ("blocks: {secret/a: {value: !SENTINEL x}}", INVALID_BLOCK, "in clear"),
        ("blocks: {secret/a: {value: *SENTINEL}}", USAGE, "is not YAML"),
        ("blocks: \x07SENTINEL", USAGE, "is not YAML"),
        ("prefix: team\nblocks: {}", USAGE, "team/"),
        ("prefix: Team/\nblocks: {}", INVALID_NAME, "'team'"),
        ("prefix: team/\nblocks:\n  s3-bucket/a: {bucket: reports}", USAGE, "not below the prefix 'team/'"),
        (
            "blocks:\n  secret/a: {value: bondstone://secret/b}\n  secret/b: {value: bondstone://secret/a}",
            INVALID_BLOCK,
            "a circle",
        ),
    ],
)
@pytest.mark.parametrize("verb", ["plan", "apply"])
def test_what_is_wrong_keeps_all_from_being_written(
    cli: Cli, write: Write, verb: str, text: str, code: int, told: str
) -> None:
    """One line says where and what, without what stands there; the good block beside it is not saved."""
    good = write("blocks:\n  secret/good: {value: '${BLOCKS_KEY}'}\n", "good.yaml")

    ended = cli(verb, good, write(text.replace("SENTINEL", SENTINEL)))

    assert (ended.code, ended.out) == (code, ""), ended.err
    assert told in ended.err
    assert ended.err.startswith("bondstone: ")
    assert ended.err.count("\n") == 1
    assert SENTINEL not in ended.err
    assert Block.names() == []


def test_the_program_shows_nothing_of_it_either(write: Write) -> None:
    """In a process of its own, with every warning: a secret in clear, or one that its block refuses."""
    clear = bondstone("apply", write(f"blocks:\n  secret/a: {{value: {SENTINEL}}}\n"))
    refused = bondstone("apply", write("blocks:\n  arraylake-token/a: {token: '${BLOCKS_KEY}'}\n"))

    assert (clear.code, refused.code) == (INVALID_BLOCK, INVALID_BLOCK)
    assert "this is not an Arraylake token" in refused.err
    assert SENTINEL not in clear.out + clear.err + refused.out + refused.err


def test_prune_without_a_prefix_is_refused(cli: Cli, write: Write) -> None:
    """All of the registry is never meant."""
    ended = cli("apply", write("blocks: {}"), "--prune")

    assert ended.code == USAGE
    assert "prefix: team/" in ended.err


@pytest.mark.parametrize("name", ["none.yaml", "folder"])
def test_a_file_that_cannot_be_read(cli: Cli, tmp_path: Path, name: str) -> None:
    """Is told by its name."""
    (tmp_path / "folder").mkdir()

    ended = cli("plan", str(tmp_path / name))

    assert ended.code == USAGE
    assert f"cannot read '{name}'" in ended.err


def test_somebody_elses_change_is_not_lost(cli: Cli, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was saved after the plan was made is a conflict."""
    cli("apply", write(REPORTS))
    monkeypatch.setenv("BLOCKS_KEY", f"{SENTINEL}-new")
    changes = apply._changes(described.read([Path(write(REPORTS))]), False)
    AwsCredentials(profile="theirs").save("team/prod", overwrite=True)

    with pytest.raises(ValueError, match="version"):
        carry_out(changes)

    assert AwsCredentials.load("team/prod").profile == "theirs"


def test_the_example_of_the_page(cli: Cli, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/declarative.md shows can be applied as it stands there."""
    page = (Path(__file__).parents[2] / "docs/declarative.md").read_text()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SENTINEL)
    monkeypatch.setenv("LOGIN_USER", "me")

    ended = cli("apply", write(page.partition("```text\n")[2].partition("```")[0]))

    assert set(did(ended).values()) == {"create"}
    assert Secret.load("team/login").get() == {"user": "me", "password": f"{SENTINEL}-token"}
