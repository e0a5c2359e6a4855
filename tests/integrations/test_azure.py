"""Where a container of Azure is, and what signs for it, in each of the ways that its credentials are written down."""

from datetime import UTC, datetime, timedelta

import pytest

from bondstone.blocks import AzureContainer, AzureCredentials, InvalidBlock
from bondstone.integrations.azure import account_name, endpoint, signature
from tests.integrations.azure_storage import Azure, azure_storage
from tests.integrations.failing import fails

NOW = datetime(2026, 11, 21, tzinfo=UTC)
CLOUD = "DefaultEndpointsProtocol=https;AccountName=abc;AccountKey=a2V5;EndpointSuffix=core.windows.net"
SAS = "BlobEndpoint=https://abc.blob.core.windows.net/;SharedAccessSignature=sv=2026-02-06&sig=c2ln%3D"
OWN = "AccountName=abc;AccountKey=a2V5==;BlobEndpoint=http://127.0.0.1:10000/abc"


@pytest.mark.parametrize(
    ("string", "place", "way", "value"),
    [
        (CLOUD, "https://abc.blob.core.windows.net", "access_key", "a2V5"),
        (SAS, "https://abc.blob.core.windows.net", "sas_token", "sv=2026-02-06&sig=c2ln%3D"),
        (OWN, "http://127.0.0.1:10000/abc", "access_key", "a2V5=="),
        ("AccountName=abc;AccountKey=a2V5", None, "access_key", "a2V5"),
    ],
    ids=["portal", "signature", "endpoint", "short"],
)
def test_a_connection_string(string: str, place: str | None, way: str, value: str) -> None:
    """As the portal shows it, with a signature, with an endpoint of one's own, and with as little as there may be."""
    container = AzureContainer(container="reports", credentials=AzureCredentials(connection_string=string))

    assert (account_name(container), endpoint(container)) == ("abc", place)
    signed = signature(container.credentials or AzureCredentials(), NOW)
    assert (signed.way, signed.value) == (way, value)
    assert value not in repr(signed)


def test_the_container_has_the_first_word() -> None:
    """On its account and on its endpoint."""
    container = AzureContainer(
        container="reports",
        account_name="def",
        endpoint="https://def.example.org/",
        credentials=AzureCredentials(connection_string=CLOUD),
    )

    assert (account_name(container), endpoint(container)) == ("def", "https://def.example.org")


@pytest.mark.parametrize("string", ["AccountKey=a2V5", "BlobEndpoint=https://x/;SharedAccessSignature=sig=x"])
def test_no_account(string: str) -> None:
    """It is asked for."""
    container = AzureContainer(container="reports", credentials=AzureCredentials(connection_string=string))

    assert "give account_name" in fails(InvalidBlock, lambda: account_name(container))


def test_the_emulators_short_form() -> None:
    """Its well-known key is written down nowhere here."""
    block = AzureCredentials(connection_string="UseDevelopmentStorage=true")

    assert "give its account_name and account_key" in fails(InvalidBlock, lambda: signature(block, NOW))


def test_the_token_of_a_principal() -> None:
    """It is asked for once in its life, and again shortly before its end."""
    with azure_storage("abc", "reports") as service:
        block = principal(service)

        tokens = [signature(block, NOW + timedelta(minutes=minutes)).value for minutes in (0, 30, 54, 56)]

        assert service.given == [tokens[0], tokens[3]]
        assert tokens == [tokens[0]] * 3 + [tokens[3]]
        assert service.asked == ["POST /example.org/oauth2/v2.0/token"] * 2


def test_the_tokens_of_two_principals() -> None:
    """In turn: each is asked for once."""
    with azure_storage("abc", "reports") as service:
        blocks = [principal(service), principal(service)]

        tokens = [signature(block, NOW).value for _ in range(3) for block in blocks]

        assert tokens == service.given * 3
        assert len(service.given) == 2


def principal(service: Azure) -> AzureCredentials:
    """With a client secret of its own."""
    return AzureCredentials(
        account_name="abc",
        tenant_id="example.org",
        client_id="00000000-0000-0000-0000-000000000001",
        client_secret=service.create_secret(),
        authority_host=service.url,
    )
