"""Figures as the ECDC published them, and a webhook, on 127.0.0.1."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


def record(day: str, country: str, cases: int, deaths: int) -> dict[str, str | int]:
    """One line of the published JSON, with the fields that the flow reads and one that it does not."""
    return {"dateRep": day, "countriesAndTerritories": country, "cases": cases, "deaths": deaths, "geoId": country[:2]}


RECORDS = [
    record("30/11/2020", "France", 4005, 198),
    record("01/12/2020", "France", 8083, 775),
    record("14/12/2020", "France", 11533, 150),
    record("14/12/2020", "Germany", 16362, 188),
    record("14/12/2020", "Italy", 17937, 484),
]
MONTHLY = "year_month,cases,deaths\n2020-11,4005,198\n2020-12,35978,1113\n"  # France and Germany


@dataclass
class Service:
    """Where it listens, how often the figures were asked for, and what the webhook was told."""

    url: str
    downloads: int = 0
    told: list[str] = field(default_factory=list)


@contextmanager
def covid_service() -> Iterator[Service]:
    """Runs while the block does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            service.downloads += 1
            self._answer(json.dumps({"records": RECORDS}).encode())

        def do_POST(self) -> None:
            service.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self._answer(b"ok")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Not to the tests' output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service = Service(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
