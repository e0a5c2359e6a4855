"""Writes the vectors (`envelope.json` … but for `published.json`) beside this file: inputs and outcomes, successes and failures.

Run it as `python -m tests.vectors.generate`. It is deterministic, and a test compares its output with the files: a vector never changes
once a version that wrote it is released.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from bondstone.registry.audit_chain import AuditRow, ChainedRow, chained
from bondstone.registry.envelope import Context, _derive, audit_key, fingerprint, mac_key, seal
from bondstone.registry.head import Head
from bondstone.registry.journal import Step, _content
from bondstone.registry.store import JournalLine

HERE = Path(__file__).parent
ID = "000102030405060708090a0b0c0d0e0f"
Vector = dict[str, Any]


def fixed(label: str, size: int = 32) -> bytes:
    """Bytes that stand for random ones."""
    return hashlib.shake_256(label.encode()).digest(size)


KEY, OTHER = fixed("root key 1"), fixed("root key 2")
HERE_IT_IS = Context("version", ID, "secret", "arraylake-token", 3, 1_767_225_600_000_000)
DOCUMENT = b'{"fields":{"value":"ema_EXAMPLE"},"schema_version":1}'


def flipped(text: bytes, byte: int) -> bytes:
    return text[:byte] + bytes([text[byte] ^ 1]) + text[byte + 1 :] if byte >= 0 else flipped(text, len(text) + byte)


def envelopes() -> Iterator[Vector]:
    good = seal(KEY, 1, HERE_IT_IS, DOCUMENT, salt=fixed("salt"))

    def case(
        name: str,
        expect: str,
        envelope: bytes = good,
        where: Context = HERE_IT_IS,
        keys: dict[int, bytes] | None = None,
        plain: bytes = DOCUMENT,
    ) -> Vector:
        held = {1: KEY, 2: OTHER} if keys is None else keys
        return {
            "name": name,
            "keys": {str(number): key.hex() for number, key in held.items()},
            "context": where._asdict(),
            "envelope": envelope.hex(),
            "expect": expect,
            **({"plaintext": plain.hex()} if expect == "ok" else {}),
        }

    yield case("a version", "ok")
    yield case("an empty plaintext", "ok", seal(KEY, 1, HERE_IT_IS, b"", salt=fixed("empty")), plain=b"")
    yield case("sealed under a newer root key", "ok", seal(OTHER, 2, HERE_IT_IS, DOCUMENT, salt=fixed("newer")))
    yield case(
        "sealed under a wrapping key", "ok", seal(KEY, 0, HERE_IT_IS, DOCUMENT, salt=fixed("zero")), keys={0: KEY}
    )
    long = HERE_IT_IS._replace(name="prod/" + "n" * 250, number=2**63 - 1, time=2**63 - 1)
    yield case("the longest name and the largest numbers", "ok", seal(KEY, 1, long, DOCUMENT, salt=fixed("long")), long)
    yield case("another key under the same number", "unreadable", keys={1: OTHER})
    yield case("no key of that number", "wrong_key", keys={2: KEY})
    yield case("no keys", "wrong_key", keys={})
    for part, byte in {"salt": 7, "commitment": 39, "ciphertext": 71, "tag": -16}.items():
        yield case(f"a bit flipped at the beginning of the {part}", "unreadable", flipped(good, byte))
    for part, byte in {"letters": 1, "salt": 38, "commitment": 70, "ciphertext": -17, "tag": -1}.items():
        yield case(f"a bit flipped at the end of the {part}", "unreadable", flipped(good, byte))
    yield case("a bit flipped in the key id", "wrong_key", flipped(good, 3))
    yield case("a bit flipped in the key id, to one that is held", "unreadable", good[:6] + b"\x02" + good[7:])
    for number in (0, 2, 255):
        yield case(f"format {number}", "unsupported_format", good[:2] + bytes([number]) + good[3:])
    for cut in (0, 1, 2, 3, 7, 39, 71, 86, 87, len(good) - 16, len(good) - 1):
        yield case(f"cut to {cut} bytes", "unreadable", good[:cut])
    yield case("format 2, too short", "unreadable", good[:2] + b"\x02" + good[3:80])
    yield case("a byte more at the end", "unreadable", good + b"\0")
    yield case("a byte more in front", "unreadable", b"\0" + good)
    yield case("twice", "unreadable", good + good)
    yield case("as text", "unreadable", good.hex().encode())
    changes: dict[str, Any] = {
        "type": "head", "registry_id": "0" * 32, "kind": "secre", "name": "arraylake-token2", "number": 2, "time": 1_767_225_600_000_001
    }  # fmt: skip
    for field, value in changes.items():
        changed = {field: value}
        yield case(f"another {field}", "unreadable", where=HERE_IT_IS._replace(**changed))
    yield case(
        "a letter moved from the kind to the name",
        "unreadable",
        where=HERE_IT_IS._replace(kind="secretarraylake", name="-token"),
    )
    record_key, nonce, _ = _derive(KEY, fixed("salt"), HERE_IT_IS.encode())
    valid = AESGCM(record_key).encrypt(nonce, DOCUMENT, HERE_IT_IS.encode())
    yield case(
        "a commitment to another key, before a ciphertext that would open",
        "unreadable",
        good[:39] + fixed("commitment") + valid,
    )
    yield case("a commitment of zeros", "unreadable", good[:39] + bytes(32) + good[71:])
    other_nonce = AESGCM(record_key).encrypt(bytes(12), DOCUMENT, HERE_IT_IS.encode())
    yield case("a nonce that was not derived", "unreadable", good[:71] + other_nonce)
    without = AESGCM(record_key).encrypt(nonce, DOCUMENT, None)
    yield case("no associated data", "unreadable", good[:71] + without)


def heads() -> Iterator[Vector]:
    good = Head("secret", "arraylake-token", 7, 5, 4, 6, 6, 2, 1_767_225_600_000_000)

    def case(
        name: str, expect: str, head: Head = good, tag: bytes | None = None, keys: dict[int, bytes] | None = None
    ) -> Vector:
        tag = head.tag(mac_key(KEY, ID), 1, ID) if tag is None else tag
        held = {1: KEY, 2: OTHER} if keys is None else keys
        hexed = {str(number): key.hex() for number, key in held.items()}
        return {
            "name": name,
            "keys": hexed,
            "registry_id": ID,
            "head": head._asdict(),
            "tag": tag.hex(),
            "expect": expect,
        }

    right = good.tag(mac_key(KEY, ID), 1, ID)
    yield case("a head", "ok")
    yield case("a first head", "ok", Head("secret", "a", 1, 1, 0, 0, 1, 0, 1))
    yield case("a tombstone", "ok", Head("secret", "a", 2, 0, 0, 0, 1, 1, 1))
    yield case("pending only", "ok", Head("secret", "a", 1, 0, 0, 1, 1, 0, 1))
    for field in ("generation", "current", "previous", "pending", "highest", "deleted_through", "changed_at"):
        for step in (1, -1):
            yield case(
                f"{field} changed by {step}", "unreadable", good._replace(**{field: getattr(good, field) + step}), right
            )
    yield case("another kind", "unreadable", good._replace(kind="secret2"), right)
    yield case("another name", "unreadable", good._replace(name="other"), right)
    yield case("another key under the same number", "unreadable", keys={1: OTHER})
    yield case("no key of that number", "wrong_key", keys={2: KEY})
    for byte in (4, 20, -1):
        yield case(f"a bit flipped in byte {byte} of the tag", "unreadable", tag=flipped(right, byte))
    for cut in (0, 3, 4, 35):
        yield case(f"tag cut to {cut} bytes", "unreadable", tag=right[:cut])
    yield case("a byte more", "unreadable", tag=right + b"\0")
    nonsense: dict[str, dict[str, Any]] = {
        "current above highest": {"current": 7, "previous": 0, "pending": 0}, "previous above highest": {"previous": 7},
        "pending above highest": {"pending": 7}, "current deleted": {"current": 2}, "current below the deleted": {"current": 1},
        "previous deleted": {"previous": 2}, "pending deleted": {"pending": 1},
        "more deleted than there were": {"deleted_through": 7, "current": 0, "previous": 0, "pending": 0},
    }  # fmt: skip
    for name, numbers in nonsense.items():
        yield case(f"true tag, {name}", "unreadable", good._replace(**numbers))


def keyrings() -> Iterator[Vector]:
    where = Context("keyring", ID, "key-file", "primary", 1, 1_767_225_600_000_000)
    wrapping = fixed("wrapping key")

    def entries(*numbers: int) -> bytes:
        return b"".join(n.to_bytes(4) + where.time.to_bytes(8) + fixed(f"root key {n}") for n in numbers)

    def case(
        name: str,
        expect: str,
        plain: bytes,
        where: Context = where,
        key: bytes = wrapping,
        at: Context = where,
        number: int = 0,
    ) -> Vector:
        wrapped = seal(wrapping, number, where, plain, salt=fixed(name))
        vector = {
            "name": name,
            "wrapping_key": key.hex(),
            "key_id": fingerprint(key),
            "context": at._asdict(),
            "wrapped": wrapped.hex(),
        }
        return {
            **vector,
            "expect": expect,
            **(
                {"numbers": [int.from_bytes(plain[4 + 44 * i : 8 + 44 * i]) for i in range(int.from_bytes(plain[:4]))]}
                if expect == "ok"
                else {}
            ),
        }

    yield case("one key", "ok", b"\0\0\0\1" + entries(1))
    yield case("three keys", "ok", b"\0\0\0\3" + entries(1, 2, 7))
    yield case("without the first key", "ok", b"\0\0\0\2" + entries(2, 3))
    yield case("two keys and two retired ones", "ok", b"\0\0\0\2" + entries(3, 4, 1, 2))
    yield case("the highest number", "ok", b"\0\0\0\1" + entries(2**32 - 1, 1))
    yield case("a retired key that is newer", "unreadable", b"\0\0\0\1" + entries(1, 2))
    yield case("a retired key of the same number", "unreadable", b"\0\0\0\1" + entries(2, 2))
    yield case("retired keys descending", "unreadable", b"\0\0\0\1" + entries(3, 2, 1))
    yield case("a retired key between the others", "unreadable", b"\0\0\0\2" + entries(1, 3, 2))
    yield case("a retired key of number 0", "unreadable", b"\0\0\0\1" + entries(1, 0))
    yield case("retired keys only", "unreadable", b"\0\0\0\0" + entries(1, 2))
    yield case("a byte more behind a retired key", "unreadable", b"\0\0\0\1" + entries(2, 1) + b"\0")
    yield case("a key id that is not 0", "unreadable", b"\0\0\0\1" + entries(1), number=1)
    yield case("count 0", "unreadable", b"\0\0\0\0")
    yield case("nothing", "unreadable", b"")
    yield case("count too small", "unreadable", b"\0\0\0\1" + entries(1, 2))
    yield case("count too large", "unreadable", b"\0\0\0\3" + entries(1, 2))
    yield case("a byte more", "unreadable", b"\0\0\0\1" + entries(1) + b"\0")
    yield case("a byte less", "unreadable", (b"\0\0\0\1" + entries(1))[:-1])
    yield case("descending", "unreadable", b"\0\0\0\2" + entries(2, 1))
    yield case("a number twice", "unreadable", b"\0\0\0\2" + entries(1, 1))
    yield case("number 0", "unreadable", b"\0\0\0\2" + entries(0, 1))
    yield case("another wrapping key", "unreadable", b"\0\0\0\1" + entries(1), key=fixed("another wrapping key"))
    yield case("another slot", "unreadable", b"\0\0\0\1" + entries(1), at=where._replace(name="spare"))
    yield case("another registry", "unreadable", b"\0\0\0\1" + entries(1), at=where._replace(registry_id="0" * 32))
    yield case("an older generation", "unreadable", b"\0\0\0\1" + entries(1), at=where._replace(number=2))
    yield from passphrases(where._replace(kind="passphrase"), b"\0\0\0\1" + entries(1))


def passphrases(where: Context, plain: bytes) -> Iterator[Vector]:
    def case(
        name: str,
        expect: str,
        cost: tuple[int, int, int],
        passphrase: str = "grün",
        derive: bool = True,
        cut: int | None = None,
    ) -> Vector:
        salt = fixed(name, 16)
        memory, iterations, lanes = cost
        kdf = Argon2id(salt=salt, length=32, iterations=iterations, lanes=lanes, memory_cost=memory) if derive else None
        key = kdf.derive("grün".encode()) if kdf else bytes(32)
        wrapped = b"".join(n.to_bytes(4) for n in cost) + salt + seal(key, 0, where, plain, salt=fixed(name + "!"))
        vector = {
            "name": f"passphrase: {name}",
            "passphrase": passphrase,
            "context": where._asdict(),
            "wrapped": wrapped[:cut].hex(),
            "expect": expect,
        }
        return vector | ({"numbers": [1]} if expect == "ok" else {})

    yield case("as bondstone writes it", "ok", (64 * 1024, 3, 4))
    yield case("small costs", "ok", (64, 1, 1))
    yield case("another spelling of the same letters (NFD)", "ok", (64, 1, 1), passphrase="gru\N{COMBINING DIAERESIS}n")
    yield case("wrong", "wrong_key", (64, 1, 1), passphrase="gruen")
    yield case("more than 1 GiB", "unreadable", (1024 * 1024 + 1, 1, 1), derive=False)
    yield case("more than 16 iterations", "unreadable", (64, 17, 1), derive=False)
    yield case("more than 64 lanes", "unreadable", (1024, 1, 65), derive=False)
    yield case("no memory", "unreadable", (0, 1, 1), derive=False)
    yield case("no iterations", "unreadable", (64, 0, 1), derive=False)
    yield case("no lanes", "unreadable", (64, 1, 0), derive=False)
    yield case("less than 8 KiB a lane", "unreadable", (31, 1, 4), derive=False)
    yield case("cut in its costs", "unreadable", (64, 1, 1), cut=27)


def audits() -> Iterator[Vector]:
    """Logs of a few rows, and the numbers at which each is refused."""
    held = {1: KEY, 2: OTHER}

    def log(*rows: AuditRow, first: int = 1, keys: list[int] | None = None, registry_id: str = ID) -> list[ChainedRow]:
        lines, mac = list[ChainedRow](), b""
        for seq, (row, number) in enumerate(zip(rows, keys or [1] * len(rows), strict=True), first):
            key = audit_key(held[number], registry_id)
            mac = number.to_bytes(4) + chained(key, registry_id, seq, mac, row)
            lines.append(ChainedRow(seq, row, mac))
        return lines

    def case(
        name: str, lines: list[ChainedRow], *refused: int, numbers: tuple[int, ...] = (1, 2), flag: bool = False
    ) -> Vector:
        rows = [{"seq": line.seq, **line.row._asdict(), "mac": line.mac.hex()} for line in lines]
        return {
            "name": name,
            "registry_id": ID,
            "keys": {str(number): held[number].hex() for number in numbers},
            **({"chained": True} if flag else {}),
            "rows": rows,
            "refused": list(refused),
        }

    who, at = "me@host:812 flow-run:11111111-2222-3333-4444-555555555555", 1_767_225_600_000_000
    rows = [
        AuditRow(at, "me@host:812", "save", "secret", "token", 1, "ok"),
        AuditRow(at + 1, who, "load", "secret", "token", 1, "ok"),
        AuditRow(at, "me@host:813", "load", "secret", "prod/nothing", 0, "not_found"),  # a clock may go backwards
        AuditRow(at + 3, "me@host:812", "settings", "", "", 2, "ok"),
        AuditRow(at + 4, "me@host:812", "key rotate", "", "", 2, "ok"),
    ]
    good = log(*rows)
    yield case("empty", [])
    yield case("five rows", good)
    yield case("a root key replaced on the way", log(*rows, keys=[1, 1, 1, 1, 2]))
    yield case("rows from before there was a chain", [ChainedRow(1, rows[0], b""), *log(*rows[1:], first=2)])
    yield case("an older root key after a newer one", log(*rows, keys=[1, 1, 2, 1, 2]), 4)
    yield case("a root key that is not held", log(*rows, keys=[1, 1, 1, 2, 2]), 4, 5, numbers=(1,))
    yield case("the middle deleted", [*good[:2], *good[3:]], 3)
    yield case("two deleted", [*good[:1], *good[3:]], 2)
    yield case("the beginning deleted", good[1:], 1)
    yield case("the end cut off, which only a checkpoint shows", good[:3])
    yield case("closed up after a deletion", [*good[:2], *(line._replace(seq=line.seq - 1) for line in good[3:])], 3, 4)
    swapped = [good[0], ChainedRow(2, *good[2][1:]), ChainedRow(3, *good[1][1:]), *good[3:]]
    yield case("two rows swapped", swapped, 2, 3, 4)
    yield case(
        "the texts of two rows swapped",
        [good[0], good[1]._replace(row=rows[2]), good[2]._replace(row=rows[1]), *good[3:]],
        2,
        3,
    )
    yield case("a row twice", [*good, ChainedRow(6, *good[4][1:])], 6)
    yield case("a row in front", [ChainedRow(0, rows[3], b""), *good], 0)
    yield case("a row without a MAC at the end", [*good, ChainedRow(6, rows[1], b"")], 6)
    yield case("the MACs of the beginning taken away", [*(line._replace(mac=b"") for line in good[:2]), *good[2:]], 3)
    yield case("rows of another registry", log(*rows, registry_id="0" * 32), 1, 2, 3, 4, 5)
    changes: dict[str, Any] = {
        "at": at + 9, "actor": "you@host:812", "action": "save", "kind": "secre", "name": "tokeN", "version": 2, "outcome": "o"
    }  # fmt: skip
    for field, value in changes.items():
        changed = good[1]._replace(row=rows[1]._replace(**{field: value}))
        yield case(f"another {field}", [good[0], changed, *good[2:]], 2)
    moved = rows[1]._replace(actor=who + "l", action="oad")
    yield case("a letter moved from one cell to the next", [good[0], good[1]._replace(row=moved), *good[2:]], 2)
    for byte in (0, 4, -1):
        yield case(
            f"a bit flipped in byte {byte} of a MAC",
            [good[0], good[1]._replace(mac=flipped(good[1].mac, byte)), *good[2:]],
            2,
            3,
        )
    for cut in (3, 4, 35):
        yield case(f"a MAC cut to {cut} bytes", [good[0], good[1]._replace(mac=good[1].mac[:cut]), *good[2:]], 2, 3)
    bare = [ChainedRow(seq, row, b"") for seq, row in enumerate(rows, 1)]
    yield case("chained: empty", [], flag=True)
    yield case("chained: five rows", good, flag=True)
    yield case("no chain at all", bare)
    yield case("chained: all MACs taken away", bare, 1, 2, 3, 4, 5, flag=True)
    yield case("chained: a row from before there was a chain", [bare[0], *log(*rows[1:], first=2)], 1, flag=True)
    yield case("chained: the MACs of the beginning taken away", [*bare[:2], *good[2:]], 1, 2, 3, flag=True)
    yield case("chained: the beginning deleted", good[1:], 1, flag=True)
    yield case(
        "chained: the beginning replaced by a row without a MAC", [bare[1]._replace(seq=1), *good[1:]], 1, 2, flag=True
    )


def journals() -> Iterator[Vector]:
    """Lines of the journal, and what is in those that open."""
    good = Step(
        "verified",
        2,
        "me@host:812",
        1_767_225_660_000_000,
        1_767_225_600_000_000,
        1,
        2,
        ("AKIAEXAMPLE",),
        300,
        why="access_denied",
    )
    row = JournalLine("aws-credentials", "prod", 5, 1_767_225_601_000_000, b"")
    text = _content(good)

    def case(
        name: str,
        expect: str,
        plain: bytes = text,
        at: JournalLine = row,
        type_: str = "journal",
        there: JournalLine = row,
    ) -> Vector:
        where = Context(type_, ID, at.kind, at.name, at.number, at.at)
        envelope = seal(KEY, 1, where, plain, salt=fixed(f"journal: {name}"))
        line = there._asdict()
        return {
            "name": name,
            "keys": {"1": KEY.hex()},
            "registry_id": ID,
            "line": {**line, "sealed": envelope.hex()},
            "expect": expect,
            **({"step": json.loads(plain)} if expect == "ok" else {}),
        }

    yield case("a line", "ok")
    yield case("the first line, of a lock", "ok", _content(Step(token=1, holder="me@host:812", until=7)))
    retired = Step("retired", 9, "ü@host:1", base=2**62, retires=2**62, retire_at=2**62, compromised=True)
    yield case("a rotation at its end", "ok", _content(retired))
    changes: dict[str, Any] = {"kind": "aws-credential", "name": "prod2", "number": 4, "at": row.at + 1}
    for field, value in changes.items():
        yield case(f"another {field}", "unreadable", there=row._replace(**{field: value}))
    yield case("sealed as a version", "unreadable", type_="version")
    yield case("a field more", "unsupported_format", text.replace(b"{", b'{"about":1,', 1))
    yield case("a field less", "unreadable", text.replace(b'"base":1,', b""))
    yield case("a field twice", "unreadable", text.replace(b'"base":1,', b'"base":1,"base":1,'))
    yield case("white space", "unreadable", text.replace(b":", b": "))
    yield case("fields in another order", "unreadable", json.dumps(good._asdict(), separators=(",", ":")).encode())
    yield case("a number as text", "unreadable", text.replace(b'"base":1', b'"base":"1"'))
    yield case("a number with a point", "unreadable", text.replace(b'"base":1', b'"base":1.0'))
    yield case("a truth for a number", "unreadable", text.replace(b'"base":1', b'"base":true'))
    yield case("a text for the list", "unreadable", text.replace(b'["AKIAEXAMPLE"]', b'"A"'))
    yield case("a number in the list", "unreadable", text.replace(b'["AKIAEXAMPLE"]', b"[1]"))
    yield case("no object", "unreadable", b"[]")
    yield case("no JSON", "unreadable", b"{")
    yield case("no UTF-8", "unreadable", text.replace(b"me@", b"\xff@"))
    yield case("nothing", "unreadable", b"")


def sources() -> dict[str, str]:
    """What each file must hold."""
    from tests.vectors.archives import archives

    parts = {
        "envelope": envelopes(),
        "head": heads(),
        "keyring": keyrings(),
        "audit": audits(),
        "journal": journals(),
        "archive": archives(),
    }
    return {
        f"{name}.json": json.dumps(list(vectors), indent=1, ensure_ascii=True) + "\n" for name, vectors in parts.items()
    }


if __name__ == "__main__":
    for name, text in sources().items():
        (HERE / name).write_text(text)
