"""The audit log's rows, and what chains each to the one before (`docs/format.md`, "Audit")."""

import hmac
from collections.abc import Callable
from typing import NamedTuple

from bondstone.registry.envelope import Context


class AuditRow(NamedTuple):
    """Who did what to which version, and how it ended. Never a value."""

    at: int
    actor: str
    action: str
    kind: str
    name: str
    version: int
    outcome: str


class ChainedRow(NamedTuple):
    """A row of the audit log, with its number and the MAC that chains it to the one before."""

    seq: int
    row: AuditRow
    mac: bytes  # key id (4), then HMAC-SHA-256 (32); empty in rows from before there was a chain


MAC_BYTES = 36  # key id (4), HMAC-SHA-256 (32)
Sign = Callable[[int, bytes, AuditRow], bytes]
"""The MAC of an audit row, from its number, the MAC before it (empty for the first) and the row."""


def chained(key: bytes, registry_id: str, seq: int, previous: bytes, row: AuditRow) -> bytes:
    """HMAC-SHA-256 over the MAC before and everything in the row, each field with its length."""
    context = Context("audit", registry_id, row.kind, row.name, seq, row.at).encode()
    fields = (previous, row.actor.encode(), row.action.encode(), row.version.to_bytes(8), row.outcome.encode())
    body = b"".join(len(field).to_bytes(4) + field for field in fields)
    return hmac.digest(key, context + body, "sha256")
