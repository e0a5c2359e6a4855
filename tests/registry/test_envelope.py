"""The sealed format: bondstone and an independent reader agree with every vector, and bondstone never opens anything else."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from bondstone.registry import BondstoneError, Unreadable
from bondstone.registry.envelope import Context, _derive, fingerprint, open_envelope, seal
from bondstone.registry.head import Head
from bondstone.registry.journal import Journal
from bondstone.registry.keyring import Keyring, RootKey, WrappedKeyring, _parse
from bondstone.registry.keys import Passphrase, RawKey
from bondstone.registry.memory import MemoryStore
from bondstone.registry.store import JournalLine
from tests.registry import independent, independent_journal
from tests.vectors import generate

VECTORS = Path(generate.__file__).parent


def vectors(name: str) -> Any:
    """One parameter per vector of a file."""
    return [pytest.param(vector, id=vector["name"]) for vector in json.loads((VECTORS / f"{name}.json").read_text())]


def outcome(read: Any) -> object:
    """What `read` gives, or the code of what it raises."""
    try:
        return read()
    except BondstoneError as error:
        return error.code
    except independent.Refused as error:
        return str(error)


def keys(vector: dict[str, Any]) -> dict[int, bytes]:
    return {int(number): bytes.fromhex(key) for number, key in vector["keys"].items()}


def ring(vector: dict[str, Any], registry_id: str) -> Keyring:
    held = [RootKey(number, 0, key) for number, key in sorted(keys(vector).items())]
    return Keyring(registry_id, held or [RootKey(99, 0, bytes(32))])


def test_the_vectors_are_what_generate_writes() -> None:
    """The committed files are the generator's: neither changes without the other."""
    ours = {path.name: path.read_text() for path in VECTORS.glob("*.json") if path.name != "published.json"}

    assert ours == generate.sources()


@pytest.mark.parametrize("vector", vectors("envelope"))
def test_envelopes(vector: dict[str, Any]) -> None:
    """Each envelope opens, or fails with the code that the page gives: for us and for the second reader."""
    context, envelope = Context(**vector["context"]), bytes.fromhex(vector["envelope"])
    expected = bytes.fromhex(vector["plaintext"]) if vector["expect"] == "ok" else vector["expect"]

    ours = outcome(lambda: ring(vector, context.registry_id).open(context, envelope, "x"))
    theirs = outcome(lambda: independent.opened(keys(vector), vector["context"], envelope))

    assert (ours, theirs) == (expected, expected)


@pytest.mark.parametrize("vector", vectors("head"))
def test_heads(vector: dict[str, Any]) -> None:
    """Each head is proved or refused, the same by both readers; nonsense with a true tag is refused."""
    head, tag = Head(**vector["head"]), bytes.fromhex(vector["tag"])

    ours = outcome(lambda: ring(vector, vector["registry_id"]).check(head, tag)._asdict())
    theirs = outcome(lambda: independent.head(keys(vector), vector["registry_id"], vector["head"], tag))

    expected = vector["head"] if vector["expect"] == "ok" else vector["expect"]
    assert (ours, theirs) == (expected, expected)


@pytest.mark.parametrize("vector", vectors("keyring"))
def test_keyrings(vector: dict[str, Any]) -> None:
    """Each keyring unwraps, or is refused, the same by both readers."""
    context, wrapped = Context(**vector["context"]), bytes.fromhex(vector["wrapped"])
    if "passphrase" in vector:
        provider: Any = Passphrase(vector["passphrase"])
    else:
        provider = RawKey("key-file", "a test", bytes.fromhex(vector["wrapping_key"]))
    row = WrappedKeyring(context.name, context.kind, provider.key_id, context.number, context.time, wrapped)

    ours = outcome(lambda: sorted(Keyring.unwrap(context.registry_id, [row], provider)._keys))
    if "passphrase" in vector:
        import unicodedata

        passphrase = unicodedata.normalize("NFC", vector["passphrase"])
        theirs = outcome(lambda: sorted(independent.passphrase_keyring(passphrase, vector["context"], wrapped)))
    else:
        theirs = outcome(lambda: sorted(independent.keyring(provider.key, vector["context"], wrapped)))

    expected = vector["numbers"] if vector["expect"] == "ok" else vector["expect"]
    assert (ours, theirs) == (expected, expected)


@pytest.mark.parametrize("vector", vectors("journal"))
def test_journal_lines(vector: dict[str, Any]) -> None:
    """Each line opens, or is refused, the same by both readers."""
    sealed = bytes.fromhex(vector["line"]["sealed"])
    line = JournalLine(**{**vector["line"], "sealed": sealed})

    def ours() -> dict[str, Any]:
        step = Journal(MemoryStore(), ring(vector, vector["registry_id"]))._open(line)
        return {**step._asdict(), "before": list(step.before)}

    theirs = outcome(lambda: independent_journal.journal(keys(vector), vector["registry_id"], vector["line"], sealed))

    expected = vector["step"] if vector["expect"] == "ok" else vector["expect"]
    assert (outcome(ours), theirs) == (expected, expected)


def test_key_ids_agree() -> None:
    """The public id of a wrapping key, computed by both."""
    assert fingerprint(bytes(32)) == independent.fingerprint(bytes(32))
    assert {v.values[0].get("key_id") for v in vectors("keyring")} >= {fingerprint(generate.fixed("wrapping key"))}


contexts = st.builds(
    Context,
    st.sampled_from(["version", "head", "settings"]),
    st.just("00" * 16),
    st.text(max_size=8),
    st.text(max_size=8),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**63 - 1),
)


@given(contexts, st.binary(max_size=200), st.integers(1, 2**32 - 1))
def test_what_was_sealed_opens(context: Context, plaintext: bytes, number: int) -> None:
    """Whatever was sealed opens under the same key and context, for both readers."""
    key = b"k" * 32

    envelope = seal(key, number, context, plaintext)

    assert open_envelope(key, context, envelope, "x") == plaintext
    assert independent.opened({number: key}, context._asdict(), envelope) == plaintext
    assert len(envelope) == 87 + len(plaintext)


@given(contexts, contexts)
def test_contexts_do_not_collide(one: Context, other: Context) -> None:
    """Two contexts have the same bytes only if they are the same."""
    assert (one.encode() == other.encode()) == (one == other)
    assert independent.context(one._asdict()) == one.encode()


@given(st.data())
def test_any_changed_byte_is_refused(data: st.DataObject) -> None:
    """One byte of an envelope changed to anything else: it does not open."""
    context = Context("version", "00" * 16, "secret", "a", 1, 1)
    envelope = bytearray(seal(b"k" * 32, 1, context, b"plaintext"))
    byte = data.draw(st.integers(0, len(envelope) - 1).filter(lambda n: not 3 <= n < 7))
    envelope[byte] = data.draw(st.integers(0, 255).filter(lambda n: n != envelope[byte]))

    assert outcome(lambda: open_envelope(b"k" * 32, context, bytes(envelope), "x")) in (
        "unreadable",
        "unsupported_format",
    )


def test_a_seal_never_repeats() -> None:
    """The same plaintext under the same key and context gives another salt, key and ciphertext each time."""
    context = Context("version", "00" * 16, "secret", "a", 1, 1)

    sealed = {seal(b"k" * 32, 1, context, b"same")[7:] for _ in range(50)}

    assert len({envelope[:32] for envelope in sealed}) == 50
    assert len({envelope[64:] for envelope in sealed}) == 50


def test_a_ciphertext_of_another_key_is_told_by_the_commitment() -> None:
    """GCM alone would open this: a ciphertext made under the derived key, behind a commitment that was not derived."""
    context, key, salt = Context("version", "00" * 16, "secret", "a", 1, 1), b"k" * 32, b"s" * 32
    record_key, nonce, commitment = _derive(key, salt, context.encode())
    header = seal(key, 1, context, b"", salt=salt)[:39]
    valid = AESGCM(record_key).encrypt(nonce, b"forged", context.encode())

    assert open_envelope(key, context, header + commitment + valid, "x") == b"forged"
    with pytest.raises(Unreadable):
        open_envelope(key, context, header + bytes(32) + valid, "x")


@given(st.binary(max_size=200))
def test_no_rubbish_is_a_keyring(plain: bytes) -> None:
    """Random bytes are not taken for root keys unless they are their canonical form."""
    try:
        keys, retired = _parse(plain)
    except Unreadable:
        return

    entries = [*keys, *retired]
    form = len(keys).to_bytes(4) + b"".join(e.number.to_bytes(4) + e.created_at.to_bytes(8) + e.key for e in entries)
    assert form == plain
