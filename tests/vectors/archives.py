"""The vectors of backups: whole files, what is in them, and every way in which one is refused."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from bondstone.registry.archive import Header, _prefixed
from bondstone.registry.backup import _head_body, _version_body
from bondstone.registry.envelope import fingerprint, seal
from bondstone.registry.head import Head
from bondstone.registry.results import Plain, WholeName
from tests.vectors.generate import DOCUMENT, ID, Vector, fixed, flipped


def archives() -> Iterator[Vector]:
    """Whole backups: what is in them, or the code of what is wrong."""
    wrapping, key, at = fixed("recovery key"), fixed("archive key"), 1_767_225_600_000_000
    header = Header("f0" * 16, at, "key-file", fingerprint(wrapping), b"")
    header = header._replace(wrapped=seal(wrapping, 0, header.context, key, salt=fixed("wrapped")))
    settings = {"max_ttl": 300, "registry_id": ID}
    names = [
        WholeName(
            Head("aws-credentials", "prod/a", 3, 1, 0, 2, 2, 0, at), [Plain(1, at - 9, b"one"), Plain(2, at, b"")]
        ),
        WholeName(Head("secret", "gone", 2, 0, 0, 0, 1, 1, at - 1), [Plain(1, at - 1, b"old")]),
        WholeName(Head("secret", "gr\u00fcn", 4, 4, 2, 0, 4, 1, at), [Plain(n, at - n, DOCUMENT) for n in (1, 2, 4)]),
    ]

    def start(header: Header) -> bytes:
        parts = (header.provider.encode(), header.key_id.encode(), header.wrapped)
        return (
            b"BSA\1"
            + bytes.fromhex(header.archive_id)
            + header.created_at.to_bytes(8)
            + b"".join(map(_prefixed, parts))
        )

    def sealed(plains: list[bytes], by: Header = header, number: int = 0) -> list[bytes]:
        salts = [fixed(f"record {i}") for i in range(len(plains))]
        contexts = [by.record(i) for i in range(1, len(plains) + 1)]
        return [_prefixed(seal(key, number, c, p, salt=s)) for c, p, s in zip(contexts, plains, salts, strict=True)]

    def end(heads: int, versions: int) -> bytes:
        return b"E" + heads.to_bytes(8) + versions.to_bytes(8)

    def case(
        name: str, expect: str, whole: bytes, mine: Vector | None = None, content: list[WholeName] | None = None
    ) -> Vector:
        reader = mine or {"provider": "key-file", "key_id": fingerprint(wrapping), "key": wrapping.hex()}
        vector = {"name": name, "reader": reader, "archive": whole.hex(), "expect": expect}
        return vector | ({"settings": settings, "names": _listed(content or [])} if expect == "ok" else {})

    s = b"S" + json.dumps(settings).encode()
    bodies = [_records_of(name) for name in names]
    plains = [s, *(body for one in bodies for body in one), end(3, 6)]
    head, records = start(header), sealed(plains)
    good = head + b"".join(records)

    yield case("three names", "ok", good, content=names)
    yield case("no names", "ok", head + b"".join(sealed([s, end(0, 0)])), content=[])
    yield case("read with the same key from the environment", "ok", good, _mine("key", wrapping), names)
    other_kind = _mine("vault", wrapping)
    yield case("read by another provider", "wrong_key", good, other_kind)
    yield case("read with another key", "wrong_key", good, _mine("key-file", fixed("another wrapping key")))
    lied = _mine("key-file", fixed("another wrapping key")) | {"key_id": header.key_id}
    yield case("read with another key that says it is this one", "unreadable", good, lied)
    for number in (0, 2, 255):
        yield case(f"format {number}", "unsupported_format", good[:3] + bytes([number]) + good[4:])
    yield case("something else", "unreadable", b"PK" * 500)
    few = sealed([s, *bodies[1], end(1, 1)])
    yield case("one name", "ok", head + b"".join(few), content=names[1:2])
    yield from _flipped(case, head + b"".join(few), head, few)
    yield from _cut(case, head + b"".join(few), head, few)
    yield from _rearranged(case, head, few)
    other = header._replace(archive_id="0f" * 16)
    yield case(
        "a record of another archive under the same key",
        "unreadable",
        head + b"".join([records[0], sealed(plains, other)[1], *records[2:]]),
    )
    yield case("records under a key id that is not 0", "unreadable", head + b"".join(sealed(plains, number=1)))
    wrapped = seal(wrapping, 1, header.context, key, salt=fixed("wrapped"))
    yield case(
        "a key wrapped under a key id that is not 0",
        "unreadable",
        start(header._replace(wrapped=wrapped)) + b"".join(records),
    )
    for what, changed in {"id": other, "time": header._replace(created_at=at + 1)}.items():
        yield case(f"another {what} in the header", "unreadable", start(changed) + b"".join(records))
    for name, wrong in _nonsense(s, bodies, end).items():
        yield case(f"true records, {name}", "unreadable", head + b"".join(sealed(wrong)))
    retiring = names[0]._replace(rotation=b'{"step":"current"}')
    h, r, *versions = _records_of(retiring)
    yield case("a rotation", "ok", head + b"".join(sealed([s, h, r, *versions, end(1, 2)])), content=[retiring])
    wrong_places = {
        "without a head": [s, r, end(0, 0)],
        "twice": [s, h, r, r, *versions, end(1, 2)],
        "behind a version": [s, h, versions[0], r, versions[1], end(1, 2)],
    }
    for place, wrong in wrong_places.items():
        yield case(f"true records, a rotation {place}", "unreadable", head + b"".join(sealed(wrong)))
    yield from _passphrase_archives(case, header, key, start, sealed(plains), names)


def _mine(provider: str, key: bytes) -> Vector:
    return {"provider": provider, "key_id": fingerprint(key), "key": key.hex()}


def _listed(names: list[WholeName]) -> list[Vector]:
    return [
        {
            **name.head._asdict(),
            "versions": [[v.version, v.saved_at, v.content.hex()] for v in name.versions],
            **({"rotation": name.rotation.hex()} if name.rotation else {}),
        }
        for name in names
    ]


def _records_of(name: WholeName) -> list[bytes]:
    rotation = [b"R" + name.rotation] if name.rotation else []
    return [b"H" + _head_body(name.head), *rotation, *(b"V" + _version_body(v) for v in name.versions)]


def _flipped(case: Any, good: bytes, head: bytes, records: list[bytes]) -> Iterator[Vector]:
    """A bit in the first and in the last byte of each part of the header, and of each part of a record."""
    parts = {
        "letters": (0, 3), "archive id": (4, 20), "time": (20, 28), "length of the provider": (28, 32), "provider": (32, 40),
        "length of the key id": (40, 44), "key id": (44, 53), "length of the wrapped key": (53, 57), "wrapped key": (57, len(head)),
    }  # fmt: skip
    codes = {"provider": "wrong_key", "key id": "wrong_key"}
    for part, (first, last) in parts.items():
        for byte in (first, last - 1):
            code = codes.get(part, "unreadable")
            yield case(f"a bit flipped in byte {byte}, in the {part}", code, flipped(good, byte))
    yield case("a bit flipped in the format of the wrapped key", "unsupported_format", flipped(good, 59))
    for number, record in enumerate(records, 1):
        at = len(head) + sum(map(len, records[: number - 1]))
        places = {
            "length": 3,
            "letters": 4,
            "key id": 10,
            "salt": 11,
            "commitment": 43,
            "ciphertext": 75,
            "tag": len(record) - 1,
        }
        for part, byte in places.items():
            yield case(f"a bit flipped in the {part} of record {number}", "unreadable", flipped(good, at + byte))
        yield case(f"a bit flipped in the format of record {number}", "unsupported_format", flipped(good, at + 6))


def _cut(case: Any, good: bytes, head: bytes, records: list[bytes]) -> Iterator[Vector]:
    """At every boundary, and a byte before and behind it."""
    inner = [0, 3, 4, 20, 28, 32, 40, 44, 53, 57, len(head)]
    ends = [len(head) + sum(map(len, records[:n])) + more for n in range(len(records)) for more in (0, 4)]
    cuts = {cut + step for cut in (*inner, *ends) for step in (-1, 0, 1)} | {len(good) - 1}
    for cut in sorted(cut for cut in cuts if 0 <= cut < len(good)):
        yield case(f"cut to {cut} bytes", "unreadable", good[:cut])


def _rearranged(case: Any, head: bytes, records: list[bytes]) -> Iterator[Vector]:
    orders = {
        f"records {n} and {n + 1} swapped": [*range(n - 1), n, n - 1, *range(n + 1, len(records))]
        for n in range(1, len(records))
    }
    orders |= {f"record {n} twice": [*range(n), n - 1, *range(n, len(records))] for n in range(1, len(records) + 1)}
    orders |= {
        f"record {n} left out": [m for m in range(len(records)) if m != n - 1] for n in range(1, len(records) + 1)
    }
    orders |= {"all records backwards": list(range(len(records)))[::-1], "all of it twice": [*range(len(records))] * 2}
    for name, order in orders.items():
        yield case(name, "unreadable", head + b"".join(records[n] for n in order))
    yield case("a byte behind the end", "unreadable", head + b"".join(records) + b"\0")
    yield case("a length of 2 MiB and a byte", "unreadable", head + b"\0\x20\0\1" + b"".join(records))
    yield case("an endless length", "unreadable", head + b"\xff\xff\xff\xff" + b"".join(records))


def _nonsense(s: bytes, bodies: list[list[bytes]], end: Any) -> dict[str, list[bytes]]:
    """Records that a holder of the key sealed, and that make no backup."""
    (h, v, w), (gone, _), _ = bodies
    high = b"V" + (3).to_bytes(8) + v[9:]
    return {
        "a version without a head": [s, v, end(0, 1)],
        "no settings": [h, v, w, end(1, 2)],
        "settings in second place": [h, v, w, s, end(1, 2)],
        "settings twice": [s, s, end(0, 0)],
        "a letter that is none": [s, h, v, w, b"X" + v[1:], end(1, 3)],
        "a record without a letter": [s, b"", end(0, 0)],
        "an end at once": [end(0, 0)],
        "a head more than are counted": [s, h, v, w, gone, end(1, 2)],
        "a version more than are counted": [s, h, v, w, end(1, 1)],
        "an end that is cut": [s, end(0, 0)[:-1]],
        "an end with a byte more": [s, end(0, 0) + b"\0"],
        "a head that is cut": [s, h[:-1], end(1, 0)],
        "a head with a byte more": [s, h + b"\0", end(1, 0)],
        "a head whose kind is longer than it": [s, b"H" + (200).to_bytes(4) + h[5:], end(1, 0)],
        "a name that is no UTF-8": [s, h.replace(b"prod/a", b"prod/\xff"), end(1, 0)],
        "a head that contradicts itself": [s, h[:-16] + (9).to_bytes(8) + h[-8:], end(1, 0)],
        "a version that is cut": [s, h, v[:16], end(1, 1)],
        "a version above the highest": [s, h, high, end(1, 1)],
        "a version twice": [s, h, v, v, end(1, 2)],
        "versions backwards": [s, h, w, v, end(1, 2)],
        "settings that are no JSON": [b"S{", end(0, 0)],
        "settings that are a list": [b"S[]", end(0, 0)],
        "settings without a max_ttl": [b'S{"registry_id": "' + ID.encode() + b'"}', end(0, 0)],
        "a max_ttl of 0": [s.replace(b"300", b"0"), end(0, 0)],
        "a max_ttl that is a text": [s.replace(b"300", b'"300"'), end(0, 0)],
    }  # fmt: skip


def _passphrase_archives(
    case: Any,
    header: Header,
    key: bytes,
    start: Callable[[Header], bytes],
    records: list[bytes],
    names: list[WholeName],
) -> Iterator[Vector]:
    where = header._replace(provider="passphrase", key_id="passphrase", wrapped=b"")
    salt, cost = fixed("archive salt", 16), (64, 1, 1)
    derived = Argon2id(salt=salt, length=32, iterations=1, lanes=1, memory_cost=64).derive("gr\u00fcn".encode())
    inner = seal(derived, 0, where.context, key, salt=fixed("behind a passphrase"))
    costs = b"".join(n.to_bytes(4) for n in cost)

    def with_(wrapped: bytes) -> bytes:
        return start(where._replace(wrapped=wrapped)) + b"".join(records)

    mine = {"provider": "passphrase", "key_id": "passphrase", "passphrase": "gr\u00fcn"}
    yield case("passphrase: right", "ok", with_(costs + salt + inner), mine, names)
    yield case("passphrase: wrong", "wrong_key", with_(costs + salt + inner), mine | {"passphrase": "gruen"})
    yield case(
        "passphrase: a key in its place",
        "wrong_key",
        with_(costs + salt + inner),
        _mine("key-file", fixed("recovery key")),
    )
    yield case("passphrase: a bit flipped in its salt", "wrong_key", with_(costs + flipped(salt, 0) + inner), mine)
    yield case("passphrase: a bit flipped behind it", "wrong_key", with_(costs + salt + flipped(inner, -1)), mine)
    yield case(
        "passphrase: another format behind it", "unsupported_format", with_(costs + salt + flipped(inner, 2)), mine
    )
    yield case(
        "passphrase: more than 1 GiB", "unreadable", with_((2**20 + 1).to_bytes(4) + costs[4:] + salt + inner), mine
    )
    yield case("passphrase: cut in its costs", "unreadable", with_(costs[:11]), mine)
