"""The file of a backup: bondstone and an independent reader agree with every vector."""

import json
import unicodedata
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from bondstone.registry.archive import records
from bondstone.registry.backup import _max_ttl, _names_in
from bondstone.registry.keys import KeyProvider, Passphrase, RawKey
from tests.registry import independent_archive
from tests.registry.test_envelope import outcome, vectors
from tests.vectors.archives import _listed


class Lying(RawKey):
    """A key that says that it is another one."""

    claimed = ""

    @property
    def key_id(self) -> str:
        return self.claimed


def provider(reader: dict[str, Any]) -> KeyProvider:
    """What a vector is read with."""
    if "passphrase" in reader:
        return Passphrase(reader["passphrase"])
    made = Lying(reader["provider"], "a test", bytes.fromhex(reader["key"]))
    object.__setattr__(made, "claimed", reader["key_id"])
    return made


def read(path: Path, by: KeyProvider) -> dict[str, Any]:
    """As a restore reads it: all of it, then the settings."""
    names = _listed(list(_names_in(path, by)))
    max_ttl, first = _max_ttl(path, by), next(records(BytesIO(path.read_bytes()), by))[1]
    return {"settings": {**json.loads(first), "max_ttl": max_ttl}, "names": names}


@pytest.mark.parametrize("vector", vectors("archive"))
def test_archives(vector: dict[str, Any], tmp_path: Path) -> None:
    """Each backup gives its names, or fails with the code that the page gives: for us and for the second reader."""
    whole, path, reader = bytes.fromhex(vector["archive"]), tmp_path / "backup", vector["reader"]
    path.write_bytes(whole)
    normal = (
        reader | {"passphrase": unicodedata.normalize("NFC", reader["passphrase"])}
        if "passphrase" in reader
        else reader
    )

    ours = outcome(lambda: read(path, provider(reader)))
    theirs = outcome(lambda: independent_archive.archive(whole, normal))

    right = {"settings": vector.get("settings"), "names": vector.get("names")}
    expected = right if vector["expect"] == "ok" else vector["expect"]
    assert (ours, theirs) == (expected, expected)
