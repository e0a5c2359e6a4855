"""How many versions a second root-key rotation seals again: the cryptography alone, and with SQLite.

`benchmarks/scale.py` has its lines too. Alone: ``python -m benchmarks.rekey``. Nothing timed is asserted; a version that does not open
afterwards ends the run.
"""

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.load import report
from bondstone.registry import Registry, rekey
from bondstone.registry.envelope import Context
from bondstone.registry.head import Head
from bondstone.registry.keyring import Keyring
from bondstone.registry.keys import RawKey
from bondstone.registry.results import Plain, WholeName
from bondstone.registry.sql import SqlStore
from bondstone.registry.sqlite import SqliteDatabase

PLAIN = b'{"fields":{"value":"ema_EXAMPLE_EXAMPLE_EXAMPLE_EXAMPLE"},"schema_version":1}'
PROVIDER = RawKey("key", "a benchmark", b"k" * 32)
TIME = 1_767_225_600_000_000
PAGE = 10_000  # names of one transaction


def name_of(number: int) -> str:
    return f"name/{number:07}"


def cryptography(count: int) -> float:
    """Versions a second: open under the old key, seal under the new one. Nothing is read or written."""
    old = Keyring.create("0f" * 16, 1)
    both = old.added(2)
    places = [Context("version", "0f" * 16, "secret", name_of(number), 1, TIME) for number in range(count)]
    sealed = [(where, old.seal(where, PLAIN)) for where in places]
    start = time.perf_counter()
    for where, envelope in sealed:
        both.resealed(where, envelope, "")
    return count / (time.perf_counter() - start)


def with_sql(store: SqlStore) -> float:
    """Versions a second, each with its head."""
    start = time.perf_counter()
    done = rekey.rotate(store, [PROVIDER])
    return done.versions / (time.perf_counter() - start)


def filled(path: Path, count: int) -> SqlStore:
    store = SqlStore(SqliteDatabase(path))
    registry = Registry.create(store, PROVIDER)
    heads = (Head("secret", name_of(number)).saved(1, TIME) for number in range(count))
    for page in itertools.batched(heads, PAGE):
        registry.adopt([WholeName(head, [Plain(1, TIME, PLAIN)]) for head in page], "benchmark")
    registry.close()
    return store


def lines(count: int, rounds: int) -> list[list[str]]:
    """The best of several rounds, each of the cryptography and of a whole rotation."""
    with tempfile.TemporaryDirectory() as folder:
        store = filled(Path(folder) / "registry.db", count)
        pairs = [(cryptography(min(count, 20_000)), with_sql(store)) for _ in range(rounds)]
        registry = Registry.open(store, PROVIDER)
        if registry.load("secret", name_of(0)).content != PLAIN or rekey.slots(store, [PROVIDER])[0].root_keys != [
            rounds + 1
        ]:
            sys.exit("rekey.py: not all versions were sealed again")
        registry.close()
    alone, sql = max(pair[0] for pair in pairs), max(pair[1] for pair in pairs)
    return [
        ["versions a second, cryptography", f"{alone:,.0f}", ""],
        ["versions a second, with SQLite", f"{sql:,.0f}", f"{sql / alone:.2f} x cryptography"],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--versions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    report(lines(asked.versions, asked.rounds))


if __name__ == "__main__":
    main()
