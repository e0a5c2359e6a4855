"""What stands between a client and the server, and cuts the connection in the moment of a COMMIT."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from bondstone.registry import Registry
from tests.registry.postgresql.registries import opened

_COMMIT = b"COMMIT\0"


class Wire:
    """Stands between a client and the server and can cut the connection in the moment of a COMMIT.

    The COMMIT is not passed on ("before"), passed on ("after"), or passed on when the client has another connection ("late").
    """

    def __init__(self, port: int) -> None:
        self.cut, self.stay_away, self.seen = "", False, 0
        self.at_commit: Callable[[], object] | None = None  # called before a COMMIT is passed on, once
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.stay_away:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._server))
                threading.Thread(target=self._pass_on, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, asks: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if asks and self.cut and _COMMIT in data:
                    self._cut(source, target, data)
                    break
                if asks and self.at_commit and _COMMIT in data:
                    call, self.at_commit = self.at_commit, None
                    call()
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()

    def _cut(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        self.seen += 1
        how, self.cut = self.cut, ""
        client.shutdown(socket.SHUT_RDWR)  # the answer cannot come any more
        if how == "late":
            time.sleep(0.7)  # the client is back before the server has the COMMIT
        if how != "before":
            server.sendall(data)
            time.sleep(0.2)

    def close(self) -> None:
        self._listener.close()


@contextmanager
def over_the(wire: Wire, url: str) -> Iterator[Registry]:
    registry = opened(url.replace(url.partition("@")[2].partition("/")[0], f"127.0.0.1:{wire.port}"))
    yield registry
    wire.cut = ""
    registry.close()
