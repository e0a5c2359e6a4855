"""Prefect 3: flow code from Git by block name, parameters that are names of blocks, cache keys that notice a rotation.

Tasks need nothing from here: `prefect.task(S3Upload("reports"), retries=3)` runs as it is.
"""
# ruff: noqa: E402 -- what is missing is told first

from bondstone.integrations.extras import need

need("prefect", "prefect")

from bondstone.integrations.prefect.caching import BlockVersions, block_versions
from bondstone.integrations.prefect.parameters import Ref
from bondstone.integrations.prefect.secret import BondstoneSecret
from bondstone.integrations.prefect.storage import GitStorage, pull

__all__ = ["BlockVersions", "BondstoneSecret", "GitStorage", "Ref", "block_versions", "pull"]
