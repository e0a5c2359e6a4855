"""Every key provider keeps the promises of the suite; and what is peculiar to each."""

import base64
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest
from keyring.backends import fail
from keyrings.alt.file import PlaintextKeyring

from bondstone.cli.demo.process import child_server, listening
from bondstone.cli.demo.server import REGION, S3Server, s3_server
from bondstone.registry import (
    AccessDenied,
    InvalidSettings,
    KeyMissing,
    Registry,
    ServiceUnavailable,
    Settings,
    Unreadable,
    WrongKey,
)
from bondstone.registry.aws_kms import MOST, AwsKms, encryption_context
from bondstone.registry.keys import KeyProvider, Passphrase, RawKey, key_file, make_key_file
from bondstone.registry.os_keyring import SERVICE, keyring_key, make_keyring_key
from bondstone.registry.testing import KeyProviderSuite
from bondstone.registry.testing.key_provider_suite import CONTEXT, KEYS
from bondstone.registry.vault import VaultTransit
from tests.registry.processes import run

ARN = f"arn:aws:kms:{REGION}:123456789012:key/00000000-0000-0000-0000-000000000000"


class TestEnvironmentKey(KeyProviderSuite):
    flips = 2000

    @pytest.fixture
    def provider(self) -> KeyProvider:
        return RawKey("key", "a test", b"1" * 32)

    @pytest.fixture
    def other(self) -> KeyProvider:
        return RawKey("key", "a test", b"2" * 32)


class TestKeyFile(KeyProviderSuite):
    @pytest.fixture
    def provider(self, tmp_path: Path) -> KeyProvider:
        return make_key_file(tmp_path / "one")

    @pytest.fixture
    def other(self, tmp_path: Path) -> KeyProvider:
        return make_key_file(tmp_path / "two")


class TestPassphrase(KeyProviderSuite):
    flips = 8  # each costs a tenth of a second, and memory costs flipped upwards more

    @pytest.fixture
    def provider(self) -> KeyProvider:
        return Passphrase("correct horse")

    @pytest.fixture
    def other(self) -> KeyProvider:
        return Passphrase("battery staple")


@pytest.fixture
def backend(tmp_path: Path) -> PlaintextKeyring:
    """A real backend that needs no desktop: a file."""
    backend = PlaintextKeyring()
    backend.file_path = str(tmp_path / "keyring.cfg")
    return backend


class TestOsKeyring(KeyProviderSuite):
    @pytest.fixture
    def provider(self, backend: PlaintextKeyring) -> KeyProvider:
        return make_keyring_key(backend)

    @pytest.fixture
    def other(self, backend: PlaintextKeyring) -> KeyProvider:
        return make_keyring_key(backend)

    def test_it_is_found_again_by_its_id(
        self, backend: PlaintextKeyring, wrapped: bytes, provider: KeyProvider
    ) -> None:
        """Under the service `bondstone`; the same key in a file opens the same rows."""
        again = keyring_key(provider.key_id, backend)

        assert again.unwrap(wrapped, CONTEXT) == KEYS
        assert again.kind == "keyring"
        assert backend.get_password(SERVICE, provider.key_id) == base64.urlsafe_b64encode(again.key).decode().rstrip(
            "="
        )

    def test_what_is_not_there_or_another(self, backend: PlaintextKeyring, provider: KeyProvider) -> None:
        """No entry: KeyMissing; the entry of another key: WrongKey; no key at all: told, and not shown."""
        other = make_keyring_key(backend)
        backend.set_password(SERVICE, "k00000000", backend.get_password(SERVICE, other.key_id) or "")
        backend.set_password(SERVICE, "k00000001", "SENTINEL")

        with pytest.raises(KeyMissing, match="k12345678"):
            keyring_key("k12345678", backend)
        with pytest.raises(WrongKey, match=other.key_id):
            keyring_key("k00000000", backend)
        with pytest.raises(InvalidSettings, match="service 'bondstone'") as caught:
            keyring_key("k00000001", backend)
        assert "SENTINEL" not in str(caught.value)

    def test_a_backend_that_fails(self) -> None:
        """keyring's own errors are told as ours, without their text."""
        with pytest.raises(ServiceUnavailable, match="NoKeyringError"):
            make_keyring_key(fail.Keyring())  # type: ignore[no-untyped-call]

    def test_without_a_desktop(self, home: Path) -> None:
        """Neither no backend, nor one that keyring does not recommend, is taken by itself; naming one takes it."""
        ask = "from bondstone.registry.os_keyring import *\ntry: print(make_keyring_key().kind)\nexcept InvalidSettings as e: print(e)"
        settings = f"os.environ['XDG_DATA_HOME'] = {str(home)!r}; os.environ.pop('PYTHON_KEYRING_BACKEND', 0)"

        alone = run(f"import os; {settings}\n{ask}")
        nothing = run(f"import os; os.environ['PYTHON_KEYRING_BACKEND'] = 'keyring.backends.null.Keyring'\n{ask}")
        named = run(
            f"import os; {settings}; os.environ['PYTHON_KEYRING_BACKEND'] = 'keyrings.alt.file.PlaintextKeyring'\n{ask}"
        )

        assert "use a key file" in alone
        assert "use a key file" in nothing
        assert named == "keyring\n"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("aws"), engine="moto") as server:
        yield server


@pytest.fixture(scope="module")
def kms(aws: S3Server) -> Any:
    return aws.client("kms")


def kms_key(kms: Any) -> AwsKms:
    return AwsKms(kms.create_key()["KeyMetadata"]["Arn"], lambda region: kms)


class TestAwsKms(KeyProviderSuite):
    @pytest.fixture
    def provider(self, kms: Any) -> KeyProvider:
        return kms_key(kms)

    @pytest.fixture
    def other(self, kms: Any) -> KeyProvider:
        return kms_key(kms)

    def test_kms_authenticates_the_context(self, kms: Any, provider: KeyProvider, wrapped: bytes) -> None:
        """Registry, slot, generation and time go to KMS itself: nobody who may only decrypt another slot opens this one."""
        context = encryption_context(CONTEXT)

        opened = kms.decrypt(CiphertextBlob=wrapped, EncryptionContext=context)["Plaintext"]

        assert opened == KEYS
        assert context["bondstone:registry"] == CONTEXT.registry_id
        assert context["bondstone:slot"] == "primary"
        with pytest.raises(kms.exceptions.InvalidCiphertextException):
            kms.decrypt(CiphertextBlob=wrapped, EncryptionContext={**context, "bondstone:slot": "recovery"})

    def test_too_many_root_keys(self, provider: KeyProvider) -> None:
        """KMS takes 4096 bytes: told before it is asked."""
        assert provider.wrap(b"x" * MOST, CONTEXT)
        with pytest.raises(InvalidSettings, match="4096"):
            provider.wrap(b"x" * (MOST + 1), CONTEXT)

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "alias/x",
            f"{ARN} ",
            ARN.replace("key/", "alias/"),
            "00000000-0000-0000-0000-000000000000",
            "arn:aws:s3:::x",
        ],
    )
    def test_only_a_full_arn_names_a_key(self, name: str) -> None:
        """An alias could be pointed to another key."""
        with pytest.raises(InvalidSettings, match="ARN"):
            AwsKms(name)

    def test_a_key_that_is_gone(self, kms: Any) -> None:
        """KeyMissing, which names it."""
        with pytest.raises(KeyMissing, match="arn:aws:kms"):
            AwsKms(ARN, lambda region: kms).wrap(KEYS, CONTEXT)

    def test_without_the_right_to(self, aws: S3Server, provider: KeyProvider) -> None:
        """A user who may not: AccessDenied."""
        import boto3

        aws.create_user("nobody")
        pair = aws.create_key("nobody")
        client = boto3.Session(pair.access_key_id, pair.secret_access_key).client(
            "kms", endpoint_url=aws.endpoint, region_name=REGION
        )

        with pytest.raises(AccessDenied, match="kms:Encrypt"):
            AwsKms(provider.key_id, lambda region: client).wrap(KEYS, CONTEXT)

    def test_nobody_there(self) -> None:
        """ServiceUnavailable, within seconds."""
        import boto3
        from botocore.config import Config

        quick = Config(retries={"total_max_attempts": 1}, connect_timeout=1)
        client = boto3.Session("AKIA" + "A" * 16, "x").client(
            "kms", endpoint_url="http://127.0.0.1:9", region_name=REGION, config=quick
        )

        with pytest.raises(ServiceUnavailable):
            AwsKms(ARN, lambda region: client).wrap(KEYS, CONTEXT)


def vault_server(folder: Path, **settings: str) -> Any:
    argv = [sys.executable, "-m", "uvicorn", "--log-level", "error", "--app-dir", str(Path(__file__).parent)]

    def serve() -> Iterator[str]:
        with listening() as listener:
            words = [*argv, "--fd", str(listener.fileno()), "vault_service:app"]
            env = {"TOKEN": "a-token", "KEYS": "bondstone other", **settings}
            with child_server(words, listener=listener, env=env, log=folder / "log") as child:
                yield child.endpoint

    return serve()


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from vault_server(tmp_path_factory.mktemp("vault"))


@pytest.fixture(scope="module")
def old_vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from vault_server(tmp_path_factory.mktemp("old-vault"), IGNORE_DATA="1")


def client_of(url: str, token: str = "a-token") -> Callable[[], Any]:
    client = hvac.Client(url=url, token=token, timeout=10)
    return lambda: client


class TestVaultTransit(KeyProviderSuite):
    @pytest.fixture
    def provider(self, vault: str) -> KeyProvider:
        return VaultTransit("transit/bondstone", client_of(vault))

    @pytest.fixture
    def other(self, vault: str) -> KeyProvider:
        return VaultTransit("transit/other", client_of(vault))

    def test_a_key_that_is_not_there(self, vault: str) -> None:
        """KeyMissing, which names it."""
        with pytest.raises(KeyMissing, match="transit/none"):
            VaultTransit("transit/none", client_of(vault)).wrap(KEYS, CONTEXT)
        with pytest.raises(KeyMissing, match="elsewhere/bondstone"):
            VaultTransit("elsewhere/bondstone", client_of(vault)).wrap(KEYS, CONTEXT)

    def test_a_token_that_does_not_count(self, vault: str) -> None:
        """AccessDenied, without the token."""
        with pytest.raises(AccessDenied, match="VAULT_TOKEN") as caught:
            VaultTransit("transit/bondstone", client_of(vault, "SENTINEL")).wrap(KEYS, CONTEXT)
        assert "SENTINEL" not in str(caught.value)

    def test_nobody_there(self) -> None:
        """ServiceUnavailable."""
        with pytest.raises(ServiceUnavailable, match="VAULT_ADDR"):
            VaultTransit("transit/bondstone", client_of("http://127.0.0.1:9")).wrap(KEYS, CONTEXT)

    def test_a_vault_that_forgets_the_context(self, old_vault: str) -> None:
        """Before it is trusted with anything: rows could be moved between registries."""
        with pytest.raises(InvalidSettings, match="associated data"):
            VaultTransit("transit/bondstone", client_of(old_vault)).wrap(KEYS, CONTEXT)

    def test_only_one_spelling_opens(self, provider: KeyProvider) -> None:
        """Bits that base64 throws away must not be free."""
        wrapped = provider.wrap(b"x" * 6, CONTEXT)  # of a length whose base64 ends in '='
        assert wrapped.endswith(b"=")
        bare = wrapped.rstrip(b"=")
        other = bare[:-1] + bytes([bare[-1] + 1]) + wrapped[len(bare) :]

        for text in (other, bare, wrapped + b"\n", wrapped.replace(b"v1", b"v01")):
            with pytest.raises(Unreadable):
                provider.unwrap(text, CONTEXT)

    @pytest.mark.parametrize(
        "name", ["", "bondstone", "transit/", "/bondstone", "transit/../sys/x", "transit/a b", "t/x\n"]
    )
    def test_a_name_that_is_none(self, name: str) -> None:
        """It becomes part of a URL: nothing else goes through."""
        with pytest.raises(InvalidSettings):
            VaultTransit(name)


def test_an_address_in_the_place_of_a_key(vault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In BONDSTONE_KEY, or in a key file, which must be as private: a registry is made and opened by it."""
    monkeypatch.setenv("VAULT_ADDR", vault)
    monkeypatch.setenv("VAULT_TOKEN", "a-token")
    url, path = f"sqlite:///{tmp_path}/data/registry.db", tmp_path / "key"
    Settings(url, key="vault:transit/bondstone").create().save("secret", "a", b"content")
    path.touch(0o600)
    path.write_text("vault:transit/bondstone\n")

    opened: Registry = Settings(url, key_file=str(path)).open()

    assert opened.load("secret", "a").content == b"content"
    opened.close()
    with pytest.raises(WrongKey, match="expected transit/bondstone"):
        Settings(url, key="vault:transit/other").open()


def test_the_registry_does_not_choose_its_key(vault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever writes the database could name a key of their own, with root keys that they know: without a setting nothing is asked."""
    monkeypatch.setenv("VAULT_ADDR", vault)
    monkeypatch.setenv("VAULT_TOKEN", "a-token")
    url = f"sqlite:///{tmp_path}/data/registry.db"
    Settings(url, key="vault:transit/bondstone").create().close()
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:9")  # where nobody answers: asking would be another error

    with pytest.raises(KeyMissing, match="if you trust it, set BONDSTONE_KEY=vault:transit/bondstone"):
        Settings(url).open()


def test_a_key_file_that_others_can_write_names_no_key(tmp_path: Path) -> None:
    """An address is no secret, but who can change it chooses the key."""
    path = tmp_path / "key"
    path.touch()
    path.chmod(0o644)
    path.write_text("vault:transit/bondstone\n")

    with pytest.raises(Exception, match="chmod 600"):
        Settings(f"sqlite:///{tmp_path}/data/r.db", key_file=str(path)).provider()
    with pytest.raises(Exception, match="chmod 600"):
        key_file(path)
    assert path.stat().st_mode & 0o777 == 0o644
