"""The demo, as `make demo` runs it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bondstone.blocks import InvalidSettings, Secret
from bondstone.cli.demo.folder import prepared
from bondstone.cli.demo.hunt import hunt
from tests.app.program import Ended, bondstone


def demo(engine: str, folder: Path) -> Ended:
    environment = {"NO_PROXY": "127.0.0.1", "PYTHONWARNINGS": "default"}
    return bondstone("demo", "--engine", engine, "--folder", str(folder), environment=environment)


@pytest.mark.parametrize("engine", ["plain", "dask", "prefect"])
def test_the_demo_ends_with_its_summary(tmp_path: Path, engine: str) -> None:
    """Blocks and versions, commits, objects, audit lines, no secret in clear, a picture, and what to try next."""
    folder = tmp_path / "demo"

    ended = demo(engine, folder)

    assert ended.code == 0, ended.err
    assert re.search(r"aws-credentials/prod\s+│ 1, 2", ended.out)
    assert ended.out.count("Seasonal averages") == ended.out.count("Monthly means") == 2
    assert "edition-2/seasonal.csv.hmac" in ended.out
    assert re.search(r"Audit log: \d\d+ lines", ended.out)
    assert re.search(r"Searched for 3 secrets in \d+ files .*: 0 found in clear", ended.out)
    assert ended.out.count("bondstone s") == 2
    assert "bondstone ls" in ended.out
    assert (folder / "seasons.png").read_bytes().startswith(b"\x89PNG")
    assert "Traceback" not in ended.err


def test_what_it_leaves_opens_with_the_commands(tmp_path: Path) -> None:
    """A second run begins anew, and its registry is a registry like any other."""
    folder = tmp_path / "demo"
    demo("plain", folder)

    again = demo("plain", folder)

    places = {
        "BONDSTONE_REGISTRY": f"sqlite:///{folder}/registry/registry.db",
        "BONDSTONE_KEY_FILE": f"{folder}/key/key",
    }
    listed = json.loads(bondstone("ls", "--json", environment=places).out)
    shown = bondstone("show", "secret/report-signing-key#value", "--reveal", environment=places).out
    assert again.code == 0
    assert {item["name"] for item in listed} == {"ocean", "prod", "report-signing-key", "reports"}
    assert len(shown) == 43
    assert hunt({"the signing key": shown}, folder) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo deletes only what is its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thesis.tex").write_text("years of work")

    with pytest.raises(InvalidSettings, match="holds something else"):
        prepared(tmp_path)

    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    assert os.environ.get("BONDSTONE_REGISTRY") is None


def test_a_secret_in_clear_fails_the_demo(tmp_path: Path) -> None:
    """The count that it ends with can be other than 0, and the exit code tells."""
    folder = tmp_path / "demo"
    planting = (
        "import sys; from pathlib import Path; from bondstone.cli.demo import main\n"
        "leave = main._leave_pickles\n"
        "def leaky(folder):\n"
        "    leave(folder)\n"
        "    (folder / 'notes').write_text(main.Secret.load('report-signing-key').get())\n"
        "main._leave_pickles = leaky\n"
        "sys.exit(main.run(engine='plain', folder=Path(sys.argv[1])))"
    )

    ended = subprocess.run([sys.executable, "-c", planting, str(folder)], capture_output=True, text=True, timeout=120)

    assert ended.returncode == 1
    assert "1 found in clear" in ended.stdout
    assert "the signing key as raw in pickles/notes" in ended.stdout


def test_the_demo_does_not_touch_the_registry_of_the_user(tmp_path: Path) -> None:
    """What was saved before is as it was."""
    Secret(value="mine").save("mine")

    demo("plain", tmp_path / "demo")

    assert Secret.names() == ["mine"]
    assert len(Secret.history("mine")) == 1
