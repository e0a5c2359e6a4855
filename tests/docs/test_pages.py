"""Every Python block in the README and in `docs/` runs, page by page, each page in one namespace."""

import os
import re
from pathlib import Path

import pytest

from bondstone.blocks import AwsCredentials, IcechunkRepo, S3Bucket
from bondstone.cli.demo.server import s3_server

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEED_SERVER = ("docs/tasks.md", "docs/versioned-data.md")


def blocks(page: Path) -> list[tuple[int, str, str]]:
    """Line, language and text of each fenced block."""
    text = page.read_text()
    return [(text[: found.start()].count("\n") + 2, found[1].strip(), found[2]) for found in FENCE.finditer(text)]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_block_is_python_that_runs_or_is_no_python(page: Path) -> None:
    """A fence says plainly what it holds, so that no Python escapes the test below; other programs' sessions are told as such."""
    languages = {language for _, language, _ in blocks(page)}

    assert languages <= {"python", "console", "diff", "text", "toml", "json", "sql"}


@pytest.mark.parametrize("page", [page for page in PAGES if "```python" in page.read_text()], ids=named)
@pytest.mark.filterwarnings("ignore:Sending large graph")
def test_a_page_runs_from_top_to_bottom(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader copies works, in the order of the page, in a home of its own."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": f"page_{page.stem}"}

    if named(page) in NEED_SERVER:
        with s3_server(tmp_path / "server") as server:
            server.create_user("docs")
            server.create_bucket("reports")
            key = server.create_key("docs")
            aws = AwsCredentials(access_key_id=key.access_key_id, secret_access_key=key.secret_access_key).save("docs")
            S3Bucket(bucket="reports", endpoint=server.endpoint, credentials=aws).save("reports")
            IcechunkRepo(path=str(tmp_path / "ocean")).save("ocean")
            run(page, namespace)
    else:
        run(page, namespace)

    assert Path(os.environ["HOME"]).is_relative_to(tmp_path)


def run(page: Path, namespace: dict[str, object]) -> None:
    for line, language, text in blocks(page):
        if language == "python":
            exec(compile("\n" * (line - 1) + text, str(page), "exec"), namespace)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    """Those to other files of the project."""
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())

    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]
