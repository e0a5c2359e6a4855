"""What is looked for by fingerprints is found in every encoding and place, and nothing else is."""

import base64
import gc
import random
import textwrap

import pytest

from bondstone.blocks.encodings import encodings
from bondstone.blocks.finder import Finder, Found, Secret

VALUE = 'Sä"n/t+i&n l\\7~~~~ÿÿ???'  # differs in every encoding
WHOSE = Secret("secret/token", 3, "value")


@pytest.mark.parametrize("how", encodings(VALUE))
@pytest.mark.parametrize("before", range(0, 30, 7))
def test_each_encoding_at_each_place(how: str, before: int) -> None:
    """It says where, whose, and how."""
    data = b"." * before + encodings(VALUE)[how] + b". and more"

    assert Found(before, len(encodings(VALUE)[how]), WHOSE, how) in list(Finder([(WHOSE, VALUE)]).search(data))


@pytest.mark.parametrize("length", range(8, 40))
def test_each_length_beside_others(length: int) -> None:
    """The shortest value decides how closely is looked."""
    values = [(Secret("secret/a", 1, "value"), "k7Qx9ZpLm2Wv4TnBc8Hd3Rf6Gy1Js5Ku0Ni7Oe2Pq4"[:length]), (WHOSE, VALUE)]

    found = list(Finder(values).search(b"#" + values[0][1].encode() + b"#" + VALUE.encode()))

    assert {(item.secret, item.encoding) for item in found} == {(values[0][0], "raw"), (WHOSE, "raw")}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n   ", "\\n", "\\\\n"])
def test_base64_in_lines(end: str) -> None:
    """As MIME, PEM and YAML have it, in JSON too; the value lies across the end of a line."""
    text = base64.b64encode(b"p" * 50 + VALUE.encode() + b"s" * 50).decode()
    data = ("key: |" + end + end.join(textwrap.wrap(text, 76)) + end + "other: text").encode()

    (found,) = Finder([(WHOSE, VALUE)]).search(data)

    assert found.encoding.startswith("base64")
    assert found.encoding.endswith(", in lines")
    assert text[:20].encode() in data[found.at : found.at + 21]  # the n of \\n is a letter of base64, too


def test_ordinary_data() -> None:
    """No false hit in words, digits and noise, though values are short; long runs of letters take no longer than others."""
    chance = random.Random(7)
    values = [(WHOSE, "".join(chance.choices("abcdefghij", k=8))) for _ in range(200)]
    words = " ".join("".join(chance.choices("abcdefghij", k=chance.randint(1, 7))) for _ in range(30_000))

    assert list(Finder(values).search(words.encode() + chance.randbytes(1_000_000) + b"A" * 1_000_000)) == []


def test_what_is_too_short() -> None:
    """It is counted, and not looked for."""
    finder = Finder([(WHOSE, "short"), (WHOSE, VALUE)])

    assert (finder.count, finder.too_short) == (1, 1)
    assert list(finder.search(b"short")) == []


def test_it_keeps_no_value() -> None:
    """Nothing that it refers to holds one, in any form."""
    finder = Finder([(WHOSE, VALUE)])

    reached, pending = {id(finder)}, [finder]
    while pending:
        for item in gc.get_referents(pending.pop()):
            if (
                id(item) not in reached
                and not isinstance(item, type)
                and type(item).__name__ not in ("module", "function")
            ):
                reached.add(id(item))
                pending.append(item)
                text = item.encode() if isinstance(item, str) else item if isinstance(item, bytes) else b""
                assert not [how for how, form in encodings(VALUE).items() if form in text]

    assert list(finder.search(VALUE.encode()))


@pytest.mark.slow
def test_a_hundred_megabytes_of_other_text() -> None:
    """Words, numbers, base64 and hex: no false hit by a thousand values, and the one that is planted at the end is found."""
    chance = random.Random(11)
    values = [(WHOSE, "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=20))) for _ in range(1000)]
    finder = Finder(values)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(5000)]
    searched = 0
    while searched < 100_000_000:
        noise = chance.randbytes(30_000)
        lines = [" ".join(chance.choices(words, k=12)) for _ in range(20_000)]
        data = "\n".join([*lines, noise.hex(), base64.b64encode(noise).decode()]).encode()
        searched += len(data)
        assert list(finder.search(data)) == []

    assert [found.encoding for found in finder.search(data + b" " + values[500][1].encode())] == ["raw"]
