"""What every key provider promises. A subclass gives two providers with different keys, as fixtures.

class TestMine(KeyProviderSuite):
    @pytest.fixture
    def provider(self) -> KeyProvider: ...

    @pytest.fixture
    def other(self) -> KeyProvider: ...
"""

import pickle
import traceback
from typing import Any

import pytest

from bondstone.registry import Unreadable, UnsupportedFormat, WrongKey
from bondstone.registry.envelope import Context
from bondstone.registry.keyring import Keyring
from bondstone.registry.keys import KeyProvider

CONTEXT = Context("keyring", "0f" * 16, "a-provider", "primary", 3, 1_767_225_600_000_000)
KEYS = b"\0\0\0\1" + bytes(11) + b"\xff" + b"SENTINEL" * 4


class KeyProviderSuite:
    """Inherit, and say what `provider` and `other` are."""

    flips = 24  # how many bits are tried: each may be a call to a service

    @pytest.fixture
    def provider(self) -> KeyProvider:
        raise NotImplementedError

    @pytest.fixture
    def other(self) -> KeyProvider:
        """Of the same kind, with another key."""
        raise NotImplementedError

    @pytest.fixture
    def wrapped(self, provider: KeyProvider) -> bytes:
        return provider.wrap(KEYS, CONTEXT)

    @pytest.mark.parametrize("keys", [b"\0", KEYS, bytes(range(256)) * 8])
    def test_what_is_wrapped_is_unwrapped(self, provider: KeyProvider, keys: bytes) -> None:
        """Exactly, whatever the bytes."""
        assert provider.unwrap(provider.wrap(keys, CONTEXT), CONTEXT) == keys

    def test_the_wrapped_form_hides_the_keys(self, provider: KeyProvider, wrapped: bytes) -> None:
        """They are not in it, and it is another one each time."""
        assert type(wrapped) is bytes
        assert b"SENTINEL" not in wrapped
        assert provider.wrap(KEYS, CONTEXT) != wrapped

    def test_another_key_is_refused(self, other: KeyProvider, wrapped: bytes) -> None:
        """`WrongKey` or `Unreadable`, without the keys."""
        with pytest.raises((WrongKey, Unreadable)) as caught:
            other.unwrap(wrapped, CONTEXT)

        assert "SENTINEL" not in str(caught.value)

    @pytest.mark.parametrize(
        "change", [{"registry_id": "0e" * 16}, {"name": "recovery"}, {"number": 2}, {"time": CONTEXT.time + 1}]
    )
    def test_another_context_is_refused(self, provider: KeyProvider, wrapped: bytes, change: dict[str, Any]) -> None:
        """Another registry, slot, generation or time: a row cannot be moved, nor an older one be dated anew."""
        with pytest.raises((WrongKey, Unreadable)):
            provider.unwrap(wrapped, CONTEXT._replace(**change))

    def test_flipped_bits_are_refused(self, provider: KeyProvider, wrapped: bytes) -> None:
        """Anywhere in the wrapped form."""
        total = len(wrapped) * 8
        for bit in range(0, total, max(1, total // self.flips)):
            changed = bytearray(wrapped)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises((WrongKey, Unreadable, UnsupportedFormat)):
                provider.unwrap(bytes(changed), CONTEXT)

    @pytest.mark.parametrize("text", [b"", b"\0", b"BS", b"vault:v1:", b"x" * 200])
    def test_rubbish_is_refused(self, provider: KeyProvider, text: bytes) -> None:
        """What never was a wrapped keyring."""
        with pytest.raises((WrongKey, Unreadable)):
            provider.unwrap(text, CONTEXT)

    def test_a_cut_one_is_refused(self, provider: KeyProvider, wrapped: bytes) -> None:
        """At the end and at the beginning."""
        for text in (wrapped[:-1], wrapped[1:], wrapped[: len(wrapped) // 2]):
            with pytest.raises((WrongKey, Unreadable)):
                provider.unwrap(text, CONTEXT)

    def test_nothing_shows(self, provider: KeyProvider, other: KeyProvider, wrapped: bytes) -> None:
        """Neither a key in the repr, nor the root keys in the frames of a failure."""
        with pytest.raises((WrongKey, Unreadable)) as caught:
            other.unwrap(wrapped, CONTEXT)
        frames = [frame.f_locals for frame, _ in traceback.walk_tb(caught.tb)][1:]

        key = getattr(provider, "key", None) or getattr(provider, "passphrase", None)
        shown = repr(provider) + str(provider) + repr(frames)
        assert "SENTINEL" not in shown
        assert key is None or repr(key) not in shown

    def test_kind_and_key_id_are_fit_to_be_seen(self, provider: KeyProvider) -> None:
        """They stand in clear in the registry, and in error texts; the column of a kind holds 32 characters, that of an id 255."""
        assert 0 < len(provider.kind) <= 32
        assert 0 < len(provider.key_id) <= 255
        assert (provider.kind + provider.key_id).isprintable()

    def test_it_protects_a_keyring(self, provider: KeyProvider) -> None:
        """From a new keyring to the row of a registry and back."""
        keyring = Keyring.create("0f" * 16, 7).added(8)

        row = keyring.wrap(provider, "primary", 1, 9)

        assert Keyring.unwrap("0f" * 16, [row], provider).same_keys(keyring)
        with pytest.raises(TypeError):
            pickle.dumps(keyring)
