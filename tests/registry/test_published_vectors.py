"""The primitives that seal, by the vectors of those who defined them: through the objects that `envelope.py` calls, as it calls them."""

import json
from functools import partial
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bondstone.registry import envelope

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "published.json").read_text())
# The very classes that it imported.
_cipher: type[AESGCM] = vars(envelope)["AESGCM"]
_hkdf = partial(vars(envelope)["HKDF"], envelope._HASH)
CIPHER, DERIVATION = VECTORS["aes_256_gcm"], VECTORS["hkdf_sha_256"]


@pytest.mark.parametrize("case", CIPHER, ids=range(len(CIPHER)))
def test_aes_256_gcm(case: dict[str, str | None]) -> None:
    """NIST's: what decrypts to what, and what must not decrypt; and back again."""
    key, nonce, sealed, aad, tag = (bytes.fromhex(case[part] or "") for part in ("key", "iv", "ct", "aad", "tag"))
    cipher = _cipher(key)

    if case["pt"] is None:
        with pytest.raises(InvalidTag):
            cipher.decrypt(nonce, sealed + tag, aad)
    else:
        assert cipher.decrypt(nonce, sealed + tag, aad) == bytes.fromhex(case["pt"])
        assert cipher.encrypt(nonce, bytes.fromhex(case["pt"]), aad) == sealed + tag


def test_there_are_cases_that_must_fail() -> None:
    """An excerpt without them would prove half."""
    assert 10 < sum(case["pt"] is None for case in CIPHER) < len(CIPHER) - 10


@pytest.mark.parametrize("case", DERIVATION, ids=range(len(DERIVATION)))
def test_hkdf_sha_256(case: dict[str, str]) -> None:
    """RFC 5869, appendix A."""
    ikm, salt, info, okm = (bytes.fromhex(case[part]) for part in ("ikm", "salt", "info", "okm"))

    assert _hkdf(int(case["length"]), salt, info).derive(ikm) == okm


def test_a_record_key_is_the_beginning_of_that() -> None:
    """The key, nonce and commitment of an envelope are HKDF's 76 bytes, cut."""
    case = DERIVATION[1]  # with a long salt and info
    ikm, salt, info, okm = (bytes.fromhex(case[part]) for part in ("ikm", "salt", "info", "okm"))

    derived = b"".join(envelope._derive(ikm, salt, info))

    assert derived == okm[:76]
