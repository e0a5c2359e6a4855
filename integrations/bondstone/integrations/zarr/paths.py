"""Where in a bucket a dataset lies."""

from bondstone.blocks import InvalidName


def checked(path: str) -> str:
    """Raises `InvalidName` for what S3 clients would change."""
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise InvalidName(
            "a path is such as 'ocean/sst.zarr', without a slash at either end, '//', '.' or '..' segments"
        )
    return path
