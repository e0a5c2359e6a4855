"""A TCP proxy between a client and a server, which cuts connections, changes bytes, or tells what passes by."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Wire:
    """What the proxy does. Both functions get each piece that passes, and may change it; None cuts the connection by a reset."""

    endpoint: str
    up: Callable[[bytes], bytes | None] = lambda data: data  # from the client
    down: Callable[[bytes], bytes | None] = lambda data: data  # from the server
    cuts: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def cut_up(self, after: int, times: int = 1) -> None:
        """Reset the connection that the client's bytes come by when `after` of them have passed; so many times."""
        self.up = self._cutting(after, times)

    def cut_down(self, after: int, times: int = 1) -> None:
        """The same for what the server answers."""
        self.down = self._cutting(after, times)

    def _cutting(self, after: int, times: int) -> Callable[[bytes], bytes | None]:
        passed = 0

        def piece(data: bytes) -> bytes | None:
            nonlocal passed
            with self.lock:
                passed += len(data)
                if passed < after or self.cuts >= times:
                    return data
                passed, self.cuts = 0, self.cuts + 1
                return None

        return piece


@contextmanager
def bad_wire(endpoint: str) -> Iterator[Wire]:
    """Stands before the server at `endpoint`; harmless until it is told otherwise."""
    target = urlsplit(endpoint)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(f"http://127.0.0.1:{listener.getsockname()[1]}")
        accepting = threading.Thread(target=_accept, args=(listener, (target.hostname, target.port), wire), daemon=True)
        accepting.start()
        try:
            yield wire
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            accepting.join(5)


def _accept(listener: socket.socket, target: tuple[str | None, int | None], wire: Wire) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:  # the test is over
            return
        server = socket.create_connection((str(target[0]), int(target[1] or 0)))
        for source, sink, which in ((client, server, "up"), (server, client, "down")):
            threading.Thread(target=_pass_on, args=(source, sink, wire, which), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket, wire: Wire, which: str) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            changed: bytes | None = getattr(wire, which)(data)
            if changed is None:
                break
            sink.sendall(changed)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)  # wakes the thread of the other direction, which `close` alone does not
        end.close()
