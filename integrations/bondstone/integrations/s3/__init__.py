"""Amazon S3 and what speaks it: clients with live credentials, and tasks on obstore."""

from bondstone.integrations.s3.clients import client, connect, filesystem, storage_options
from bondstone.integrations.s3.tasks import S3Download, S3Upload

__all__ = ["S3Download", "S3Upload", "client", "connect", "filesystem", "storage_options"]
