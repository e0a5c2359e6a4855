"""The catalog: every kind is described, its examples work, and new kinds are found where they lie."""

import sys
from pathlib import Path
from typing import Any

import pytest

import bondstone.blocks
from bondstone.blocks import Block, InvalidBlock, Secret, UnknownKind, catalog, find
from bondstone.registry import Reference
from bondstone.registry.names import check_kind, kebab
from tests.registry.processes import run

OURS = [cls for cls in catalog().values() if cls.__module__.startswith("bondstone.blocks.")]
OURS_BY_KIND = pytest.mark.parametrize("block", OURS, ids=[cls.kind for cls in OURS])


def test_the_kinds_that_are_there() -> None:
    """The kinds of this version; the list only grows."""
    assert {cls.kind for cls in OURS} >= {
        "secret", "aws-credentials", "s3-bucket", "git-credentials", "git-repository", "arraylake-token", "icechunk-repo",
    }  # fmt: skip


@OURS_BY_KIND
def test_a_kind_is_described(block: type[Block]) -> None:
    """A docstring, a description for each field, an example for each required one; exported by its name."""
    fields = block.model_fields

    assert block.kind == check_kind(block.kind) == kebab(block.__name__)
    assert (block.__doc__ or "").strip()
    assert [name for name, field in fields.items() if not field.description] == []
    assert [name for name, field in fields.items() if field.is_required() and not field.examples] == []
    assert all((field.description or "").strip().endswith(".") for field in fields.values())
    assert block.__name__ in bondstone.blocks.__all__
    assert getattr(bondstone.blocks, block.__name__) is find(block.kind) is block


@pytest.fixture
def saved() -> None:
    """What the examples refer to."""
    for reference, block in {
        "aws-credentials/prod": find("aws-credentials")(profile="p"),
        "aws-credentials/archive": find("aws-credentials")(profile="p"),
        "s3-bucket/reports": find("s3-bucket")(bucket="reports"),
        "git-credentials/ci": find("git-credentials")(token="t"),
    }.items():
        block.save(Reference.parse(reference).name)


def made(block: type[Block]) -> list[Block]:
    """The smallest blocks that the examples make: the required fields, and where that is not enough one or two more."""
    required = {
        name: field.examples[0] for name, field in block.model_fields.items() if field.is_required() and field.examples
    }
    optional = {
        name: field.examples[0]
        for name, field in block.model_fields.items()
        if not field.is_required() and field.examples
    }
    found = []
    for first in [None, *optional]:
        for second in [None, *optional]:
            extra = {name: optional[name] for name in (first, second) if name}
            try:
                found.append(block(**required, **extra))
            except InvalidBlock as error:
                if any(
                    f"'{name}'" in str(error) for name in extra
                ):  # the field itself is at fault, not how they go together
                    raise
    return found


@OURS_BY_KIND
@pytest.mark.usefixtures("saved")
def test_its_examples_work(block: type[Block]) -> None:
    """The examples validate, are saved, and come back equal; every field's example is in one of them."""
    blocks = made(block)

    for number, one in enumerate(blocks[:6]):
        one.save(f"example-{number}")
        assert Block.load(f"{block.kind}/example-{number}") == one

    assert blocks
    usable = {name for one in blocks for name in one.model_fields_set}
    in_threes = {"app_id", "app_installation_id", "app_private_key", "session_token"}  # go with two others
    assert set(block.model_fields) - usable - in_threes == set()


@OURS_BY_KIND
def test_its_schema_is_json(block: type[Block]) -> None:
    """Forms and documents are made from the JSON schema."""
    schema = block.model_json_schema()

    assert set(schema["properties"]) == set(block.model_fields)
    assert schema["additionalProperties"] is False


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
