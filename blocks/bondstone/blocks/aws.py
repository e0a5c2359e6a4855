"""Amazon Web Services, and what speaks S3."""

import re
from typing import Self

from pydantic import AwareDatetime, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bondstone.blocks.block import Block
from bondstone.blocks.checks import Prefix, Token, Url, Word
from bondstone.blocks.secret_values import SecretStr


class AwsCredentials(Block):
    """An access key, a profile of the AWS configuration file, or a role to assume with either.

    Source: AWS, "IAM User Guide: Manage access keys for IAM users".
    """

    access_key_id: Word | None = Field(
        default=None, description="Access key id; not a secret.", examples=["AKIAIOSFODNN7EXAMPLE"]
    )
    secret_access_key: Token | None = Field(
        default=None,
        description="Secret access key that goes with the id.",
        examples=["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"],
    )
    session_token: Token | None = Field(
        default=None, description="Session token of temporary credentials.", examples=["FwoEXAMPLE"]
    )
    expires_at: AwareDatetime | None = Field(
        default=None,
        description="When the session token ends, as STS said, with its time zone.",
        examples=["2026-12-01T12:00:00Z"],
    )
    profile: Word | None = Field(
        default=None, description="Profile in ~/.aws instead of a key.", examples=["analytics"]
    )
    role_arn: Word | None = Field(
        default=None, description="Role to assume (STS AssumeRole).", examples=["arn:aws:iam::123456789012:role/writer"]
    )
    region: Word | None = Field(
        default=None, description="Region of the account's services.", examples=["eu-central-1"]
    )
    endpoint: Url | None = Field(
        default=None,
        description="Endpoint URL of a service that is not Amazon's.",
        examples=["https://minio.example.org:9000"],
    )

    @field_validator("access_key_id")
    @classmethod
    def _is_an_id(cls, value: str | None) -> str | None:
        # A secret key is 40 characters of base64; an id is shorter, and upper case. Pasted the wrong way round, it would be shown.
        if value is not None and re.fullmatch(r"[A-Za-z0-9/+=]{40}", value):
            raise PydanticCustomError("swapped", "has the shape of a secret access key: were the two swapped?")
        if value is not None and re.match(r"(?i)AKIA|ASIA", value) and not re.fullmatch(r"[A-Z0-9]+", value):
            raise PydanticCustomError("key_id", "is no access key id: those are capital letters and digits alone")
        if value is not None and re.match(r"AROA|AIDA|AGPA|ANPA", value):
            raise PydanticCustomError(
                "key_id", "is the id of a role, user, group or policy: an access key begins with AKIA or ASIA"
            )
        return value

    @field_validator("secret_access_key")
    @classmethod
    def _is_a_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and re.fullmatch(r"A(KIA|SIA)[A-Z0-9]{16}", value.get_secret_value()):
            raise PydanticCustomError("swapped", "has the shape of an access key id: were the two swapped?")
        return value

    @field_validator("role_arn")
    @classmethod
    def _is_a_role(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"arn:[a-z-]+:iam::\d{12}:role/\S+", value):
            raise PydanticCustomError("arn", "is not a role such as arn:aws:iam::123456789012:role/writer")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise PydanticCustomError("half", "access_key_id and secret_access_key go together")
        if self.session_token and not self.access_key_id:
            raise PydanticCustomError("half", "session_token goes with access_key_id and secret_access_key")
        if self.expires_at and not self.session_token:
            raise PydanticCustomError("half", "expires_at goes with session_token: other keys do not end by themselves")
        if (self.access_key_id or "").startswith("ASIA") and not self.session_token:
            raise PydanticCustomError("half", "access_key_id is a temporary one (ASIA…): session_token goes with it")
        if self.profile and self.access_key_id:
            raise PydanticCustomError("both", "give either a profile or an access key, not both")
        return self


class S3Bucket(Block):
    """A bucket, or a prefix in one, of Amazon S3 or of a service that speaks it.

    Without credentials the vendor's default chain is used (environment, ~/.aws, instance role).
    Source: AWS, "S3 User Guide: Bucket naming rules".
    """

    bucket: str = Field(
        description="Bucket name.", examples=["reports"], pattern=r"^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$"
    )
    prefix: Prefix = Field(
        default="", description="Prefix of every key, without a slash at either end.", examples=["2026/monthly"]
    )
    region: Word | None = Field(default=None, description="Region of the bucket.", examples=["eu-central-1"])
    endpoint: Url | None = Field(
        default=None,
        description="Endpoint URL; the credentials' own if left out.",
        examples=["https://minio.example.org:9000"],
    )
    path_style: bool = Field(
        default=False,
        description="Bucket in the path, not in the host name, as most servers that are not Amazon's want.",
        examples=[True],
    )
    credentials: AwsCredentials | None = Field(
        default=None,
        description="Who signs; saved separately it is a live reference.",
        examples=["aws-credentials/prod"],
    )
    anonymous: bool = Field(default=False, description="Send unsigned requests, for public buckets.", examples=[True])

    @field_validator("bucket", mode="before")
    @classmethod
    def _is_no_url(cls, value: object) -> object:
        if isinstance(value, str) and "/" in value:
            raise PydanticCustomError("bucket", "is the name alone: the rest of s3://bucket/prefix goes into prefix")
        return value

    @model_validator(mode="after")
    def _one_way_to_sign(self) -> Self:
        if self.anonymous and self.credentials:
            raise PydanticCustomError("both", "give either credentials or anonymous, not both")
        return self
