"""`BlockSuite` over a package of somebody else, over a new file, and over kinds that break what it promises."""

import inspect
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, WithJsonSchema, field_serializer, field_validator

from bondstone.blocks import Block, InvalidBlock, SecretStr
from bondstone.blocks.testing import BlockSuite

TOP = Path(__file__).parents[2]
SUITE = 'from bondstone.blocks.testing import BlockSuite\n\nclass TestKinds(BlockSuite):\n    package = "{package}"\n'


def call(*arguments: str, paths: list[Path], stdin: str = "") -> str:
    """What a process that finds modules in `paths` first printed."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], env=env, input=stdin, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def suite(folder: Path, package: str, paths: list[Path]) -> str:
    """The names of the tests that passed, of those that a package's author would write; an error if one did not."""
    folder.mkdir(exist_ok=True)
    (folder / "test_kinds.py").write_text(SUITE.format(package=package))
    (folder / "pytest.ini").write_text("[pytest]\n")
    return call("-m", "pytest", "-v", "-p", "no:cacheprovider", "--color=no", str(folder), paths=paths)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the package of this folder was installed, built as any other."""
    target, source = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("source") / "acme"
    shutil.copytree(Path(__file__).parent / "acme_package", source)
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--no-build-isolation",
    ]
    subprocess.run([*command, "--python", sys.executable, "--target", target, source], check=True, timeout=120)
    return target


def test_a_package_of_somebody_else(installed: Path, tmp_path: Path) -> None:
    """One file and one line: its kind is in `types`, is saved and loaded by name, and the suite runs over it and nothing else."""
    types = json.loads(call("-m", "bondstone.cli", "types", "--json", paths=[installed]))
    call("-m", "bondstone.cli", "save", "acme-account/a", "api_key=-", stdin="k-e-y", paths=[installed])
    code = "from bondstone.blocks import Block; print(Block.load('acme-account/a').api_key.get_secret_value())"

    passed = suite(tmp_path / "theirs", "acme_blocks", [installed])

    assert {one["kind"]: one["schema_version"] for one in types}["acme-account"] == 2
    assert call("-c", code, paths=[installed]) == "k-e-y\n"
    assert "test_it_comes_back[acme-account] PASSED" in passed
    assert "[secret]" not in passed


def test_its_newer_documents_ask_for_its_newer_package(installed: Path) -> None:
    """The package is named as pip knows it, and the version that is too old."""
    code = """
from bondstone.blocks import Block, UnsupportedFormat
from bondstone.registry import current_registry
current_registry(create=True).save("acme-account", "a", b'{"fields":{},"schema_version":3}')
try:
    Block.load("acme-account/a")
except UnsupportedFormat as error:
    print(error)
"""

    said = call("-c", code, paths=[installed])

    assert said == (
        "acme-account/a was saved by schema version 3 of AcmeAccount; this one reads 2: install a newer acme-blocks than 1.4\n"
    )


NEW = '''"""Zenodo."""

from pydantic import Field

from bondstone.blocks.block import Block
from bondstone.blocks.checks import Token, Url


class ZenodoToken(Block):
    """A personal access token. Source: Zenodo, "REST API: Authentication"."""

    token: Token = Field(description="The token itself.", examples=["zenodo-EXAMPLE"])
    url: Url = Field(default="https://zenodo.org", description="URL of the service.", examples=["https://zenodo.org"])
'''


def test_a_new_kind_costs_one_file(tmp_path: Path) -> None:
    """Put into the sources, it is in `types`, `save`, the reference page and the suite, with no other edit; at most 25 lines."""
    for root in ("app", "blocks", "integrations", "registry"):
        shutil.copytree(TOP / root, tmp_path / root, ignore=shutil.ignore_patterns("__pycache__"))
    paths = [tmp_path / root for root in ("app", "blocks", "integrations", "registry")]
    (tmp_path / "blocks/bondstone/blocks/zenodo.py").write_text(NEW)

    types = call("-m", "bondstone.cli", "types", paths=paths)
    call("-m", "bondstone.cli", "save", "zenodo-token/mine", "token=-", stdin="t-o-k-e-n", paths=paths)
    shown = call("-m", "bondstone.cli", "show", "zenodo-token/mine", paths=paths)
    page = call("-c", "from bondstone.cli.reference.kinds import pages; print(pages()['kinds.md'])", paths=paths)
    passed = suite(tmp_path / "suite", "bondstone", paths)

    assert len(NEW.splitlines()) <= 25
    assert "zenodo-token" in types
    assert "https://zenodo.org" in shown
    assert "t-o-k-e-n" not in shown
    assert "\n## zenodo-token\n" in page
    assert "| `token` | str | required, **secret** | The token itself. | `zenodo-EXAMPLE` |" in page
    assert "test_its_errors_do_not_show_what_was_given[zenodo-token] PASSED" in passed
    assert call("-c", "from bondstone.blocks import ZenodoToken; print(ZenodoToken.__module__)", paths=paths) == (
        "bondstone.blocks.zenodo\n"
    )


def undescribed() -> type[Block]:
    class BadUndescribed(Block):
        """A kind with a field that nothing describes."""

        token: SecretStr = Field(examples=["token-EXAMPLE"])

    return BadUndescribed


def without_docstring() -> type[Block]:
    class BadDocstring(Block):
        token: SecretStr = Field(description="It.", examples=["token-EXAMPLE"])

    return BadDocstring


def without_example() -> type[Block]:
    class BadExample(Block):
        """A kind whose required field has no example."""

        token: SecretStr = Field(description="It.")

    return BadExample


def with_a_plain_token() -> type[Block]:
    class BadPlain(Block):
        """A kind whose session token shows."""

        session_token: str = Field(description="It.", examples=["token-EXAMPLE"])

    return BadPlain


def with_an_example_that_is_refused() -> type[Block]:
    class BadRefused(Block):
        """A kind that refuses its own example."""

        port: int | None = Field(None, description="It.", examples=[70000], le=65535)

    return BadRefused


def with_an_example_that_nothing_takes() -> type[Block]:
    class BadNever(Block):
        """A kind of which one field can never be used."""

        a: str = Field("", description="It.")

    return BadNever


def with_a_serializer_that_shows() -> type[Block]:
    class BadSerializer(Block):
        """A kind whose dump holds the secret."""

        token: SecretStr = Field(description="It.", examples=["token-EXAMPLE"])

        @field_serializer("token")
        def _shown(self, value: SecretStr) -> str:
            return value.get_secret_value()

    return BadSerializer


def with_a_schema_that_hides_it() -> type[Block]:
    class BadSchema(Block):
        """A kind whose form would show what is typed."""

        token: Annotated[SecretStr, WithJsonSchema({"type": "string"})] = Field(
            description="It.", examples=["t-EXAMPLE"]
        )

    return BadSchema


def with_a_repr_that_shows() -> type[Block]:
    class BadRepr(Block):
        """A kind whose repr holds the secret."""

        token: SecretStr = Field(description="It.", examples=["token-EXAMPLE"])

        def __repr__(self) -> str:
            return f"BadRepr({self.token.get_secret_value()})"

    return BadRepr


def with_a_pickle_that_holds_it() -> type[Block]:
    class BadPickle(Block):
        """A kind that pickles itself."""

        token: SecretStr = Field(description="It.", examples=["token-EXAMPLE"])

        def __reduce_ex__(self, protocol: object) -> Any:
            return dict, ([("token", self.token.get_secret_value())],)

    return BadPickle


def with_an_error_that_shows() -> type[Block]:
    class BadError(Block):
        """A kind whose validator keeps what it refuses in its error."""

        token: SecretStr = Field(description="It.", examples=["token-EXAMPLE"])

        @field_validator("token")
        @classmethod
        def _fine(cls, value: SecretStr) -> SecretStr:
            if "\t" in value.get_secret_value() or "\n" in value.get_secret_value():
                raise RuntimeError(f"bad token {value.get_secret_value()}")
            return value

    return BadError


def that_changes_on_the_way() -> type[Block]:
    class BadRoundTrip(Block):
        """A kind whose value is another one each time that it is validated."""

        token: SecretStr = Field(description="It.", examples=["token-EXAMPLE"])

        @field_validator("token")
        @classmethod
        def _longer(cls, value: SecretStr) -> SecretStr:
            return SecretStr(value.get_secret_value() + "+")

    return BadRoundTrip


def that_takes_masks() -> type[Block]:
    class BadMask(Block):
        """A kind that takes a mask for a value."""

        token: SecretStr = Field(description="It.", examples=["token-EXAMPLE"])

        @field_validator("token", mode="wrap")
        @classmethod
        def _any(cls, value: Any, handler: Any) -> SecretStr:
            return value if isinstance(value, SecretStr) else SecretStr(str(value))

    return BadMask


def that_no_entry_point_names() -> type[Block]:
    class BadNowhere(Block):
        """A kind that is only in this test."""

        token: SecretStr = Field(description="It.", examples=["token-EXAMPLE"])

    return BadNowhere


def with_a_secret_like_another_field() -> type[Block]:
    class BadTwin(Block):
        """A kind of whose secret nobody could tell that it leaked."""

        user: str = Field(description="It.", examples=["example"])
        password: SecretStr = Field(description="It.", examples=["example"])

    return BadTwin


SHOWS = BlockSuite.test_it_does_not_show_its_secrets
BREAKS: list[tuple[Callable[[], type[Block]], Callable[..., None], dict[str, str]]] = [
    (undescribed, BlockSuite.test_it_is_described, {}),
    (without_docstring, BlockSuite.test_it_is_described, {}),
    (without_example, BlockSuite.test_it_is_described, {}),
    (with_a_plain_token, BlockSuite.test_what_is_secret_by_its_name_is_a_secret, {}),
    (with_an_example_that_is_refused, BlockSuite.test_its_examples_make_blocks, {}),
    (with_an_example_that_nothing_takes, BlockSuite.test_its_examples_make_blocks, {}),
    (with_a_schema_that_hides_it, BlockSuite.test_its_schema_says_what_is_secret, {}),
    *[(with_a_serializer_that_shows, SHOWS, {"way": way}) for way in ("dump", "json", "adapter")],
    *[(with_a_repr_that_shows, SHOWS, {"way": way}) for way in ("repr", "format", "pprint", "log")],
    (with_a_secret_like_another_field, SHOWS, {"way": "repr"}),
    (with_a_pickle_that_holds_it, BlockSuite.test_it_does_not_travel_unsaved, {}),
    (with_an_error_that_shows, BlockSuite.test_its_errors_do_not_show_what_was_given, {}),
    (that_changes_on_the_way, BlockSuite.test_it_comes_back, {}),
    (that_takes_masks, BlockSuite.test_it_refuses_masks_and_unknown_fields, {}),
    (that_no_entry_point_names, BlockSuite.test_it_is_found_where_it_is_named, {}),
]


@pytest.mark.parametrize(("make", "test", "arguments"), BREAKS)
def test_a_kind_that_breaks_it_fails(
    make: Callable[[], type[Block]], test: Callable[..., None], arguments: dict[str, str]
) -> None:
    """Each test of the suite is red over a kind that does what it is there to find."""
    block = make()

    with pytest.raises((AssertionError, InvalidBlock, pytest.fail.Exception)):
        test(BlockSuite(), block, **arguments)


def test_every_test_of_the_suite_can_fail() -> None:
    """None is left out above."""
    tests = {test for name, test in inspect.getmembers(BlockSuite, inspect.isfunction) if name.startswith("test_")}

    assert tests - {test for _, test, _ in BREAKS} == {BlockSuite.test_there_is_one}


def test_a_suite_over_nothing_fails() -> None:
    """A package whose entry point was forgotten."""

    class Nothing(BlockSuite):
        package = "no_such_package"

    with pytest.raises(AssertionError, match="entry point"):
        Nothing().test_there_is_one()
