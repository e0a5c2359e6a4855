"""Create a large object only where there is none. Obstore does that for what fits into one request; here boto3 does it for parts."""

from collections.abc import Iterator
from typing import Any

from bondstone.blocks import Conflict
from bondstone.integrations.extras import need
from bondstone.integrations.s3.access import Access
from bondstone.integrations.s3.checksum import split


def taken(key: str) -> Conflict:
    """What `if_absent` raises."""
    return Conflict(f"there is an object {key!r} already, and nothing was changed: choose another key")


def created(access: Access, key: str, pieces: Iterator[bytes], about: dict[str, str], part: int) -> str:
    """The etag of the new object. The server decides at the end, so nothing of a loser is ever seen. Raises `Conflict`."""
    return access.client(lambda client: _created(client, access, key, split(pieces, part), about))


def _created(client: Any, access: Access, key: str, parts: Iterator[bytes], about: dict[str, str]) -> str:
    where = {"Bucket": access.place.bucket, "Key": access.key(key)}
    where["UploadId"] = client.create_multipart_upload(**where, **_in_words_of_boto3(about))["UploadId"]
    try:
        sent = [{"PartNumber": n, "ETag": _part(client, where, n, part)} for n, part in enumerate(parts, 1)]
        done = client.complete_multipart_upload(**where, MultipartUpload={"Parts": sent}, IfNoneMatch="*")
    except BaseException as error:
        client.abort_multipart_upload(**where)
        if isinstance(error, need("botocore.exceptions", "aws").ClientError) and _lost(error):
            raise taken(key) from None
        raise
    return str(done["ETag"])


def _part(client: Any, where: dict[str, Any], number: int, data: bytes) -> str:
    return str(client.upload_part(**where, PartNumber=number, Body=data)["ETag"])


def _lost(error: Any) -> bool:
    return error.response["Error"].get("Code") in ("PreconditionFailed", "412", "ConditionalRequestConflict")


def _in_words_of_boto3(about: dict[str, str]) -> dict[str, Any]:
    headers = {"Content-Type": "ContentType", "Content-Encoding": "ContentEncoding", "Storage-Class": "StorageClass"}
    said: dict[str, Any] = {headers[name]: text for name, text in about.items() if name in headers}
    return said | {"Metadata": {name: text for name, text in about.items() if name not in headers}}
