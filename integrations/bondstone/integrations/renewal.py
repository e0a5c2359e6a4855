"""After a refusal: what the registry holds by now."""

from bondstone.blocks import Block, Handle


def renewed[B: Block](handle: Handle[B]) -> B:
    """The block as the registry has it now, however fresh the handle's own is."""
    refresh = getattr(handle, "refresh", None)
    if refresh is not None:
        refresh()
    return handle.get()
