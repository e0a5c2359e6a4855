"""Icechunk repositories: versioned Zarr."""

from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bondstone.blocks.aws import AwsCredentials, S3Bucket
from bondstone.blocks.azure import AzureContainer
from bondstone.blocks.block import Block
from bondstone.blocks.gcs import GcsBucket


class IcechunkRepo(Block):
    """An Icechunk repository in a bucket or in a local folder. Source: Icechunk documentation, "Storage"."""

    bucket: S3Bucket | GcsBucket | AzureContainer | None = Field(
        default=None,
        description="Bucket or container that holds it.",
        examples=["s3-bucket/reports", "gcs-bucket/reports", "azure-container/reports"],
    )
    path: str | None = Field(
        default=None, description="Local folder that holds it, instead of a bucket.", examples=["/data/ocean.icechunk"]
    )
    prefix: str = Field(
        default="", description="Prefix in the bucket, below the bucket block's own.", examples=["ocean"]
    )
    branch: str = Field(
        default="main", description="Branch that tasks read and commit to.", examples=["main"], min_length=1
    )
    chunks_per_manifest: int | None = Field(
        default=1000,
        description="Chunks along each dimension of an array whose places icechunk writes anew together, where the repository does not"
        " say; null for icechunk's own, which is all.",
        examples=[1000],
        ge=1,
    )
    virtual_chunk_credentials: dict[str, AwsCredentials | None] = Field(
        default_factory=dict,
        description="Credentials of virtual chunks, by the URL prefix of their container; null for a folder or a public bucket.",
        examples=[{"s3://archive/": "aws-credentials/archive"}],
    )

    @field_validator("prefix")
    @classmethod
    def _without_slashes(cls, value: str) -> str:
        return value.strip("/")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.bucket is None) == (self.path is None):
            raise PydanticCustomError("one_place", "give either a bucket or a path")
        if self.path is not None and self.prefix:
            raise PydanticCustomError("one_place", "prefix goes with a bucket; put it into the path")
        return self
