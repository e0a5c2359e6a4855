"""How the tests of PostgreSQL open a registry."""

from bondstone.registry import Registry, Settings

KEY = "A" * 43
KIND = "secret"


def opened(url: str) -> Registry:
    """The registry at `url`, made if there is none."""
    return Settings(registry=url, key=KEY).create()
