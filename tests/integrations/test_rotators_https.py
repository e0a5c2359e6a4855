"""What is asked by plain HTTP: of servers of the tests' own, which answer as the vendors' documentation says that they do."""

import base64
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from socket import create_server
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ec_key
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bondstone.blocks import AccessDenied, Block, BondstoneError, ServiceUnavailable, find
from bondstone.blocks.rotator import rotator_of
from bondstone.integrations.https import ask, good
from bondstone.integrations.rotators.gcs import GcsAccounts
from bondstone.integrations.rotators.testing import everything
from bondstone.integrations.within import within
from tests.integrations.stand_in import Asked, Said, stand_in

SECRET = "sent" + "inel-of-the-vendor"
GUID = "00000000-0000-0000-0000-000000000001"


def refused(kind: type[BondstoneError], call: Callable[[], Any], match: str) -> None:
    """It is told by `kind`, and nothing that was secret is shown, not even in the locals of a frame."""
    with pytest.raises(kind, match=match) as caught:
        call()
    assert SECRET not in everything(caught.value)
    assert base64.b64encode(f"reader:{SECRET}".encode()).decode() not in everything(caught.value)


def verify(block: Block) -> Any:
    return rotator_of(block.kind).verify(block)


class TestWithin:
    """A call in a thread of its own."""

    def test_what_it_raises_holds_nothing_of_where_it_was(self) -> None:
        """Neither an error of ours, raised among secrets, nor one of a vendor's."""

        def ours() -> None:
            held = SECRET[:4] + SECRET[4:]
            raise AccessDenied(f"refused, {len(held)}")

        def theirs() -> None:
            raise KeyError(SECRET)

        with pytest.raises(AccessDenied, match="refused, ") as caught:
            within(5, "it", ours, lambda _: ServiceUnavailable("?"))
        assert "ours" not in [entry.name for entry in caught.traceback]
        refused(ServiceUnavailable, lambda: within(5, "it", theirs, lambda _: ServiceUnavailable("told")), "told")

    def test_a_late_call(self) -> None:
        """It is left behind."""
        began = time.monotonic()
        refused(
            ServiceUnavailable, lambda: within(0.1, "it", lambda: time.sleep(2), lambda _: AccessDenied("?")), "0.1 s"
        )

        assert time.monotonic() - began < 1.5


class TestAsk:
    """One request, bounded, whose headers go to one host."""

    def test_a_redirection_is_not_followed(self) -> None:
        """The other host would get the token."""
        seen: list[Asked] = []

        def collect(asked: Asked) -> Said:
            seen.append(asked)
            return Said()

        with stand_in(collect) as other, stand_in(lambda _: Said(302, headers={"Location": f"{other}/x"})) as url:
            answer = ask(url, "it", headers={"Authorization": f"Bearer {SECRET}"})

            refused(ServiceUnavailable, lambda: good(answer, "it", ""), "sends us elsewhere")
        assert not seen

    @pytest.mark.parametrize("drip", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: "], ids=["silent", "dripping"])
    def test_a_slow_server(self, drip: bytes) -> None:
        """The time is bounded also where each byte comes in time."""
        with slow(drip) as url:
            began = time.monotonic()
            refused(ServiceUnavailable, lambda: ask(url + SECRET, "it", seconds=0.4), "did not answer")

        assert time.monotonic() - began < 3

    def test_nobody_listens(self) -> None:
        refused(ServiceUnavailable, lambda: ask(f"http://127.0.0.1:9/{SECRET}", "it"), "it did not answer")

    def test_no_json(self) -> None:
        """A page of some proxy, for instance."""
        with stand_in(lambda _: Said(content=["a list"])) as url:
            refused(ServiceUnavailable, lambda: ask(url, "it").json("it"), "no JSON object")


class TestWebhook:
    def test_it_is_knocked_at_and_nothing_is_posted(self) -> None:
        """The most that is honest."""
        seen: list[Asked] = []

        def hook(asked: Asked) -> Said:
            seen.append(asked)
            return Said(405)

        with stand_in(hook) as url:
            found = verify(find("http-webhook")(url=f"{url}/{SECRET}", headers={"X-Api-Key": SECRET}))

        assert [(asked.method, asked.headers["X-Api-Key"]) for asked in seen] == [("HEAD", SECRET)]
        assert found.identity == "status 405"
        assert "not proved" in found.proves

    def test_the_server_fails(self) -> None:
        with stand_in(lambda _: Said(503)) as url:
            block = find("http-webhook")(url=f"{url}/{SECRET}")
            refused(ServiceUnavailable, lambda: verify(block), "503")


class TestDockerRegistry:
    """As the specification of token authentication says."""

    @pytest.fixture
    def registry(self) -> Iterator[str]:
        def answer(asked: Asked) -> Said:
            parts, said = urlsplit(asked.path), asked.headers.get("Authorization", "")
            if parts.path == "/token":
                login = base64.b64encode(f"reader:{SECRET}".encode()).decode()
                query = parse_qs(parts.query)
                if query["service"] != ["registry"] or query.get("account") not in (None, ["reader"]):
                    return Said(400)
                return Said(content={"token": "good"}) if said in ("", f"Basic {login}") else Said(401)
            if said == "Bearer good":
                return Said(content={})
            realm = f'Bearer realm="http://{asked.headers["Host"]}/token",service="registry"'
            return Said(401, headers={"WWW-Authenticate": realm})

        with stand_in(answer) as url:
            yield urlsplit(url).netloc

    def test_a_login(self, registry: str) -> None:
        block = find("docker-registry")(host=registry, username="reader", password=SECRET)

        assert verify(block).identity == "reader"
        assert verify(find("docker-registry")(host=registry)).identity == "anybody"

    def test_a_wrong_password(self, registry: str) -> None:
        block = find("docker-registry")(host=registry, username="reader", password=SECRET + "x")

        refused(AccessDenied, lambda: verify(block), "revoked, or of another user")

    @pytest.mark.parametrize("realm", ["http://example.org/token", "file:///etc/passwd", ""])
    def test_the_login_is_not_sent_just_anywhere(self, realm: str) -> None:
        """The registry says where; in clear it goes to this machine alone."""
        headers = {"WWW-Authenticate": f'Bearer realm="{realm}",service="registry"'}

        with stand_in(lambda _: Said(401, headers=headers)) as url:
            block = find("docker-registry")(host=urlsplit(url).netloc, username="reader", password=SECRET)
            refused(ServiceUnavailable, lambda: verify(block), "not https: nothing was sent")

    def test_a_registry_with_basic_authentication(self) -> None:
        """No token is asked for."""
        login = base64.b64encode(f"reader:{SECRET}".encode()).decode()

        def answer(asked: Asked) -> Said:
            good = asked.headers.get("Authorization") == f"Basic {login}"
            return Said() if good else Said(401, headers={"WWW-Authenticate": 'Basic realm="registry"'})

        with stand_in(answer) as url:
            block = find("docker-registry")(host=urlsplit(url).netloc, username="reader", password=SECRET)
            assert verify(block).identity == "reader"
            refused(AccessDenied, lambda: verify(block.model_copy(update={"password": "x" + SECRET})), "401")


class TestKubernetes:
    """Over TLS with a certificate that only the block trusts."""

    @pytest.fixture
    def cluster(self, tmp_path: Path) -> Iterator[dict[str, str]]:
        def answer(asked: Asked) -> Said:
            if asked.headers.get("Authorization") != f"Bearer {SECRET}":
                return Said(401)
            review = json.loads(asked.body)["kind"] == "SelfSubjectReview" and asked.path.endswith("selfsubjectreviews")
            info = {"username": "system:serviceaccount:flows:daily"}
            return Said(201, {"status": {"userInfo": info}}) if review else Said(404)

        certificate, context = self_signed(tmp_path)
        with stand_in(answer, context) as url:
            yield {"server": url, "ca_certificate": certificate, "token": SECRET}

    def test_a_token(self, cluster: dict[str, str]) -> None:
        assert verify(find("kubernetes-cluster")(**cluster)).identity == "system:serviceaccount:flows:daily"

    def test_a_refused_token(self, cluster: dict[str, str]) -> None:
        block = find("kubernetes-cluster")(**cluster | {"token": SECRET + "x"})

        refused(AccessDenied, lambda: verify(block), "expired, or deleted")

    def test_a_server_that_is_not_trusted(self, cluster: dict[str, str]) -> None:
        """The token is not sent."""
        block = find("kubernetes-cluster")(**{k: v for k, v in cluster.items() if k != "ca_certificate"})

        refused(ServiceUnavailable, lambda: verify(block), "certificate that is not trusted")


class TestGoogle:
    """A signed assertion is exchanged for a token."""

    KEY = generate_private_key(65537, 2048)

    @pytest.fixture
    def google(self) -> Iterator[str]:
        def answer(asked: Asked) -> Said:
            form = parse_qs(asked.body.decode())
            return Said(content={"access_token": "t"}) if signed(form["assertion"][0], self.KEY) else Said(400, {})

        with stand_in(answer) as url:
            yield url

    def block(self, key: RSAPrivateKey, uri: str) -> Block:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        account = {"type": "service_account", "client_email": "w@example.org", "private_key": pem, "token_uri": uri}
        return find("gcs-credentials")(service_account=account)

    def test_a_key(self, google: str) -> None:
        assert verify(self.block(self.KEY, google)).identity == "w@example.org"

    def test_another_key(self, google: str) -> None:
        block = self.block(generate_private_key(65537, 2048), google)

        refused(AccessDenied, lambda: verify(block), "is it deleted")

    def test_a_clock_that_is_wrong(self, google: str) -> None:
        """Google refuses assertions of another hour."""
        rotator = GcsAccounts(clock=lambda: time.time() - 7200)

        refused(AccessDenied, lambda: rotator.verify(self.block(self.KEY, google)), "clock of this machine")  # type: ignore[arg-type]

    def test_the_default_credentials_are_not_the_blocks(self) -> None:
        assert verify(find("gcs-credentials")()) is None


class TestAzure:
    def test_a_client_secret(self) -> None:
        """It is asked for at the directory of the block; a wrong one is refused."""

        def answer(asked: Asked) -> Said:
            form = parse_qs(asked.body.decode())
            good = form["client_secret"] == [SECRET] and asked.path == f"/{GUID}/oauth2/v2.0/token"
            return Said(content={"access_token": "t", "expires_in": 3599}) if good else Said(401)

        with stand_in(answer) as url:
            block = self.application(url)
            assert verify(block).identity == f"application {GUID}"
            wrong = block.model_copy(update={"client_secret": SECRET + "x"})
            refused(AccessDenied, lambda: verify(wrong), "expired, or deleted")

    @pytest.mark.parametrize("content", [{}, {"access_token": SECRET}, {"access_token": 1, "expires_in": 1}])
    def test_something_else_answers(self, content: dict[str, Any]) -> None:
        """What it says is not taken for a token."""
        with stand_in(lambda _: Said(content=content)) as url:
            refused(ServiceUnavailable, lambda: verify(self.application(url)), "is not Microsoft Entra")

    def application(self, authority: str) -> Block:
        names = {"tenant_id": GUID, "client_id": GUID, "client_secret": SECRET}
        return find("azure-credentials")(account_name="reports", authority_host=authority, **names)

    def test_nobody_is_asked_about_a_signature(self) -> None:
        assert verify(find("azure-credentials")(account_name="reports", sas_token=f"sig={SECRET}")) is None


def signed(assertion: str, key: RSAPrivateKey) -> bool:
    """Whether Google would take it: signed by the key, of this hour, for an hour at most."""
    text, _, signature = assertion.rpartition(".")
    try:
        key.public_key().verify(unbase64(signature), text.encode(), PKCS1v15(), SHA256())
    except Exception:  # noqa: BLE001
        return False
    claims = json.loads(unbase64(text.partition(".")[2]))
    return bool(claims["exp"] - claims["iat"] <= 3600 and abs(claims["iat"] - time.time()) < 300)


def unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def self_signed(folder: Path) -> tuple[str, ssl.SSLContext]:
    """A certificate of 127.0.0.1, and a server's context with it."""
    key, name = ec_key(SECP256R1()), x509.Name([])
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1)
    )
    builder = builder.add_extension(alternative, critical=not name.rdns)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem = builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()
    chain = folder / "chain.pem"
    chain.write_text(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    return pem, context


@contextmanager
def slow(drip: bytes) -> Iterator[str]:
    """A server that never comes to the end of its headers."""
    done: list[bool] = []
    with create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with suppress(OSError), listener.accept()[0] as connection:
                connection.sendall(drip)
                while not done:
                    time.sleep(0.05)
                    connection.sendall(drip and b"x")

        Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        done.append(True)
