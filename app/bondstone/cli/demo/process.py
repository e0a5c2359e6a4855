"""Child servers that end with us, on ports that nobody can take from them."""

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60.0
STOP_SECONDS = 5.0

# What becomes the server: `preexec_fn` may deadlock where threads run, so a Python of its own makes the wish, which
# the kernel keeps across exec. The last check is for a parent that died before.
_BOUND = """
import ctypes, os, signal, sys
parent, *argv = sys.argv[1:]
PR_SET_PDEATHSIG = 1
if sys.platform == "linux" and ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL)):
    sys.exit("prctl failed")
if os.getppid() != int(parent):
    sys.exit("the parent is gone")
os.execv(argv[0], argv)
"""


class ServerFailed(RuntimeError):
    """A child server did not come up; the message ends with the end of its log."""


@dataclass(frozen=True)
class ChildServer:
    """A running child that serves HTTP at `endpoint`."""

    port: int
    log: Path

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, *, post: str | None = None, seconds: float = START_SECONDS) -> bytes:
        """The answer to GET `path` (or POST), which also waits for the start; `ServerFailed` after `seconds`.

        No polling: a request waits in the backlog of the listener, and is reset if the child ends.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            headers = {"Content-Type": "text/plain"}
            connection.request("GET" if post is None else "POST", path, body=post, headers=headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(repr(error)) from error
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise self._failed(f"HTTP {response.status} at {path}")
        return body

    def _failed(self, reason: str) -> ServerFailed:
        tail = self.log.read_text(errors="replace")[-2000:]
        return ServerFailed(f"the server does not answer ({reason}); {self.log} ends with:\n{tail}")


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A listener on a free port of 127.0.0.1 to hand to a child; so no other process can get in between."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener


@contextmanager
def child_server(
    argv: Sequence[str], *, listener: socket.socket, env: Mapping[str, str], log: Path
) -> Iterator[ChildServer]:
    """Run `argv`, which serves on the descriptor of `listener`, until the end of the block.

    On Linux it is killed also when the *thread* that entered the block ends, in whatever way. The folder of `log`
    is its home and working directory; of our environment it sees only the PATH, so no proxies and no cloud settings.
    """
    home = str(log.parent)
    port = int(listener.getsockname()[1])
    path = os.environ.get("PATH", os.defpath)
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 -- our own argv
            [sys.executable, "-ISc", _BOUND, str(os.getpid()), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=home,
            env={"PATH": path, "HOME": home, "TMPDIR": home, "LC_ALL": "C.UTF-8", **env},
            pass_fds=[listener.fileno()],
            start_new_session=True,  # Ctrl-C is for us; we stop the child
        )
    listener.close()  # with no copy left here, the end of the child resets whoever waits for it
    try:
        yield ChildServer(port, log)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
