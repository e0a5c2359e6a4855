"""The checks of `bondstone doctor` that concern what is installed. Asks the metadata; imports nothing."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from bondstone.cli.checkup import Finding

_NOT_FOR_USERS = {"all"}


def extras_findings() -> Iterator[Finding]:
    """One line for each extra: the versions, or how to install it."""
    try:
        extras = metadata("bondstone").get_all("Provides-Extra") or []
    except PackageNotFoundError:
        yield Finding(
            "warn", "extras", "bondstone runs from a source tree and is not installed: cannot tell its extras"
        )
        return
    for extra in sorted(set(extras) - _NOT_FOR_USERS):
        yield _extra(extra, _packages(extra))


def _packages(extra: str) -> list[str]:
    lines = (re.match(r"([A-Za-z0-9._-]+).*extra == ['\"](.+?)['\"]", line) for line in requires("bondstone") or [])
    return [line[1] for line in lines if line and line[2] == extra and line[1] != "bondstone"]


def _extra(extra: str, packages: list[str]) -> Finding:
    versions = {package: _version(package) for package in packages}
    missing = [package for package, found in versions.items() if found is None]
    if not missing:
        present = ", ".join(f"{package} {found}" for package, found in versions.items())
        return Finding("ok", f"extra {extra}", present or "needs no package")
    advice = f"pip install 'bondstone[{extra}]'"
    if len(missing) == len(packages):
        return Finding("ok", f"extra {extra}", f"not installed; if you need it: {advice}")
    return Finding("warn", f"extra {extra}", f"{', '.join(missing)} missing: {advice}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
