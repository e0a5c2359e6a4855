"""Wait for an object that somebody else will put."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bondstone.blocks import NotFound, ServiceUnavailable
from bondstone.integrations.extras import need
from bondstone.integrations.receipts import ObjectReceipt
from bondstone.integrations.s3.access import Access
from bondstone.integrations.s3.keys import checked


@dataclass(frozen=True)
class S3Wait:
    """Wait until there is an object under a key."""

    bucket: str  # the name of an S3Bucket block
    deadline: float = 600.0  # seconds
    interval: float = 5.0  # seconds between two looks
    ttl: float | None = None

    def __call__(self, key: str, /) -> ObjectReceipt:
        """See `waited`."""
        return waited(self, key, time.monotonic, time.sleep)


def waited(task: S3Wait, key: str, clock: Callable[[], float], sleep: Callable[[float], None]) -> ObjectReceipt:
    """The object that came. It is looked for once at least; a server that does not answer is asked again until the deadline.

    Raises `NotFound` after `deadline`, or `ServiceUnavailable` if the last look had no answer; `AccessDenied` at once.
    """
    access, start = Access.of(task), clock()
    while True:
        try:
            meta = access.store(lambda store: need("obstore", "aws").head(store, checked(key)))
        except (NotFound, ServiceUnavailable) as error:
            left = start + task.deadline - clock()
            if left <= 0:
                raise type(error)(f"{key!r} did not appear within {task.deadline:g} s: {error}") from None
            sleep(min(task.interval, left))
            continue
        uri, reference, version = access.place.uri(key), str(access.block.reference), access.block.version or 0
        return ObjectReceipt(uri, reference, version, meta["e_tag"], meta["size"], None, clock() - start)
