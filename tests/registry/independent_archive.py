"""The second reader's part for backups: written from `docs/format.md` alone, it shares no code with bondstone."""

import json
from collections.abc import Iterator
from typing import Any

from tests.registry.independent import Refused, behind_a_passphrase, opened

MOST = 2 * 1024 * 1024
HEAD = ("generation", "current", "previous", "pending", "highest", "deleted_through", "changed_at")


class Reader:
    """Takes parts off the front of some bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, size: int) -> bytes:
        if size > min(len(self.data), MOST):
            raise Refused("unreadable")
        part, self.data = self.data[:size], self.data[size:]
        return part

    def number(self, size: int = 8) -> int:
        return int.from_bytes(self.take(size), "big")

    def lp(self) -> bytes:
        return self.take(self.number(4))


def text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Refused("unreadable") from None


def archive(data: bytes, mine: dict[str, Any]) -> dict[str, Any]:
    """All that is in a backup. `mine` is the provider, its key's id, and a `key` or a `passphrase`."""
    file = Reader(data)
    letters, version = file.take(3), file.number(1)
    fields: dict[str, Any] = {"registry_id": file.take(16).hex(), "time": file.number()}
    if letters != b"BSA":
        raise Refused("unreadable")
    if version != 1:
        raise Refused("unsupported_format")
    provider, key_id, wrapped = file.lp(), file.lp(), file.lp()
    where = fields | {"type": "archive-key", "kind": text(provider), "name": text(key_id), "number": 0}
    key = archive_key(where, wrapped, mine)
    return content(list(records(file, key, fields | {"type": "archive", "kind": "", "name": ""})))


def archive_key(where: dict[str, Any], wrapped: bytes, mine: dict[str, Any]) -> bytes:
    if {where["kind"], mine["provider"]} not in ({mine["provider"]}, {"key", "key-file"}) or where["name"] != mine[
        "key_id"
    ]:
        raise Refused("wrong_key")
    if "passphrase" in mine:
        return behind_a_passphrase(mine["passphrase"], wrapped, lambda key, inner: under_zero(key, where, inner))
    return under_zero(bytes.fromhex(mine["key"]), where, wrapped)


def under_zero(key: bytes, where: dict[str, Any], envelope: bytes) -> bytes:
    """What an envelope holds; one under a key id that is not 0 is none of this file."""
    if len(envelope) >= 87 and envelope[:3] == b"BS\1" and envelope[3:7] != bytes(4):
        raise Refused("unreadable")
    return opened({0: key}, where, envelope)


def records(file: Reader, key: bytes, where: dict[str, Any]) -> Iterator[tuple[bytes, Reader]]:
    number, letter = 0, b""
    while letter != b"E":
        number += 1
        plain = under_zero(key, where | {"number": number}, file.lp())
        letter = plain[:1]
        yield letter, Reader(plain[1:])
    if file.data:
        raise Refused("unreadable")


def content(found: list[tuple[bytes, Reader]]) -> dict[str, Any]:
    """The settings and the names of the records, if they stand in the order of the page."""
    names: list[dict[str, Any]] = []
    for letter, body in found[1:-1]:
        if letter == b"H":
            names.append(head(body))
        elif letter == b"R" and names and not (names[-1]["versions"] or "rotation" in names[-1]):
            names[-1]["rotation"] = body.data.hex()
        elif letter == b"V" and names:
            add(names[-1], body)
        else:
            raise Refused("unreadable")
    counts = [len(names), sum(len(name["versions"]) for name in names)]
    if found[0][0] != b"S" or found[-1][1].data != b"".join(n.to_bytes(8, "big") for n in counts):
        raise Refused("unreadable")
    return {"settings": settings(found[0][1].data), "names": names}


def head(body: Reader) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": text(body.lp()), "name": text(body.lp()), **{name: body.number() for name in HEAD}}
    least, most = row["deleted_through"], row["highest"]
    if body.data or least > most or any(row[n] and not least < row[n] <= most for n in HEAD[1:4]):
        raise Refused("unreadable")
    return {**row, "versions": []}


def add(name: dict[str, Any], body: Reader) -> None:
    number, saved_at, before = body.number(), body.number(), [0, *(row[0] for row in name["versions"])]
    if not before[-1] < number <= name["highest"]:
        raise Refused("unreadable")
    name["versions"].append([number, saved_at, body.data.hex()])


def settings(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
        if type(found["max_ttl"]) is int and found["max_ttl"] >= 1:
            return {name: found[name] for name in ("max_ttl", "registry_id")}
    except (ValueError, TypeError, KeyError):
        pass
    raise Refused("unreadable")
