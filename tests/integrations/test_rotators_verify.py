"""What is asked to prove a credential, of real servers: S3, Icechunk, Git and Arraylake; and what is replaced by hand."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bondstone.blocks import (
    AccessDenied,
    ArraylakeToken,
    Block,
    BondstoneError,
    Conflict,
    GitRepository,
    IcechunkRepo,
    InvalidSettings,
    NotFound,
    S3Bucket,
    Secret,
    ServiceUnavailable,
    catalog,
    find,
)
from bondstone.blocks.rotator import Guided, rotator_of
from bondstone.integrations.icechunk import connect
from bondstone.integrations.rotators.testing import everything
from tests.integrations.arraylake_stand_in import Service
from tests.integrations.conftest import Account, both, save
from tests.integrations.git_host import FIRST, SECOND, GitHost
from tests.integrations.stand_in import Said, stand_in
from tests.integrations.test_arraylake import service

__all__ = ["service"]  # a fixture


def verify(block: Block) -> Any:
    return rotator_of(block.kind).verify(block)


def refused(kind: type[BondstoneError], call: Callable[[], Any], match: str, *secrets: str) -> None:
    """It is told by `kind`, and none of `secrets` is shown, not even in the locals of a frame."""
    with pytest.raises(kind, match=match) as caught:
        call()
    assert not [secret for secret in secrets if secret in everything(caught.value)]


@pytest.fixture
def gone() -> Iterator[str]:
    """An endpoint that answers 503 to everything."""
    with stand_in(lambda _: Said(503)) as url:
        yield url


@both
class TestS3Bucket:
    def test_it_is_listed(self, reports: Account) -> None:
        """With the key of its credentials, which is told."""
        found = verify(S3Bucket.load("reports"))

        assert reports.key.access_key_id in found.identity
        assert "s3://reports/" in found.identity
        assert "not asked" in found.proves

    def test_a_revoked_key(self, reports: Account) -> None:
        reports.revoke()

        block = S3Bucket.load("reports")
        refused(
            AccessDenied, lambda: verify(block), "InvalidAccessKeyId.*aws-credentials/prod", *reports.secrets.values()
        )

    def test_no_such_bucket(self, reports: Account) -> None:
        save("s3-bucket/other", bucket="other", endpoint=reports.server.endpoint, credentials="aws-credentials/prod")

        refused(NotFound, lambda: verify(S3Bucket.load("other")), "there is no bucket 'other'")


def test_a_bucket_that_anybody_may_list(reports: Account) -> None:
    """Signed by nobody; ministack lets nobody in, and that is told."""
    block = S3Bucket(bucket="reports", endpoint=reports.server.endpoint, anonymous=True)

    refused(AccessDenied, lambda: verify(block), "bucket 'reports' .* refused to be listed")


@pytest.mark.parametrize("kind", [S3Bucket, IcechunkRepo])
def test_storage_that_is_down(kind: type[Block], reports: Account, gone: str) -> None:
    """Told within the deadline."""
    bucket = S3Bucket(bucket="reports", endpoint=gone, credentials=find("aws-credentials").load("prod"))
    block = bucket if kind is S3Bucket else IcechunkRepo(bucket=bucket, prefix="ocean")
    began = time.monotonic()

    refused(ServiceUnavailable, lambda: verify(block), "failed", *reports.secrets.values())

    assert time.monotonic() - began < 30


class TestIcechunk:
    @pytest.mark.parametrize("name", ["ocean", "local"])
    def test_the_head_of_the_branch(self, name: str, reports: Account) -> None:
        """By the id of its snapshot."""
        snapshot = connect(name).lookup_branch("main")

        assert verify(IcechunkRepo.load(name)).identity.endswith(f"at snapshot {snapshot}")

    @pytest.mark.parametrize("name", ["ocean", "local"])
    def test_none_is_made(self, name: str, reports: Account, home: Path) -> None:
        """A check that creates would hide a mistyped prefix."""
        for _ in range(2):
            refused(NotFound, lambda: verify(IcechunkRepo.load(name)), "there is no repository at")

        assert not (home.parent / "ocean.icechunk").exists()

    def test_a_revoked_key(self, reports: Account) -> None:
        connect("ocean")
        block = IcechunkRepo.load("ocean")
        reports.revoke()

        refused(AccessDenied, lambda: verify(block), "InvalidAccessKeyId", *reports.secrets.values())

    def test_no_such_branch(self, reports: Account) -> None:
        connect("local")
        block = IcechunkRepo.load("local").model_copy(update={"branch": "side"})

        refused(NotFound, lambda: verify(block), "no branch 'side'")


class TestGit:
    def test_the_reference_is_listed(self, host: GitHost) -> None:
        found = verify(GitRepository.load("flows"))

        assert found.identity.startswith("HEAD at ")
        assert found.identity.endswith("with git-credentials/ci")

    @pytest.mark.parametrize("revision", [{"branch": "feature"}, {"tag": "v1"}, {"commit": "0" * 40}])
    def test_a_revision(self, revision: dict[str, str], host: GitHost) -> None:
        assert verify(GitRepository.load("flows").model_copy(update=revision))

    def test_no_such_branch(self, host: GitHost) -> None:
        block = GitRepository.load("flows").model_copy(update={"branch": "gone"})

        refused(NotFound, lambda: verify(block), "has no refs/heads/gone")

    def test_a_revoked_token(self, host: GitHost) -> None:
        host.tokens = {SECOND}

        refused(
            AccessDenied, lambda: verify(GitRepository.load("flows")), "save a new version of git-credentials/ci", FIRST
        )


class TestArraylake:
    def test_who_it_is_and_until_when(self, service: Service) -> None:
        """The service tells when the token ends."""
        found = verify(ArraylakeToken.load("prod"))

        assert (found.by, found.identity) == ("Arraylake GET /user", "flow@example.org")
        assert found.expires_at == datetime.fromtimestamp(2_000_000_000, UTC)

    def test_a_revoked_token(self, service: Service) -> None:
        block = ArraylakeToken.load("prod")
        service.accept("ema_another")

        refused(AccessDenied, lambda: verify(block), "arraylake-token/prod.*revoked, expired", "ema_first-token")

    def test_a_service_that_is_down(self, service: Service, gone: str) -> None:
        """At once, where the vendor's client tries for 91 s."""
        block = ArraylakeToken(token="ema_first-token", service_uri=gone)
        began = time.monotonic()

        refused(ServiceUnavailable, lambda: verify(block), "503", "ema_first-token")

        assert time.monotonic() - began < 5

    @pytest.mark.parametrize("answer", [{}, {"expiration": "soon"}, {"expiration": -1}, {"expiration": 10**30}])
    def test_an_answer_without_a_time(self, answer: dict[str, Any]) -> None:
        """A person's token has none."""
        with stand_in(lambda _: Said(content={"email": "a@example.org", **answer})) as url:
            assert verify(ArraylakeToken(token="ema_x", service_uri=url)).expires_at is None

    def test_a_repository(self, service: Service) -> None:
        repo = find("arraylake-repo")(repo="earthmover/ocean", token=ArraylakeToken.load("prod"))

        assert verify(repo).by == "Arraylake GET /repos/earthmover/ocean"
        refused(NotFound, lambda: verify(repo.model_copy(update={"repo": "earthmover/sea"})), "404")


class TestByHand:
    """What is pasted."""

    def test_a_token_is_replaced(self, service: Service) -> None:
        """The rest of the block stays; the vendor is asked about what was pasted."""
        rotator, block = rotator_of("arraylake-token"), ArraylakeToken.load("prod")

        new = rotator.create(block, {"token": "ema_second-token"})

        assert new.token.get_secret_value() == "ema_second-token"
        assert new.service_uri == block.service_uri
        with pytest.raises(AccessDenied):
            rotator.verify(new)
        service.accept("ema_second-token")
        assert rotator.verify(new).identity == "flow@example.org"

    @pytest.mark.parametrize("kind", ["ssh-key", "git-credentials", "arraylake-token", "http-webhook"])
    def test_it_is_said_where_the_old_one_is_revoked(self, kind: str) -> None:
        assert rotator_of(kind).guided(None)
        assert "old" in rotator_of(kind).remedy
        assert rotator_of(kind).remedy != Guided.remedy

    def test_nobody_can_be_asked_about_a_secret(self) -> None:
        assert verify(Secret(value="x")) is None

    def test_nothing_or_the_same_is_pasted(self) -> None:
        block = Secret(value="the same").save("s")

        with pytest.raises(InvalidSettings, match="is replaced by hand"):
            rotator_of("secret").create(block, {})
        with pytest.raises(Conflict, match="holds already"):
            rotator_of("secret").create(block, {"value": "the same"})


class TestHolders:
    """A bucket, a repository: somebody else's credential."""

    @pytest.mark.parametrize("step", ["existing", "create"])
    def test_the_one_to_rotate_is_named(self, step: str, reports: Account) -> None:
        for block in (S3Bucket.load("reports"), IcechunkRepo.load("ocean")):
            arguments: tuple[Any, ...] = ({},) if step == "create" else ()
            name = "aws-credentials/prod" if block.kind == "s3-bucket" else "s3-bucket/reports"
            with pytest.raises(InvalidSettings, match=f"rotate {name}"):
                getattr(rotator_of(block.kind), step)(block, *arguments)

    def test_one_without_a_name(self) -> None:
        inside = find("aws-credentials")(access_key_id="AKIAEXAMPLE", secret_access_key="x" * 41)

        with pytest.raises(InvalidSettings, match="the aws-credentials of s3-bucket has no name: save it by itself"):
            rotator_of("s3-bucket").existing(S3Bucket(bucket="reports", credentials=inside))

    def test_none_at_all(self) -> None:
        with pytest.raises(InvalidSettings, match="nothing to rotate"):
            rotator_of("icechunk-repo").existing(IcechunkRepo(path="/x"))


def test_every_kind_has_a_rotator_of_its_own() -> None:
    """So that what `verify` asks, or that it asks nobody, was thought about; but for what this suite defines."""
    kinds = [kind for kind, block in catalog().items() if block.__module__.startswith("bondstone.blocks.")]

    assert [kind for kind in kinds if type(rotator_of(kind)) is Guided] == ["secret"]
