"""REF arguments."""

from bondstone.registry import InvalidName, Reference


def whole(text: str) -> Reference:
    """A reference to a name with all its versions. Raises `InvalidName` for one to a version or field."""
    reference = Reference.parse(text)
    if reference.version is not None or reference.field is not None:
        raise InvalidName(f"'{reference}' names a version or field: write {reference.kind}/{reference.name}")
    return reference
