"""Amazon S3 and what speaks it: clients with live credentials, and tasks. Obstore moves the bytes; boto3 lists, copies and deletes."""

from bondstone.integrations.s3.clients import client, connect, filesystem, storage_options
from bondstone.integrations.s3.copy import S3Copy, S3Move
from bondstone.integrations.s3.delete import S3Delete
from bondstone.integrations.s3.download import S3Download
from bondstone.integrations.s3.listing import S3List
from bondstone.integrations.s3.presign import S3Presign
from bondstone.integrations.s3.sync import S3Sync
from bondstone.integrations.s3.upload import S3Upload
from bondstone.integrations.s3.wait import S3Wait

__all__ = [
    "S3Copy",
    "S3Delete",
    "S3Download",
    "S3List",
    "S3Move",
    "S3Presign",
    "S3Sync",
    "S3Upload",
    "S3Wait",
    "client",
    "connect",
    "filesystem",
    "storage_options",
]
