"""Arraylake: tokens are made and revoked by hand in its web page. Source: Arraylake documentation, "API tokens"."""

from datetime import UTC, datetime
from typing import Any

from bondstone.blocks import ArraylakeToken, Block
from bondstone.blocks.arraylake import ArraylakeRepo
from bondstone.blocks.errors import guarded
from bondstone.blocks.rotator import Guided, Verified
from bondstone.integrations.https import ask, good
from bondstone.integrations.rotators.holders import Holder

_PROVES = "The service knows the token and whose it is; which repositories it may read or write is not asked."
_REPO_PROVES = "The service knows the token and shows the repository to it; whether it may write is not asked."


_YEAR_10000 = 253_402_300_800  # seconds since 1970; Python's calendar ends before


class ArraylakeTokens(Guided):
    """Pasted, and asked about at the service of the block."""

    remedy = "revoke the old one at Arraylake: app.earthmover.io, Settings, API tokens"

    @guarded
    def verify(self, block: ArraylakeToken) -> Verified:
        user = _get(block, "user", block)
        return Verified("Arraylake GET /user", _identity(user), _PROVES, _time(user.get("expiration")))


class ArraylakeRepos(Holder):
    """Its token is rotated; the repository is looked up with it."""

    @guarded
    def verify(self, block: ArraylakeRepo) -> Verified:
        found = _get(block.token, f"repos/{block.repo}", block)
        return Verified(f"Arraylake GET /repos/{block.repo}", str(found.get("_id", block.repo)), _REPO_PROVES)


def _get(token: ArraylakeToken, path: str, block: Block) -> dict[str, Any]:
    """Not by the vendor's client: for 91 s it repeats what fails, and it shows a malformed token in an error."""
    what, remedy = (
        f"Arraylake ({block.reference or block.kind})",
        "is the token revoked, expired, or of another service?",
    )
    accept = "application/vnd.earthmover+json"
    url = f"{token.service_uri.rstrip('/')}/{path}"
    return good(ask(url, what, headers=_signed(token) | {"Accept": accept}), what, remedy).json(what)


def _signed(token: ArraylakeToken) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.token.get_secret_value()}"}


def _identity(user: dict[str, Any]) -> str:
    return str(user.get("email") or user.get("client_id") or user.get("id") or "somebody without a name")


def _time(seconds: object) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) and 0 < seconds < _YEAR_10000 else None


arraylake_token = ArraylakeTokens()
arraylake_repo = ArraylakeRepos()
