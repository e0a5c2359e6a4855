"""Prefect in a folder: a server, database, logs and results of its own, and nothing of the user's."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bondstone.cli.demo.process import child_server, listening

DRAIN_SECONDS = 10.0


@contextmanager
def prefect_home(folder: Path) -> Iterator[Path]:
    """Flows run in the block know only `folder`/prefect, which is yielded, and a server that ends with the block.

    What they left stays there: `prefect.db` and its `-wal`, `storage/` (results: pickles, as base64 in JSON) and
    `server.log`. The environment of the whole process differs meanwhile. Import Prefect before or inside; when
    the first import is inside, these settings stay. The database is made anew, which takes 6 to 9 s on two cores.
    """
    home = folder.resolve() / "prefect"
    home.mkdir(parents=True, exist_ok=True)
    with listening() as listener:
        settings = _settings(home, port=listener.getsockname()[1])
        argv = [sys.executable, "-m", "uvicorn", "--fd", str(listener.fileno()), "--lifespan", "on"]
        argv += ["--log-level", "error", "--factory", "prefect.server.api.server:create_app"]
        with (
            # Prefect's own temporary server would outlive us if we are killed
            child_server(argv, listener=listener, env=settings | _SERVER, log=home / "server.log") as server,
            _in_force(settings),
        ):
            server.ask("/api/health")
            try:
                yield home
            finally:
                _deliver()


_SERVER = {
    "PREFECT__SERVER_EPHEMERAL": "1",  # no scheduler, no late runs: only what records runs
    "PREFECT__SERVER_FINAL": "1",
    "PREFECT_SERVER_UI_ENABLED": "0",
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "0",  # 1.4 s; the demo uses none of Prefect's blocks
}


def _settings(home: Path, *, port: int) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_API_REQUEST_TIMEOUT": "20",
        "PREFECT_CLIENT_MAX_RETRIES": "2",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",  # the database gets all
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "0",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "0",
        "DO_NOT_TRACK": "1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


@contextmanager
def _in_force(settings: Mapping[str, str]) -> Iterator[None]:
    """Put `settings` in the place of every PREFECT variable, for this process and all of its threads."""
    before = {name: os.environ[name] for name in _concerned(settings)}
    _replace(before, settings)
    try:
        with _read_by_prefect():
            yield
    finally:
        _replace(_concerned(settings), before)


@contextmanager
def _read_by_prefect() -> Iterator[None]:
    """Prefect reads the environment once, at import; its `temporary_settings` is of one thread only."""
    import prefect.main  # noqa: F401 -- sets up logging; not above, since it reads the environment
    from prefect import context
    from prefect.logging import configuration

    before = context.GLOBAL_SETTINGS_CONTEXT
    context.GLOBAL_SETTINGS_CONTEXT = context.root_settings_context()
    configuration.setup_logging()
    try:
        yield
    finally:
        context.GLOBAL_SETTINGS_CONTEXT = before


def _concerned(settings: Mapping[str, str]) -> list[str]:
    return [name for name in os.environ if name in settings or name.startswith("PREFECT_")]


def _replace(old: Iterable[str], new: Mapping[str, str]) -> None:
    for name in old:
        del os.environ[name]
    os.environ.update(new)


def _deliver() -> None:
    """Send logs and events that still wait, or they would be sent to a server that is gone."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=DRAIN_SECONDS, at_exit=False)
    EventsWorker.drain_all(timeout=DRAIN_SECONDS, at_exit=False)
