"""Watches every test: no secret value that a block had in it is left in its output, its logs or its files.

Each value that a test puts into a block is a sentinel. A test whose subject is to write one down says where, by
`@pytest.mark.shows_secrets("a.env")`: names of files, as patterns, or `"stdout"`, `"stderr"`, `"log"`.
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from bondstone.blocks import known
from bondstone.blocks.encodings import encodings

LARGEST = 16 * 2**20  # bytes; of a larger file only so much is searched


def pytest_configure(config: pytest.Config) -> None:
    """A marker of ours."""
    config.addinivalue_line("markers", "shows_secrets(*names): the test writes a secret there, as its subject")


def pytest_runtest_setup() -> None:
    """What others had in their blocks does not count."""
    known._values.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """At the end of a test that passed so far, look; what is found is its failure."""
    report = yield
    if call.when == "teardown" and report.passed:  # type: ignore[attr-defined]
        allowed = [name for mark in item.iter_markers("shows_secrets") for name in mark.args]
        found = shown(_places(report.sections, _folder(item)), allowed)  # type: ignore[attr-defined]
        if found:
            report.outcome = "failed"  # type: ignore[attr-defined]
            report.longrepr = f"a secret shows in {', '.join(found)}"  # type: ignore[attr-defined]
    return report


def shown(places: Iterable[tuple[str, bytes]], allowed: Iterable[str] = ()) -> list[str]:
    """Where one of the values stands that this process has met since the test began, and how; never the value."""
    wanted = [(how, form) for value in known.values() for how, form in encodings(value).items()]
    return [
        f"{where} ({how})"
        for where, data in (places if wanted else ())
        if not any(fnmatch(where, pattern) for pattern in allowed)
        for how, form in wanted
        if form in data
    ]


def _folder(item: pytest.Item) -> Path | None:
    return getattr(item, "funcargs", {}).get("tmp_path")


def _places(sections: Iterable[tuple[str, str]], folder: Path | None) -> Iterator[tuple[str, bytes]]:
    for where, text in sections:  # "Captured stdout call"
        yield where.split()[1], text.encode("utf-8", "surrogatepass")
    for path in sorted(folder.rglob("*")) if folder else ():
        name = str(path.relative_to(folder)) if folder else ""
        yield f"the name of {path.name}", name.encode("utf-8", "surrogateescape")
        if path.is_file() and not path.is_symlink():
            yield path.name, _content(path)


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST)
