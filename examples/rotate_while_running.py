"""Upload once a second by block name; replace the key from another terminal, and watch it go on.

python examples/rotate_while_running.py reports 60
bondstone save aws-credentials/prod access_key_id=… secret_access_key --overwrite
"""

import sys
import time

from bondstone.blocks import S3Bucket
from bondstone.integrations.s3 import S3Upload


def main(bucket: str, seconds: int) -> None:
    upload = S3Upload(bucket)
    for second in range(seconds):
        credentials = S3Bucket.load(bucket).credentials
        receipt = upload(str(second).encode(), key="heartbeat")
        print(
            f"{second:4} s  {receipt.uri}  {credentials.reference if credentials else ''} {credentials and credentials.version}"
        )
        time.sleep(1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
