"""A server between a client and an S3 server, on real sockets, which may lose an answer or give another."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

from tests.integrations.stand_in import Asked


@dataclass
class Answer:
    """What goes back to the client."""

    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def between(endpoint: str, treat: Callable[[Asked, Callable[[], Answer]], Answer | None]) -> Iterator[str]:
    """An endpoint that sends what `treat` makes of a request and a call that forwards it; for None it closes the connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = Asked(self.command, self.path, dict(self.headers.items()), body)
            answer = treat(asked, lambda: _forwarded(endpoint, asked))
            if answer is None:
                self.close_connection = True
                return
            self.send_response_only(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

    class Server(ThreadingHTTPServer):
        daemon_threads = True  # clients keep their connections open
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _forwarded(endpoint: str, asked: Asked) -> Answer:
    """With the headers as they came, `Host` among them, since they are signed."""
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=60)
    connection.putrequest(asked.method, asked.path, skip_host=True, skip_accept_encoding=True)
    for name, value in asked.headers.items():
        connection.putheader(name, value)
    connection.endheaders(asked.body)
    response = connection.getresponse()
    body = response.read()
    hop = {"connection", "transfer-encoding", "keep-alive"} | (set() if asked.method == "HEAD" else {"content-length"})
    headers = [(name, value) for name, value in response.getheaders() if name.lower() not in hop]
    connection.close()
    return Answer(response.status, body, headers)
