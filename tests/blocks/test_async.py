"""The asynchronous verbs: the same results, and the event loop goes on meanwhile."""

import asyncio
import time

import pytest

from bondstone.blocks import Block, Conflict, InvalidName, NotFound, Secret
from bondstone.registry import current_registry
from tests.registry.processes import run


def test_many_at_once() -> None:
    """Fifty loads and twenty saves together: each gives its own."""

    async def flow() -> list[str]:
        await asyncio.gather(*(Secret(value=f"value {n}").asave(f"name-{n}") for n in range(20)))
        return [secret.get() for secret in await asyncio.gather(*(Secret.aload(f"name-{n % 20}") for n in range(50)))]

    assert asyncio.run(flow()) == [f"value {n % 20}" for n in range(50)]


def test_the_same_errors() -> None:
    """What the synchronous ones raise."""

    async def flow() -> None:
        await Secret(value="x").asave("a")
        with pytest.raises(Conflict):
            await Secret(value="y").asave("a")
        with pytest.raises(NotFound):
            await Secret.aload("b")
        with pytest.raises(NotFound):
            await Secret.adelete("b")
        with pytest.raises(InvalidName):
            await Block.aload("a")

    asyncio.run(flow())


def test_the_loop_is_not_blocked() -> None:
    """While a save waits for a lock the loop does other things."""
    Secret(value="x").save("a")
    connection = current_registry()._store.session()

    async def flow() -> tuple[float, int | None]:
        with connection.transaction():
            save = asyncio.create_task(Secret(value="y").asave("b"))
            begun = time.monotonic()
            await asyncio.sleep(0.1)
            waited = time.monotonic() - begun
            assert not save.done()
        return waited, (await save).version

    waited, version = asyncio.run(flow())

    assert waited < 2
    assert version == 1


def test_loads_in_a_task_of_their_own_do_not_mix() -> None:
    """Concurrent loads of blocks with children do not take each other for cycles."""
    code = """
import asyncio
from bondstone.blocks import AwsCredentials, S3Bucket
aws = AwsCredentials(profile="p").save("prod")
S3Bucket(bucket="reports", credentials=aws).save("reports")

async def flow():
    found = await asyncio.gather(*(S3Bucket.aload("reports") for _ in range(40)), *(AwsCredentials.aload("prod") for _ in range(40)))
    return len(found)

print(asyncio.run(flow(), debug=True))
"""

    assert run(code) == "80\n"
