"""The catalog: every kind is described, its examples work, and new kinds are found where they lie."""

import sys
from pathlib import Path
from typing import Any

import pytest

from bondstone.blocks import Secret, UnknownKind, catalog, find
from bondstone.blocks.testing import BlockSuite
from tests.registry.processes import run

OURS = [cls for cls in catalog().values() if cls.__module__.startswith("bondstone.blocks.")]


def test_the_kinds_that_are_there() -> None:
    """The kinds of this version; the list only grows."""
    assert {cls.kind for cls in OURS} >= {
        "secret", "aws-credentials", "s3-bucket", "git-credentials", "git-repository", "arraylake-token", "arraylake-repo",
        "icechunk-repo", "database-credentials", "http-webhook", "gcs-credentials", "azure-credentials", "docker-registry",
        "kubernetes-cluster", "ssh-key",
    }  # fmt: skip


class TestKinds(BlockSuite):
    """Those of bondstone."""

    package = "bondstone"


def test_unknown_kinds() -> None:
    """UnknownKind suggests the near one; illegal ones are not looked for."""
    with pytest.raises(UnknownKind, match="did you mean 's3-bucket'"):
        find("s3-buckets")


def test_the_catalog_is_sorted_and_read_only() -> None:
    """By kind; nobody can write into it."""
    kinds: Any = catalog()

    assert list(kinds) == sorted(kinds)
    with pytest.raises(TypeError):
        kinds["x"] = Secret


def test_a_new_file_is_a_new_kind(tmp_path: Path) -> None:
    """A file put into a folder of `bondstone.blocks.__path__` is in the catalog, and can be imported by its name: no other edit."""
    (tmp_path / "vault.py").write_text(
        '"""Vault."""\nfrom pydantic import Field\nfrom bondstone.blocks.block import Block\n\n'
        'class VaultToken(Block):\n    """A token."""\n\n    token: str = Field(description="It.", examples=["x"])\n'
    )
    code = f"""
import bondstone.blocks
bondstone.blocks.catalog()
bondstone.blocks.__path__.append({str(tmp_path)!r})
from bondstone.blocks import Block, VaultToken, catalog
VaultToken(token="x").save("a")
print(catalog()["vault-token"].__module__, type(Block.load("vault-token/a")).__name__)
"""

    assert run(code) == "bondstone.blocks.vault VaultToken\n"


PACKAGE = '''
from pydantic import Field
from bondstone.blocks import Block, SecretStr

class AcmeKey(Block):
    """A key of Acme."""

    key: SecretStr = Field(description="It.", examples=["x"])
'''


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with one kind that works and one that does not, for other processes."""
    folder = tmp_path / "site"
    (folder / "acme-1.0.dist-info").mkdir(parents=True)
    (folder / "acme.py").write_text(PACKAGE)
    (folder / "acme-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    points = "[bondstone.blocks]\nacme-key = acme:AcmeKey\nacme-broken = acme_that_is_not_there:Broken\n"
    (folder / "acme-1.0.dist-info/entry_points.txt").write_text(points)
    monkeypatch.setenv("PYTHONPATH", ":".join([str(folder), *(path for path in sys.path if path)]))
    return folder


@pytest.mark.usefixtures("acme")
def test_an_installed_package_brings_its_kinds() -> None:
    """A kind of another package is found by its entry point, without an import of it; a broken one is named in a warning."""
    code = """
import sys, warnings
from bondstone.blocks import Block, catalog, find
assert "acme" not in sys.modules
find("acme-key")(key="x").save("a")
print(type(Block.load("acme-key/a")).__module__)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print("acme-key" in catalog(), "secret" in catalog())
print(*{str(one.message) for one in caught})
"""

    module, there, warning = run(code).splitlines()

    assert (module, there) == ("acme", "True True")
    assert "acme-broken" in warning
    assert "ModuleNotFoundError" in warning


@pytest.mark.usefixtures("acme")
def test_an_attribute_that_is_no_kind() -> None:
    """Names that `bondstone.blocks` does not have are AttributeError, kinds of other packages too; `import *` gives what is listed."""
    code = """
import warnings
import bondstone.blocks
warnings.simplefilter("ignore")
for name in ("AcmeKey", "Nothing", "nothing", "__wrapped__"):
    assert not hasattr(bondstone.blocks, name), name
from bondstone.blocks import *
print(Secret.__name__, S3Bucket.__name__)
"""

    assert run(code) == "Secret S3Bucket\n"
