"""Copy and move objects, on the server where that can be."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bondstone.blocks import Conflict, InvalidName, ServiceUnavailable
from bondstone.integrations.extras import need
from bondstone.integrations.receipts import ObjectReceipt
from bondstone.integrations.s3.access import Access
from bondstone.integrations.s3.checksum import NAME, Tally, part_size
from bondstone.integrations.s3.delete import deleted
from bondstone.integrations.s3.in_flight import apart
from bondstone.integrations.s3.keys import checked

if TYPE_CHECKING:
    from obstore.store import S3Store

_ONE_REQUEST = 5 * 1024**3  # bytes; S3 API Reference, "CopyObject"


@dataclass(frozen=True)
class S3Copy:
    """Copy an object within a bucket, or to another one."""

    bucket: str  # the name of an S3Bucket block
    ttl: float | None = None

    def __call__(self, key: str, /, *, to: str, to_bucket: str | None = None) -> ObjectReceipt:
        """See `copied`."""
        return copied(_Ways.of(self, to_bucket), key, checked(to))


@dataclass(frozen=True)
class S3Move:
    """Copy an object, see that the copy is what the object was, and delete the object."""

    bucket: str  # the name of an S3Bucket block
    ttl: float | None = None

    def __call__(self, key: str, /, *, to: str, to_bucket: str | None = None) -> ObjectReceipt:
        """As `S3Copy`; `Conflict` if somebody changed the object meanwhile: then both are there."""
        ways = _Ways.of(self, to_bucket)
        receipt = copied(ways, key, checked(to))
        _removed(ways, key)
        return receipt


@dataclass
class _Ways:
    """To where the object is, and to where it goes."""

    source: Access
    target: Access
    etag: str = ""  # of what was copied

    @classmethod
    def of(cls, task: S3Copy | S3Move, to_bucket: str | None) -> "_Ways":
        source = Access.of(task)
        return cls(source, Access.to(to_bucket, task.ttl) if to_bucket else source)

    @property
    def one_server(self) -> bool:
        """Whether one key may read here and write there."""
        mine, its = self.source.block, self.target.block
        return (self.source.place.endpoint, mine.credentials) == (self.target.place.endpoint, its.credentials)


def copied(ways: _Ways, key: str, to: str) -> ObjectReceipt:
    """Copy within the server if both blocks have the same credentials there, else through this machine, a part at a time.

    Content type, encoding and metadata go along. The receipt is of the copy, which has been seen to have the size of the object and the
    etag that the server said. Raises as `S3Upload`, and `InvalidName` for a copy onto itself.
    """
    start, source, target = time.perf_counter(), ways.source, ways.target
    one, other = ((at.place.endpoint, at.place.uri(name)) for at, name in ((source, key), (target, to)))
    if one == other:
        raise InvalidName(f"{to!r} is the object itself: name another key")
    found = _head(source, key)
    ways.etag = found["ETag"]
    etag, tally = (_by_server if ways.one_server else _by_hand)(ways, key, to, found)
    made = _head(target, to)
    if (made["ContentLength"], made["ETag"]) != (found["ContentLength"], etag):
        raise ServiceUnavailable(
            f"the copy under {to!r} is not what {key!r} is: somebody else wrote there, or try again"
        )
    block, checksum = target.block, tally.checksum if tally else found["Metadata"].get(NAME)
    seconds, uri, size = time.perf_counter() - start, target.place.uri(to), made["ContentLength"]
    return ObjectReceipt(uri, str(block.reference), block.version or 0, etag, size, checksum, seconds)


def _head(access: Access, key: str) -> dict[str, Any]:
    where = {"Bucket": access.place.bucket, "Key": access.key(key)}
    return access.client(lambda client: client.head_object(**where))


def _by_server(ways: _Ways, key: str, to: str, found: dict[str, Any]) -> tuple[str, None]:
    source = {"Bucket": ways.source.place.bucket, "Key": ways.source.key(key)}
    target = {"Bucket": ways.target.place.bucket, "Key": ways.target.key(to)}
    if found["ContentLength"] <= _ONE_REQUEST:
        same = {"CopySource": source, "CopySourceIfMatch": found["ETag"]}
        answer = ways.target.client(lambda client: client.copy_object(**target, **same))
        return answer["CopyObjectResult"]["ETag"], None
    # In parts; boto3 brings along what is said about the object, which S3 then does not.
    same = {"CopySourceIfMatch": found["ETag"]}
    ways.target.client(lambda client: client.copy(source, target["Bucket"], target["Key"], ExtraArgs=same))
    return _head(ways.target, to)["ETag"], None


def _by_hand(ways: _Ways, key: str, to: str, found: dict[str, Any]) -> tuple[str, Tally]:
    obstore, size, tally = need("obstore", "aws"), found["ContentLength"], Tally()
    part = part_size(size)

    def copy(store: "S3Store") -> Any:
        nonlocal tally
        tally, answer = (
            Tally(),
            ways.source.store(lambda source: obstore.get(source, checked(key), options={"if_match": found["ETag"]})),
        )
        pieces = tally.over(apart(iter(answer.stream(part))))
        if size <= part:
            whole = b"".join(pieces)
            return obstore.put(store, to, whole, attributes=answer.attributes, use_multipart=False)
        options = {"use_multipart": True, "chunk_size": part, "max_concurrency": max(1, 2**26 // part)}
        return obstore.put(store, to, pieces, attributes=answer.attributes, **options)

    return ways.target.store(copy)["e_tag"], tally


def _removed(ways: _Ways, key: str) -> None:
    if _head(ways.source, key)["ETag"] != ways.etag:
        raise Conflict(f"{key!r} was changed while it was moved: the copy is what it was, and it has not been deleted")
    deleted(ways.source, [key])
