"""The checks of `bondstone doctor` that concern what is around bondstone and shows secrets by itself. No value is ever told."""

import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

from bondstone.cli.checkup import Finding
from bondstone.cli.hygiene import core_limit
from bondstone.registry.names import SCHEME

_SECRET_NAME = re.compile(
    r"SECRET|PASSWORD|PASSWD|(?<!ASK)PASS(PHRASE)?$|TOKEN(?!S|IZ)|API_?KEY|ACCESS_KEY$|PRIVATE_KEY|CREDENTIAL"
)
_NO_SECRET = re.compile(r"(_FILE|_PATH|_DIR|_ID|_NAME|_URI|_TTL|_TYPE|_ARN|_EXPIRES?|_EXPIRATION)$")
_YES = {"1", "true", "yes", "on"}
_NO = {"0", "false", "no", "off"}

_KEPT = "Prefect keeps what tasks return, unencrypted", "return names and receipts, never a secret"
# (variable, its dangerous values, what they do, what to do)
_SETTINGS = (
    ("PREFECT_RESULTS_PERSIST_BY_DEFAULT", _YES, *_KEPT),
    ("PREFECT_TASKS_DEFAULT_PERSIST_RESULT", _YES, *_KEPT),
    ("PREFECT_LOGGING_LOG_PRINTS", _YES, "Prefect sends what flows print to its server", "print no secret, or unset it"),
    ("BETTER_EXCEPTIONS", _YES, "tracebacks show the values of variables", "unset it"),
    ("LOGURU_DIAGNOSE", _YES, "tracebacks show the values of variables", "set LOGURU_DIAGNOSE=NO"),
    ("GIT_TRACE_REDACT", _NO, "git's traces show tokens", "unset it"),
    ("AIRFLOW__CORE__HIDE_SENSITIVE_VAR_CONN_FIELDS", _NO, "Airflow's pages and logs show passwords", "unset it"),
)  # fmt: skip
_FILES = (
    *(".aws/credentials", ".netrc", ".git-credentials", ".pgpass", ".docker/config.json", ".kube/config", ".pypirc"),
    *(
        ".config/gcloud/application_default_credentials.json",
        ".prefect/profiles.toml",
        ".ssh/id_rsa",
        ".ssh/id_ed25519",
    ),
)
_STARTUP = ("sitecustomize", "usercustomize")


def surroundings_findings(environment: Mapping[str, str], home: Path) -> Iterator[Finding]:
    """What this environment, this home and this interpreter would show or keep."""
    settings = {**_prefect_profile(home), **environment}
    yield from chain(_settings(settings), _locals(environment, home), _cores(), _variables(environment))
    yield from _plain_files(home)


def _settings(environment: Mapping[str, str]) -> Iterator[Finding]:
    for name, dangerous, effect, advice in _SETTINGS:
        if environment.get(name, "").lower() in dangerous:
            yield Finding("warn", "leaks", f"{name} is set: {effect}: {advice}")


def _prefect_profile(home: Path) -> dict[str, str]:
    """What 'prefect config set' wrote."""
    try:
        profiles = tomllib.loads((home / ".prefect" / "profiles.toml").read_text())
        return {name: str(value) for name, value in profiles["profiles"][profiles["active"]].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _locals(environment: Mapping[str, str], home: Path) -> Iterator[Finding]:
    """Tracebacks that show variables: what is installed that does so, and start-up files that ask for it."""
    if _installed("sentry-sdk"):
        advice = "call sentry_sdk.init(include_local_variables=False) in your flows"
        yield Finding("warn", "leaks", f"sentry-sdk is installed and sends the variables of a failed call: {advice}")
    if _installed("loguru") and environment.get("LOGURU_DIAGNOSE", "").lower() not in _NO:
        yield Finding("warn", "leaks", "loguru is installed and shows variables in tracebacks: set LOGURU_DIAGNOSE=NO")
    for path in chain(_startup_modules(), sorted(home.glob(".ipython/profile_*/startup/*.py"))):
        if re.search(r"show_locals\s*=\s*True|better_exceptions", _text(path)):
            yield Finding("warn", "leaks", f"{path} has tracebacks show variables (show_locals): take it out")


def _installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def _startup_modules() -> Iterator[Path]:
    for name in _STARTUP:
        found = find_spec(name)
        if found and found.origin:
            yield Path(found.origin)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")[:100_000]
    except OSError:
        return ""


def _cores() -> Iterator[Finding]:
    if sys.platform != "win32" and core_limit() != 0:
        advice = "run flows with 'ulimit -c 0' (systemd: LimitCORE=0)"
        yield Finding("warn", "core", f"a crash writes memory, with the secrets in it, to a file: {advice}")


def _variables(environment: Mapping[str, str]) -> Iterator[Finding]:
    names = sorted(name for name, value in environment.items() if _holds_secret(name, value))
    if names:
        advice = (
            f"save each as a block, put {SCHEME}kind/name#field in its place, and start with 'bondstone run -- CMD'"
        )
        yield Finding("warn", "environment", f"every process started here inherits {', '.join(names)}: {advice}")


def _holds_secret(name: str, value: str) -> bool:
    """By its name, or as a URL with a password in it. Bondstone's own are told elsewhere; a reference is no secret."""
    if name.startswith("BONDSTONE_") or value.startswith(SCHEME) or value.lower() in {"", *_YES, *_NO}:
        return False
    if _SECRET_NAME.search(name.upper()) and not _NO_SECRET.search(name.upper()):
        return not os.path.exists(value)  # noqa: PTH110 -- a path where it lies; Path raises for a long one
    try:
        return bool(urlsplit(value).password)
    except ValueError:
        return False


def _plain_files(home: Path) -> Iterator[Finding]:
    for name in _FILES:
        path = home / name
        try:
            mode = path.stat().st_mode
        except OSError:
            continue
        if mode & 0o077 and os.name == "posix":
            yield Finding("warn", "files", f"others can read {path}, which holds credentials: run 'chmod 600 {path}'")
        else:
            yield Finding("ok", "files", f"{path} holds credentials in plain text, for its owner only")
