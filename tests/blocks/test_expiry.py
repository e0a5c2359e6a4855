"""When a credential ends, where it says so itself; and that a load of an ended one is told."""

import base64
import json
import traceback
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bondstone.blocks import (
    ArraylakeToken,
    AwsCredentials,
    CredentialExpired,
    IcechunkRepo,
    InvalidBlock,
    S3Bucket,
    Secret,
    expires_at,
    find,
)
from bondstone.blocks.expiry import expiries, stored_expiry
from bondstone.blocks.rotator import rotator_of
from bondstone.registry import current_registry

END = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
PAST = datetime(2020, 1, 2, 3, 4, tzinfo=UTC)
KEYS = {"access_key_id": "ASIAEXAMPLEEXAMPLE00", "secret_access_key": "x" * 41, "session_token": "t" * 20}


def end_of(kind: str, name: str) -> datetime | None:
    """What a listing tells of one block."""
    registry = current_registry()
    return expiries(registry, registry.list()).get(f"{kind}/{name}")


def jwt(**claims: Any) -> str:
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


def certificate(end: datetime) -> dict[str, str]:
    key, name = generate_private_key(SECP256R1()), x509.Name([])
    begin = end - timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begin, end)
    pem = builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {"server": "https://kube", "client_certificate": pem, "client_key": secret}


SAYING: list[tuple[str, dict[str, Any]]] = [
    ("arraylake-token", {"token": jwt(exp=END.timestamp())}),
    ("arraylake-token", {"token": "ema_x", "expires_at": END}),
    ("aws-credentials", KEYS | {"expires_at": END.isoformat()}),
    ("kubernetes-cluster", {"server": "https://kube", "token": jwt(exp=int(END.timestamp()))}),
    ("kubernetes-cluster", certificate(END)),
    ("secret", {"value": jwt(exp=END.timestamp())}),
    ("secret", {"value": {"a": [{"token": jwt(exp=END.timestamp())}, jwt(exp=END.timestamp() + 60)]}}),
    ("azure-credentials", {"account_name": "reports", "sas_token": "sv=1&se=2031-05-06T07%3A08%3A09Z&sig=x"}),
    ("azure-credentials", {"connection_string": "A=b;SharedAccessSignature=se=2031-05-06T07:08:09Z&sig=x"}),
]


@pytest.mark.parametrize(("kind", "fields"), SAYING, ids=[kind for kind, _ in SAYING])
def test_what_says_when_it_ends(kind: str, fields: dict[str, Any]) -> None:
    """The block and what is stored of it say the same, and nothing is asked."""
    block = find(kind)(**fields)
    block.save("it")

    assert expires_at(block) == END
    assert expires_at(find(kind).load("it")) == END
    assert end_of(kind, "it") == END


@pytest.mark.parametrize(
    "value",
    [
        "ema_x",
        "ey.ey.ey",
        jwt(iss="x"),
        jwt(exp="soon"),
        jwt(exp=None),
        jwt(exp=True),
        jwt(exp=1e300),
        jwt(exp=-(10**18)),
        jwt(exp=END.timestamp()) + ".more",
        "eyJhbGciOiJub25lIn0.eyJl.",
        "ey" + "J" * 100_000,
        "se=never&sig=x",
        "se=2031-05-06T07:08:09Z",
        {"exp": END.timestamp()},
        12,
    ],
)
def test_what_does_not(value: Any) -> None:
    """Or says nothing that makes sense: that is no error here."""
    block = Secret(value=value).save("it")

    assert expires_at(block) is None
    assert end_of("secret", "it") is None


@pytest.mark.parametrize("content", [b'"ey', b'{"fields": ["ey"]}', b'{"fields": 1, "a": "ey"}', b'["ey"]'])
def test_no_block(content: bytes) -> None:
    assert stored_expiry(content) is None


def test_a_block_inside_by_value_counts_and_a_saved_one_speaks_for_itself() -> None:
    inside = AwsCredentials(**KEYS, expires_at=END)
    bucket = S3Bucket(bucket="reports", credentials=inside)
    repo = IcechunkRepo(bucket=bucket, prefix="ocean").save("by-value")

    assert expires_at(repo) == END
    assert end_of("icechunk-repo", "by-value") == END

    inside.save("prod")
    bucket.save("reports")
    assert expires_at(bucket) is None
    assert end_of("s3-bucket", "reports") is None
    assert end_of("aws-credentials", "prod") == END


def test_the_first_to_end_counts() -> None:
    token = jwt(exp=END.timestamp() + 9)

    assert expires_at(ArraylakeToken(token=token, expires_at=END)) == END


class TestLoad:
    @pytest.fixture
    def ended(self) -> Secret:
        return Secret(value=jwt(exp=PAST.timestamp())).save("old")

    def test_an_ended_one_is_told(self, ended: Secret) -> None:
        """By name, version and time, at the line of the one who loads; not the value."""
        with pytest.warns(CredentialExpired) as caught:
            Secret.load("old")

        text = "the credential of secret/old@1 expired on 2020-01-02 03:04Z: rotate it, or save a new version"
        assert [str(warning.message) for warning in caught] == [text]
        assert caught[0].filename == __file__

    def test_inside_another(self) -> None:
        """By its own name."""
        aws = AwsCredentials(**KEYS, expires_at=PAST).save("prod")
        S3Bucket(bucket="reports", credentials=aws).save("reports")

        with pytest.warns(CredentialExpired, match="aws-credentials/prod@1") as caught:
            S3Bucket.load("reports")
        assert len(caught) == 1

    def test_as_an_error_it_shows_nothing(self, ended: Secret) -> None:
        """Where warnings are errors."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(CredentialExpired) as caught:
                Secret.load("old")

        frames = [str(frame.f_locals) for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
        assert ended.value.get_secret_value() not in "".join(frames[1:])

    def test_one_that_is_still_good(self) -> None:
        Secret(value=jwt(exp=END.timestamp())).save("new")

        assert Secret.load("new")


def test_the_end_of_a_pasted_token_is_not_that_of_the_old_one() -> None:
    """It is another token; who knows its end gives it too."""
    block = ArraylakeToken(token="ema_old", expires_at=END).save("prod")
    rotator = rotator_of("arraylake-token")

    assert rotator.create(block, {"token": "ema_new"}).expires_at is None
    assert rotator.create(block, {"token": "ema_new", "expires_at": PAST}).expires_at == PAST


@pytest.mark.parametrize("end", ["2031-05-06T07:08:09", "soon"])
def test_a_time_without_a_zone(end: str) -> None:
    with pytest.raises(InvalidBlock, match="expires_at"):
        AwsCredentials(**KEYS, expires_at=end)


def test_only_temporary_keys_of_aws_end() -> None:
    with pytest.raises(InvalidBlock, match="expires_at goes with session_token"):
        AwsCredentials(access_key_id="AKIAEXAMPLE", secret_access_key="x" * 41, expires_at=END)
