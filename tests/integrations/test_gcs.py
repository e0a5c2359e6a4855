"""The tokens of a service account: made here, for an hour, as few as there need be."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bondstone.blocks import GcsCredentials, InvalidBlock
from bondstone.integrations.gcs import bearer
from tests.integrations.failing import fails
from tests.integrations.google_storage import EMAIL, Google, unbase64

NOW = datetime(2026, 11, 21, 12, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def block() -> GcsCredentials:
    return GcsCredentials(service_account=Google("reports").create_key())


def claims(token: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(unbase64(token.split(".")[1]))
    return found


def test_what_it_says(block: GcsCredentials) -> None:
    """Who, for what, and until when; that it is signed is seen by the service of the other tests."""
    token, expires_at = bearer(block, NOW)

    said = claims(token)
    assert (said["iss"], said["sub"], said["scope"].rpartition("/")[2]) == (EMAIL, EMAIL, "devstorage.read_write")
    assert said["exp"] - said["iat"] == 3600
    assert expires_at.timestamp() == said["exp"]
    assert token not in repr(bearer(block, NOW))


def test_how_long_it_is_used(block: GcsCredentials) -> None:
    """Never one that begins later than now, nor one that ends within half an hour."""
    times = [NOW + timedelta(minutes=minutes) for minutes in range(0, 60, 5)]

    tokens = {time: bearer(block, time).token for time in times}

    assert len(set(tokens.values())) == 3
    for time, token in tokens.items():
        assert claims(token)["iat"] <= time.timestamp() < claims(token)["exp"] - 1800 + 1


def test_another_key(block: GcsCredentials) -> None:
    """What was signed before is not taken for it."""
    other = GcsCredentials(service_account=Google("reports").create_key())

    assert bearer(other, NOW).token != bearer(block, NOW).token


def test_a_key_that_cannot_sign() -> None:
    """Google's are RSA."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    block = GcsCredentials(service_account={"type": "service_account", "client_email": EMAIL, "private_key": pem})

    assert "is not an RSA key" in fails(InvalidBlock, lambda: bearer(block, NOW))


def test_a_service_account_that_was_taken_out() -> None:
    """Of a block that an open repository goes on with."""
    assert "no service account any more" in fails(InvalidBlock, lambda: bearer(GcsCredentials(), NOW))
