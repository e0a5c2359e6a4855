"""How many versions a second root-key rotation seals again: the cryptography alone, and with SQLite.

Run it as ``python benchmarks/rekey.py``. Nothing timed is asserted; a version that does not open afterwards ends the run.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bondstone.registry import Registry, rekey
from bondstone.registry.envelope import Context
from bondstone.registry.head import Head
from bondstone.registry.keyring import Keyring
from bondstone.registry.keys import RawKey
from bondstone.registry.results import microseconds
from bondstone.registry.sql import SqlStore
from bondstone.registry.sqlite import SqliteDatabase
from bondstone.registry.store import AuditRow, Sealed

PLAIN = b'{"fields":{"value":"ema_EXAMPLE_EXAMPLE_EXAMPLE_EXAMPLE"},"schema_version":1}'
PROVIDER = RawKey("key", "a benchmark", b"k" * 32)


def context(registry_id: str, number: int) -> Context:
    return Context("version", registry_id, "secret", f"name/{number:07}", 1, 1_767_225_600_000_000)


def cryptography(count: int) -> float:
    """Versions a second: open under the old key, seal under the new one. Nothing is read or written."""
    old = Keyring.create("0f" * 16, 1)
    both = old.added(2)
    sealed = [(where := context("0f" * 16, n), old.seal(where, PLAIN)) for n in range(count)]
    start = time.perf_counter()
    for where, envelope in sealed:
        both.seal(where, both.open(where, envelope, ""))
    return count / (time.perf_counter() - start)


def fill(store: SqlStore, count: int) -> None:
    """Rows as `save` writes them, in a few large transactions."""
    keyring = Keyring.unwrap(store.settings().registry_id, store.keyrings(), PROVIDER)
    connection = store.database.connection()
    with connection.transaction():
        for number in range(count):
            where = context(keyring.registry_id, number)
            head = Head(where.kind, where.name).saved(1, where.time)
            sealed = Sealed(1, where.time, keyring.seal(where, PLAIN))
            connection.change("add_head", {**head._asdict(), "tag": keyring.tag(head)})
            row = {"version": 1, "saved_at": sealed.saved_at, "sealed": sealed.envelope}
            connection.change("add_version", {"kind": head.kind, "name": head.name, **row})
    store.record([AuditRow(microseconds(), "benchmark", "save", "", "", count, "ok")], keyring.sign)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--versions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = SqlStore(SqliteDatabase(Path(folder) / "registry.db"))
        Registry.create(store, PROVIDER).close()
        fill(store, asked.versions)
        for _ in range(asked.rounds):
            alone = cryptography(min(asked.versions, 20_000))
            start = time.perf_counter()
            done = rekey.rotate(store, [PROVIDER])
            seconds = time.perf_counter() - start
            rate = done.versions / seconds
            print(f"{alone:10,.0f} versions/s, cryptography alone")
            print(f"{rate:10,.0f} versions/s with SQLite, each with its head; {rate / alone:.2f} x")
        registry = Registry.open(store, PROVIDER)
        if done.versions != asked.versions or registry.load("secret", "name/0000000").content != PLAIN:
            sys.exit("rekey.py: not all versions were sealed again")
        registry.close()


if __name__ == "__main__":
    main()
