"""`bondstone init`."""

from bondstone.cli import output
from bondstone.registry import Settings, current_registry
from bondstone.registry.providers import KINDS


def init(max_ttl: int | None) -> None:
    registry = current_registry(create=True)
    if max_ttl is not None and max_ttl != registry.max_ttl:
        registry.set_max_ttl(max_ttl)
    settings = Settings.from_environment()
    provider = settings.provider()
    if provider.kind in KINDS:
        source = f"{provider.kind}:{provider.key_id}"
    else:
        source = str(settings.key_path) if provider.kind == "key-file" else f"in the environment ({provider.kind})"
    rows = [("registry", settings.place), ("key", source), ("max_ttl", f"{registry.max_ttl} s")]
    output.table(("what", "where"), rows)
