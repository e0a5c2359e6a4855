"""A fingerprint tells values apart, in every process of a registry, and nothing else."""

import hmac
import subprocess
import sys

import pytest

from bondstone.blocks import AwsCredentials, S3Bucket, Secret, SecretData, SecretStr
from bondstone.registry.envelope import Context
from tests.conftest import Make
from tests.registry import independent


@pytest.mark.parametrize("make_one", [SecretStr, lambda text: SecretData({"a": text}), lambda text: Secret(value=text)])
def test_values_are_told_apart(make_one: type[SecretStr]) -> None:
    """The same for the same, another for another; 16 hex digits."""
    one, same, other = make_one("a-secret-value"), make_one("a-secret-value"), make_one("another-value")

    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert len(bytes.fromhex(one.fingerprint())) == 8


def test_of_a_block() -> None:
    """All fields count, those of a child as well: a rotated one gives another."""
    aws = AwsCredentials(access_key_id="AKIAEXAMPLE", secret_access_key="first-secret").save("prod")
    bucket = S3Bucket(bucket="reports", credentials=aws)
    before = bucket.fingerprint()
    AwsCredentials(access_key_id="AKIAEXAMPLE", secret_access_key="second-secret").save("prod", overwrite=True)

    assert bucket.model_copy(update={"prefix": "a"}).fingerprint() != before
    assert S3Bucket(bucket="reports", credentials=AwsCredentials.load("prod")).fingerprint() != before
    assert S3Bucket(bucket="reports", credentials=aws).fingerprint() == before
    assert aws.fingerprint() != AwsCredentials.load("prod").fingerprint()


def test_in_another_process() -> None:
    """The same, so that a cache key holds there too."""
    mine = Secret(value="a-secret-value").fingerprint()

    program = "from bondstone.blocks import Secret; print(Secret(value='a-secret-value').fingerprint())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == mine


def test_in_another_registry(make: Make) -> None:
    """Another one, though the wrapping key is the same."""
    assert make("first").fingerprint(b"value") != make("second").fingerprint(b"value")


def test_the_documented_form(make: Make) -> None:
    """By an implementation of its own, from `docs/format.md`."""
    registry = make("first")
    context = Context("fingerprint", registry.id, "", "", 0, 0).encode()
    key = independent.hkdf(registry._keyring._newest.key, bytes.fromhex(registry.id), context, 32)

    assert registry.fingerprint(b"value") == hmac.digest(key, b"value", "sha256")[:8].hex()
