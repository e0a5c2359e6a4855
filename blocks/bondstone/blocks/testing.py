"""What every kind promises, as tests. A package that brings kinds runs them over its own.

class TestOurKinds(BlockSuite):
    package = "our_package"
"""

import copy
import io
import json
import logging
import os
import pickle
import pprint
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from itertools import combinations
from pathlib import Path
from typing import Any

import pydantic
import pytest
from pydantic import TypeAdapter, ValidationError

from bondstone.blocks.block import Block
from bondstone.blocks.catalog import GROUP, catalog, find
from bondstone.blocks.describe import Field, fields_of
from bondstone.blocks.secret_values import MASK, SecretData, SecretStr
from bondstone.registry import BondstoneError, InvalidBlock, InvalidName, NotSaved, Reference
from bondstone.registry.names import check_kind

_MOST_TOGETHER = 4  # optional fields that a kind may want together, such as an account with three parts of a principal
_CREDENTIAL = re.compile(
    r"(^|_)(password|passwd|passphrase|token|secret|secret_(access_)?key|private_key|account_key|api_key|client_key|connection_string)$"
)


class BlockSuite:
    """Subclass it in a test module; `package` limits it to the kinds that one package brings.

    Each kind is made of its examples: the first of each required field, and as many optional ones as it takes.
    """

    package: str | None = None

    def kinds(self) -> Mapping[str, type[Block]]:
        """Those of bondstone and those that an entry point names; not those that a test defines."""
        named = {entry.name for entry in entry_points(group=GROUP)}
        inside = {kind: block for kind, block in catalog().items() if kind in named or _ours(block)}
        return {
            kind: block for kind, block in inside.items() if self.package in (None, block.__module__.partition(".")[0])
        }

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "block" in metafunc.fixturenames:
            kinds = self.kinds()
            metafunc.parametrize("block", list(kinds.values()), ids=list(kinds))

    @pytest.fixture(autouse=True)
    def registry_of_its_own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the suite saves is in a folder that goes away."""
        for name in [name for name in os.environ if name.startswith(("BONDSTONE_", "XDG_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(tmp_path))

    def test_there_is_one(self) -> None:
        """A suite that runs over nothing proves nothing."""
        assert self.kinds(), f"no kind of {self.package}: is its entry point in the group {GROUP!r}?"

    def test_it_is_described(self, block: type[Block]) -> None:
        """A docstring; a sentence for each field; an example for each required one."""
        fields = fields_of(block)

        assert block.kind == check_kind(block.kind)
        assert (block.__doc__ or "").strip(), "the class has no docstring"
        assert [one.name for one in fields if not one.description.strip().endswith(".")] == [], (
            "no sentence describes these"
        )
        assert [one.name for one in fields if one.required and not one.examples] == [], (
            "these are required and have no example"
        )

    def test_what_is_secret_by_its_name_is_a_secret(self, block: type[Block]) -> None:
        """A token in a plain string shows in every log."""
        plain = [one.name for one in fields_of(block) if not (one.secret or one.holds_blocks)]

        assert [name for name in plain if _CREDENTIAL.search(name)] == [], "use bondstone.blocks.SecretStr for these"

    def test_its_examples_make_blocks(self, block: type[Block]) -> None:
        """Every field's example is in a block that can be made."""
        made = samples(block)

        used = {name for one in made for name in one.model_fields_set}
        assert set(block.model_fields) - used == set(), "no block can be made with the examples of these"

    def test_its_schema_says_what_is_secret(self, block: type[Block]) -> None:
        """Forms and documents are made from the JSON schema."""
        schema = block.model_json_schema()

        assert list(schema["properties"]) == [info.alias or name for name, info in block.model_fields.items()]
        assert schema["additionalProperties"] is False
        for name in _secret_fields(block):
            assert '"writeOnly": true' in json.dumps(schema["properties"][name] | schema.get("$defs", {})), name

    def test_it_comes_back(self, block: type[Block]) -> None:
        """What is saved is loaded, equal and of the same class; a copy is equal too; a dump with its secrets makes it again."""
        for number, one in enumerate(samples(block)):
            one.save(f"sample-{number}")

            assert Block.load(f"{block.kind}/sample-{number}") == one
            assert type(block.load(f"sample-{number}")) is block
            assert copy.deepcopy(one) == one.model_copy() == block(**dict(one)) == one
            assert pickle.loads(pickle.dumps(one)) == one

    @pytest.mark.parametrize("way", ["repr", "str", "format", "dump", "json", "vars", "pprint", "log", "adapter"])
    def test_it_does_not_show_its_secrets(self, block: type[Block], way: str) -> None:
        """Nor does a block that holds it."""
        for one in samples(block):
            shown = WAYS[way](one)

            assert [name for name, text in _secrets(one) if text in shown] == []

    def test_it_does_not_travel_unsaved(self, block: type[Block]) -> None:
        """A pickle of a saved one holds its name alone."""
        for number, one in enumerate(samples(block)):
            with pytest.raises(NotSaved):
                pickle.dumps(one)
            pickled = pickle.dumps(one.save(f"sample-{number}"))
            assert [name for name, text in _secrets(one) if text.encode() in pickled] == []

    def test_its_errors_do_not_show_what_was_given(self, block: type[Block]) -> None:
        """A secret with a usual mistake in it, or given for another field, is nowhere in the error; accepted, it does not show."""
        for one in samples(block):
            given = {name: value for name, value in one if name in one.model_fields_set}
            for name in block.model_fields:
                for spoil in _MISTAKES:
                    leaked = _leak(block, given | {name: spoil(_revealed(given.get(name)))}, name)
                    assert not leaked, f"{name}: {leaked}"

    def test_it_refuses_masks_and_unknown_fields(self, block: type[Block]) -> None:
        """A mask that is stored would destroy the secret; a field with a typing error would be lost."""
        one = samples(block)[0]
        for name in _secret_fields(block):
            with pytest.raises(BondstoneError):
                block(**(dict(one) | {name: MASK}))
        with pytest.raises(InvalidBlock, match="unknown field"):
            block(**dict(one), no_field_of_any_kind=1)

    def test_it_is_found_where_it_is_named(self, block: type[Block]) -> None:
        """A kind of ours lies in a file of `bondstone.blocks`; another's is what an entry point of its kind's name gives."""
        assert find(block.kind) is block
        if _ours(block):
            assert re.fullmatch(r"bondstone\.blocks\.[a-z_]+", block.__module__)
        else:
            assert [entry.load() for entry in entry_points(group=GROUP, name=block.kind)] == [block]


def _ours(block: type[Block]) -> bool:
    return block.__module__.startswith("bondstone.blocks.")


def samples(block: type[Block]) -> list[Block]:
    """The smallest blocks that its examples make, until each example is in one. Saves what they refer to."""
    fields = fields_of(block)
    required = {one.name: _example(one) for one in fields if one.required}
    optional = {one.name: _example(one) for one in fields if not one.required and one.examples}
    found: list[Block] = []
    used = set[str]()
    for size in range(_MOST_TOGETHER + 1):
        for names in combinations(optional, size):
            if used.issuperset(names) and found:
                continue
            with_these = _made(block, required | {name: optional[name] for name in names})
            if with_these:
                found.append(with_these)
                used.update(names)
    return found


def _made(block: type[Block], fields: dict[str, Any]) -> Block | None:
    """None if these do not go together; what one field has to say for itself is raised."""
    try:
        return block(**fields)
    except InvalidBlock as error:
        if any(f"field '{name}" in str(error) for name in fields):
            raise
    return None


def _example(field: Field) -> Any:
    """The field's first example; the blocks that it refers to are saved."""
    example = field.examples[0] if field.examples else None
    if field.holds_blocks:
        for text in _texts(example):
            _save(text)
    return example


def _save(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidName:
        return  # the key of a mapping
    if reference.name not in find(reference.kind).names():
        samples(find(reference.kind))[0].save(reference.name)


def _texts(value: Any) -> Iterator[str]:
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    if isinstance(value, str):
        yield value
    for item in items:
        yield from _texts(item)


def _secret_fields(block: type[Block]) -> list[str]:
    return [one.name for one in fields_of(block) if one.secret and not one.holds_blocks]


def _secrets(one: Block) -> list[tuple[str, str]]:
    """Field and text of each secret. An example must be one that is nowhere else, or a leak could not be told."""
    shown = json.dumps([value for name, value in one if name not in _secret_fields(type(one))], default=repr)
    found = [(name, text) for name in _secret_fields(type(one)) for text in _texts(_revealed(getattr(one, name)))]
    for name, text in found:
        assert len(text) > 5 and text not in shown, f"'{name}': give it an example that stands in no other field"  # noqa: PT018
    return found


def _revealed(value: Any) -> Any:
    if isinstance(value, SecretStr | SecretData):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {key: _revealed(item) for key, item in value.items()}
    return [_revealed(item) for item in value] if isinstance(value, list | tuple) else value


def _logged(one: Block) -> str:
    stream = io.StringIO()
    logger = logging.Logger("suite")
    logger.addHandler(logging.StreamHandler(stream))
    logger.error("%s %r", one, [one])
    return stream.getvalue()


WAYS: dict[str, Callable[[Block], str]] = {
    "repr": lambda one: repr(one) + repr([one]),
    "str": str,
    "format": lambda one: f"{one} {one!r:>9} {one!a}",
    "dump": lambda one: f"{one.model_dump()} {one.model_dump(mode='json')} {dict(one)}",
    "json": lambda one: one.model_dump_json() + json.dumps(one.model_dump(), default=str),
    "vars": lambda one: str(vars(one)) + str([vars(value) for value in vars(one).values() if hasattr(value, "__dict__")]),
    "pprint": pprint.pformat,
    "log": _logged,
    "adapter": lambda one: TypeAdapter(type(one)).dump_json(one).decode(),
}  # fmt: skip


_PYDANTIC = pydantic.__file__.removesuffix("__init__.py")
_SENTINEL = "SENT" + "INEL-4711"  # never written out, or a line of source in a traceback would look like a leak


def _within(value: Any) -> str:
    """The value with the sentinel in its middle, so that it keeps the shape that it begins and ends with."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text[: len(text) // 2] + _SENTINEL + text[len(text) // 2 :]


_MISTAKES: tuple[Callable[[Any], Any], ...] = (
    _within,
    lambda value: _within(value) + "\n",
    lambda value: " " + _within(value),
    lambda value: _within(value).replace("-", "\t"),
    lambda value: "ema_" + _SENTINEL,
    lambda value: "https://user:" + _SENTINEL + "@example.org",
    lambda value: "-----BEGIN PRIVATE KEY-----\n" + _SENTINEL + "\n-----END PRIVATE KEY-----",
    lambda value: json.dumps({"type": "service_account", "private_key": _SENTINEL, "client_email": "x"}),
    lambda value: _SENTINEL.encode(),
    lambda value: [_SENTINEL],
    lambda value: {"value": _SENTINEL, "$ref": _SENTINEL},
    lambda value: object(),
    lambda value: None,
)


def _leak(block: type[Block], fields: dict[str, Any], spoiled: str) -> str | None:
    """Where the sentinel shows when a block is made of these fields. What is no secret may show in a block, not in a text."""
    secret = spoiled in _secret_fields(block)
    ways: tuple[Callable[[], Block], ...] = (
        lambda: block(**fields),
        lambda: block.model_validate(fields),
        lambda: TypeAdapter(block).validate_python(fields),
    )
    for make in ways:
        try:
            one = make()
        except Exception as error:  # noqa: BLE001 -- whatever a validator raises is shown somewhere
            shown = {"error": _everything(error) if secret else _text(error)}
        else:
            shown = {way: show(one) for way, show in WAYS.items()} if secret else {}
        found = [way for way, text in shown.items() if _SENTINEL in text]
        if found:
            return f"shown by {found[0]}"
    return None


def _text(error: BaseException) -> str:
    details = f"{error.errors()} {error.json()}" if isinstance(error, ValidationError) else ""
    return f"{error} {error!r} {error.args} {details}"


def _everything(error: BaseException) -> str:
    """All that a log, a debugger or an error tracker could show of an error; not this suite's frames, nor those of pydantic's adapters."""
    texts = [_text(error)]
    for line in traceback.TracebackException.from_exception(error, capture_locals=True).stack:
        if line.filename != __file__ and not line.filename.startswith(_PYDANTIC):
            texts += [str(line.line), repr(line.locals)]
    for inner in (error.__cause__, error.__context__):
        texts += [_everything(inner)] if inner else []
    return "\n".join(texts)
