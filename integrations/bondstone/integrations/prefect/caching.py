"""Cache keys of tasks that hold the names of blocks.

An argument that is a block needs nothing: its JSON names its version and its registry, and Prefect's keys are made of that.
"""

from dataclasses import dataclass
from typing import Any

from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.utilities.hashing import hash_objects

from bondstone.blocks import Block


@dataclass
class BlockVersions(CachePolicy):
    """A part of a cache key: another one when a block, or a block inside it, has another version, or is of another registry."""

    references: tuple[str, ...] = ()

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """Of what their JSON says: names, versions and registries, and plain fields. Raises what `Block.load` raises."""
        described = [Block.load(reference).model_dump_json() for reference in self.references]
        return hash_objects(*described)


def block_versions(*references: str) -> BlockVersions:
    """``cache_policy=INPUTS + block_versions("s3-bucket/reports")``: a result is used again as long as these blocks are as they were."""
    return BlockVersions(references=references)
