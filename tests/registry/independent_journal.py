"""The second reader's part for the journal: written from `docs/format.md` alone, it shares no code with bondstone."""

import json
from typing import Any

from tests.registry.independent import Refused, opened

FIELDS = {"step": str, "token": int, "holder": str, "until": int, "started_at": int, "base": int, "version": int, "before": list,
          "grace": int, "retires": int, "retire_at": int, "compromised": bool, "why": str}  # fmt: skip


def journal(keys: dict[int, bytes], registry_id: str, line: dict[str, Any], envelope: bytes) -> dict[str, Any]:
    """Where a rotation stands."""
    where = {"type": "journal", "registry_id": registry_id, "number": line["number"], "time": line["at"]}
    plain = opened(keys, {**line, **where}, envelope)
    try:
        found = json.loads(plain)
        form = json.dumps(found, sort_keys=True, separators=(",", ":")).encode()
        names = set(found) if isinstance(found, dict) else set()
    except (ValueError, TypeError):
        raise Refused("unreadable") from None
    if names > set(FIELDS):
        raise Refused("unsupported_format")
    right = names == set(FIELDS) and all(type(found[name]) is FIELDS[name] for name in FIELDS)
    if not right or form != plain or any(type(item) is not str for item in found["before"]):
        raise Refused("unreadable")
    return found  # type: ignore[no-any-return]
