"""The second reader's part for the audit log: written from `docs/format.md` alone, it shares no code with bondstone."""

import hmac
from typing import Any

from tests.registry.independent import context, hkdf, u


def audit_key(root_key: bytes, registry_id: str) -> bytes:
    """What chains the rows of the log under a root key."""
    empty = {"type": "audit-key", "registry_id": registry_id, "kind": "", "name": "", "number": 0, "time": 0}
    return hkdf(root_key, bytes.fromhex(registry_id), context(empty), 32)


def refused(
    root_keys: dict[int, bytes], registry_id: str, rows: list[dict[str, Any]], *, chained: bool = False
) -> list[int]:
    """The numbers where something is wrong: of a row, or the first of those that are missing. `chained` is what the settings say."""
    bad, last, newest, before, begun = list[int](), 0, 0, b"", chained
    for row in rows:
        seq, mac = row["seq"], bytes.fromhex(row["mac"])
        number = int.from_bytes(mac[:4], "big")
        if seq < 1:
            bad.append(seq)
            continue
        begun = begun or bool(mac) or seq > last + 1
        if seq > last + 1:
            bad.append(last + 1)
        elif begun and (len(mac) != 36 or number < newest or mac != proof(root_keys, registry_id, row, before)):
            bad.append(seq)
        last, before, newest = seq, mac, max(newest, number) if number in root_keys else newest
    return bad


def proof(root_keys: dict[int, bytes], registry_id: str, row: dict[str, Any], before: bytes) -> bytes | None:
    """The MAC that the row should have."""
    number = int.from_bytes(bytes.fromhex(row["mac"])[:4], "big")
    if number not in root_keys:
        return None
    where = {"type": "audit", "registry_id": registry_id, "number": row["seq"], "time": row["at"]}
    parts = [before, row["actor"].encode(), row["action"].encode(), u(row["version"], 8), row["outcome"].encode()]
    text = context(row | where) + b"".join(u(len(part), 4) + part for part in parts)
    return u(number, 4) + hmac.digest(audit_key(root_keys[number], registry_id), text, "sha256")
