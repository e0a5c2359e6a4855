"""What each command imports, which is most of what it takes to start."""

import subprocess
import sys
from pathlib import Path

import pytest

from bondstone.blocks import S3Bucket, Secret
from tests.app.program import COMMANDS

HEAVY = {"sqlalchemy", "alembic", "rich", "asyncio", "boto3", "botocore", "obstore", "s3fs", "icechunk", "arraylake", "zarr", "xarray",
    "prefect", "distributed", "dask", "numpy", "pandas", "psycopg", "hvac", "requests", "httpx", "keyring", "moto"}  # fmt: skip
NEEDED = {
    "copy": {"sqlalchemy", "alembic", "asyncio"},  # it makes a registry
    "import aws-secrets-manager": {"boto3", "botocore", "requests", "asyncio"},
}
TRIED = [
    *(["--help"], ["--version"], ["init"], ["save", "secret/y", "value=@TMP/v"], ["show", "secret/missing"]),
    *(
        ["show", "secret/x"],
        ["show", "s3-bucket/b", "--json"],
        ["ls"],
        ["history", "secret/x"],
        ["rm", "secret/x", "--yes"],
    ),
    *(["types"], ["types", "icechunk-repo"], ["audit"], ["audit", "verify"], ["audit", "checkpoint"], ["key", "ls"]),
    *(["who", "secret/x"], ["scan", "TMP/plain.toml"], ["mask", "secret/x"]),
    *(
        ["key", "check"],
        ["key", "add", "key-file:TMP/keys/k"],
        ["key", "rotate"],
        ["key", "export-recovery", "--to", "TMP/keys/r"],
    ),
    *(
        ["key", "remove", "none", "--yes"],
        ["backup", "TMP/backup", "--key-file", "TMP/keys/b"],
        ["restore", "TMP/none"],
    ),
    *(
        ["rotate", "secret/x", "value=@TMP/v"],
        ["rotate", "--due"],
        ["rollback", "secret/x"],
        ["verify", "secret/x"],
        ["rotations"],
        ["log", "none"],
        ["diff", "none", "a"],
        ["rollback-data", "none", "--to", "a", "--yes"],
    ),
    *(
        ["run", "--", "true"],
        ["render", "TMP/plain.toml"],
        ["plan", "TMP/blocks.yaml"],
        ["apply", "TMP/blocks.yaml"],
        ["import", "dotenv", "TMP/plain.env"],
        ["import", "airflow", "TMP/plain.env"],
        ["import", "prefect"],
        ["import", "aws-secrets-manager"],
        ["export", "dotenv", "secret/x"],
    ),
    *(["copy", "--to", "sqlite:///TMP/other/copy.db"], ["doctor"], ["completion", "bash"], ["demo", "--help"]),
]


def test_every_command_is_tried_below() -> None:
    """So that a new one is told how much it may import."""
    tried = {" ".join(arguments) for arguments in TRIED}
    groups = {command[:-1] for command in COMMANDS if len(command) > 1}

    assert not [
        command
        for command in COMMANDS
        if command not in groups and not any(f"{' '.join(command)} " in f"{one} " for one in tried)
    ]


@pytest.mark.parametrize("arguments", TRIED, ids=" ".join)
def test_a_start_imports_little(home: Path, tmp_path: Path, arguments: list[str]) -> None:
    """No command loads a vendor's library, nor SQLAlchemy and Alembic where nothing is made; rich is for terminals."""
    Secret(value="v").save("x")
    S3Bucket(bucket="reports").save("b")
    for name, text in {"v": "w", "plain.toml": "", "plain.env": "A=b\n", "blocks.yaml": "secret/y: {}\n"}.items():
        (tmp_path / name).write_text(text)
    typed = [word.replace("TMP", str(tmp_path)) for word in arguments]
    code = (
        f"import sys, atexit; sys.argv = ['bondstone', *{typed}]\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\nfrom bondstone.cli import main; sys.exit(main())"
    )

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    loaded = {name.partition(".")[0] for name in ended.stderr.split()}
    assert "unexpected" not in ended.stderr
    assert {"typer", "bondstone"} <= loaded
    assert loaded & HEAVY <= NEEDED.get(" ".join(arguments[: 2 if arguments[0] == "import" else 1]), set())
