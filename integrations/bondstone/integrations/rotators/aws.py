"""AWS IAM access keys: a user has room for two, so the new one is made beside the old one.

Sources: AWS, "IAM User Guide: Update access keys" and "IAM API Reference: CreateAccessKey".
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from bondstone.blocks import (
    AccessDenied,
    AwsCredentials,
    BondstoneError,
    Conflict,
    InvalidSettings,
    NotFound,
    ServiceUnavailable,
)
from bondstone.blocks.rotator import DEADLINE, Verified
from bondstone.integrations.aws import _session
from bondstone.integrations.extras import need
from bondstone.integrations.within import within

_MOST_KEYS = 2  # AWS, "IAM and AWS STS quotas"
_NEW_KEY = {"InvalidClientTokenId", "SignatureDoesNotMatch", "InvalidAccessKeyId", "AuthFailure"}
_BUSY = {"Throttling", "ThrottlingException", "RequestLimitExceeded", "ServiceUnavailable", "InternalFailure"}
_PROVES = "STS knows the key and whose it is; what that user may do is not asked."


class AwsKeys:
    """The access key of an IAM user, who replaces it with the rights of the key itself."""

    def guided(self, block: AwsCredentials) -> bool:
        return False

    def __init__(
        self,
        *,
        patience: float = 20.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`patience`: for how many seconds `verify` asks again about a key that AWS does not know yet."""
        self._patience, self._sleep, self._clock = patience, sleep, clock

    def existing(self, block: AwsCredentials) -> Sequence[str]:
        _check_own_key(block)
        keys = self._listed(block)
        if len(keys) >= _MOST_KEYS:
            raise _full(block, keys)
        return [key["AccessKeyId"] for key in keys]

    def create(self, block: AwsCredentials, given: Mapping[str, Any]) -> AwsCredentials:
        _check_own_key(block)
        if given:
            raise InvalidSettings(f"AWS makes the new key of {_name(block)}: give no fields")
        return block.model_copy(update=_fields(_iam(block, "CreateAccessKey")))

    def install(self, new: AwsCredentials, block: AwsCredentials) -> None:
        """Nothing: AWS made it."""

    def verify(self, block: AwsCredentials) -> Verified:
        return _call(block, "sts:GetCallerIdentity", partial(self._identity, block))

    def disable(self, old: AwsCredentials, block: AwsCredentials) -> None:
        _check_not_current(old, block)
        _change(block, "UpdateAccessKey", AccessKeyId=old.access_key_id, Status="Inactive")

    def retire(self, old: AwsCredentials, block: AwsCredentials) -> None:
        _check_not_current(old, block)
        _change(block, "DeleteAccessKey", AccessKeyId=old.access_key_id)

    def discard(self, before: Sequence[str], new: AwsCredentials | None, block: AwsCredentials) -> None:
        made = {key["AccessKeyId"] for key in self._listed(block)} - {*before, block.access_key_id}
        if new is not None:
            made &= {new.access_key_id}
        for key in sorted(made):
            _change(block, "UpdateAccessKey", AccessKeyId=key, Status="Inactive")
            _change(block, "DeleteAccessKey", AccessKeyId=key)

    def _listed(self, block: AwsCredentials) -> list[dict[str, Any]]:
        return _iam(block, "ListAccessKeys")["AccessKeyMetadata"]  # type: ignore[no-any-return]

    def _identity(self, block: AwsCredentials) -> Verified:
        until, pause = self._clock() + self._patience, 0.25
        while True:
            try:
                return _who(block)
            except need("botocore.exceptions", "aws").ClientError as error:
                if _code(error) not in _NEW_KEY or self._clock() + pause > until:
                    raise
            self._sleep(pause)
            pause = min(2 * pause, 4.0)


def _who(block: AwsCredentials) -> Verified:
    session, by, expires = _session(block), "sts:GetCallerIdentity", None
    if block.role_arn:
        by = "sts:AssumeRole, sts:GetCallerIdentity"
        session = _assumed(session, block)
    identity = _client("sts", session, block).get_caller_identity()
    return Verified(by, identity["Arn"], _PROVES, expires)


def _assumed(session: Any, block: AwsCredentials) -> Any:
    answer = _client("sts", session, block).assume_role(RoleArn=block.role_arn, RoleSessionName="bondstone")
    keys = answer["Credentials"]
    return need("boto3", "aws").Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])


def _client(service: str, session: Any, block: AwsCredentials) -> Any:
    # One attempt: botocore would repeat a CreateAccessKey whose answer was lost, and so make two.
    config = need("botocore.config", "aws").Config(
        connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1}
    )
    return session.client(service, region_name=block.region or "us-east-1", endpoint_url=block.endpoint, config=config)


def _iam(block: AwsCredentials, action: str, **arguments: Any) -> Any:
    """One call of IAM, for the user whose key signs it."""

    def call() -> Any:
        client = _client("iam", _session(block.model_copy(update={"role_arn": None})), block)
        names = need("botocore", "aws").xform_name(action)
        return getattr(client, names)(**arguments)

    return _call(block, f"iam:{action}", call)


def _change(block: AwsCredentials, action: str, **arguments: Any) -> None:
    """One call of IAM about a key that may be gone already."""
    with suppress(NotFound):
        _iam(block, action, **arguments)


def _call[T](block: AwsCredentials, action: str, call: Callable[[], T]) -> T:
    return within(DEADLINE, f"AWS ({action} for {_name(block)})", call, partial(_fault, block, action))


def _fields(answer: dict[str, Any]) -> dict[str, str]:
    key = answer["AccessKey"]
    return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}


def _fault(block: AwsCredentials, action: str, error: Any) -> BondstoneError:
    kinds, what = need("botocore.exceptions", "aws"), f"AWS {{}} {action} for {_name(block)}"
    if isinstance(error, kinds.ProfileNotFound):
        return NotFound(f"the profile of {_name(block)} is not in ~/.aws/config here: add it, or correct the block")
    if not isinstance(error, kinds.ClientError):
        return ServiceUnavailable(
            f"{what.format('did not answer')} ({type(error).__name__}): try again, or correct its endpoint"
        )
    code, status = _code(error), error.response["ResponseMetadata"]["HTTPStatusCode"]
    if code in ("NoSuchEntity", "NoSuchEntityException"):
        return NotFound(f"{what.format('knows no such key in')}")
    if code in ("LimitExceeded", "LimitExceededException"):
        return Conflict(
            f"{what.format('refused')}: the user has two access keys already, made since this rotation began"
        )
    if code in _BUSY or status >= 500:
        return ServiceUnavailable(f"{what.format('failed')} ({code}): try again")
    remedy = "allow the user this action on itself" if code == "AccessDenied" else "is the key deleted, or mistyped?"
    return AccessDenied(f"{what.format('refused')} ({code}): {remedy}")


def _code(error: Any) -> str:
    return str(error.response["Error"].get("Code", "no code"))


def _check_own_key(block: AwsCredentials) -> None:
    if block.access_key_id is None:
        what = ", but a role" if block.role_arn else ", but a profile" if block.profile else ""
        raise InvalidSettings(
            f"{_name(block)} holds no key{what}: AWS renews what a role gives, and a profile is changed in ~/.aws"
        )
    if block.session_token:
        raise InvalidSettings(
            f"{_name(block)} holds temporary credentials, which end by themselves: get new ones where these are from"
        )


def _check_not_current(old: AwsCredentials, block: AwsCredentials) -> None:
    if old.access_key_id == block.access_key_id:
        raise Conflict(f"{_name(block)} uses {old.access_key_id} now: it is not revoked")


def _full(block: AwsCredentials, keys: list[dict[str, Any]]) -> Conflict:
    others = [
        f"{k['AccessKeyId']} ({k['Status']}, made {k['CreateDate']:%Y-%m-%d})"
        for k in keys
        if k["AccessKeyId"] != block.access_key_id
    ]
    return Conflict(
        f"the user of {_name(block)} has two access keys, and AWS allows no third: the block uses {block.access_key_id}, and not "
        f"{' and '.join(others)}. If nobody else does, delete that (aws iam delete-access-key --access-key-id …), then rotate again"
    )


def _name(block: AwsCredentials) -> str:
    return block.reference or block.access_key_id or block.kind


aws_credentials = AwsKeys()
