"""What this process has loaded is masked wherever it writes, in every encoding, and nothing else is."""

import io
import json
import logging
import logging.handlers
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from bondstone.blocks import AwsCredentials, Secret, SecretStr, known, redact
from bondstone.blocks.encodings import encodings
from bondstone.blocks.redact import Formatter, Stream
from bondstone.blocks.redactor import Redactor
from bondstone.blocks.secret_values import MASK

SECRET = 'Sä"n/t+i&n l\\7~~~~ÿÿ???'  # differs in every encoding


@pytest.fixture
def installed() -> Iterator[None]:
    redact.install()
    yield
    redact.uninstall()


@pytest.fixture
def log(installed: None) -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger whose handler came after `install`, with a plain formatter."""
    stream, logger = io.StringIO(), logging.getLogger("tests.redact")
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield logger, stream
    logger.removeHandler(handler)


def shown(text: str, secret: str | bytes = SECRET) -> list[str]:
    """In which encodings a secret stands in a text."""
    data = text.encode("utf-8", "surrogatepass")
    return [how for how, form in encodings(secret).items() if form in data]


class TestMasking:
    """By the values alone."""

    @pytest.mark.parametrize("how", encodings(SECRET))
    @pytest.mark.parametrize("before", range(6))
    def test_each_encoding_at_each_place(self, how: str, before: int) -> None:
        """Wherever in the line it begins; what stands beside it stays."""
        form = encodings(SECRET)[how]
        try:
            text = form.decode()
        except UnicodeDecodeError:
            text = form.decode("latin-1")
        mask = redacting(SECRET)

        assert mask("." * before + text + " end") == "." * before + MASK + " end"

    @pytest.mark.parametrize("length", range(8, 16))
    def test_each_length(self, length: int) -> None:
        """From 8 characters, at each place, at the end of the text too."""
        secret = "k7Qx9ZpLm2Wv4TnB"[:length]

        assert {redacting(secret)("." * before + secret) for before in range(9)} == {"." * n + MASK for n in range(9)}

    def test_what_is_short(self) -> None:
        """It would be found in ordinary words."""
        known.note("abcdefg")

        assert "abcdefg" not in known.values()

    def test_two_that_overlap(self) -> None:
        """The longer one leaves nothing over, and neither does the shorter one before it."""
        mask = redacting("abcdefghij", "abcdefghijklmnop", "ijklmnopqrst")

        assert mask("<abcdefghijklmnop> <abcdefghijklmnopqrst>") == f"<{MASK}> <{MASK}>"
        assert redacting("abcdefghijklmnop", "cdefghijk")("<abcdefghijklmnop>") == f"<{MASK}>"

    def test_many_in_one_text(self) -> None:
        """Each by a mask of its own."""
        mask = redacting("first-secret", "second-secret")

        assert mask("first-secret,second-secret;first-secret") == f"{MASK},{MASK};{MASK}"

    def test_what_comes_later(self) -> None:
        """A value that is noted after the first text is masked in the next."""
        values: list[str | bytes] = ["first-secret"]
        mask = Redactor(lambda: values, lambda: len(values))
        assert mask("second-secret") == "second-secret"

        values.append("second-secret")

        assert mask("second-secret") == MASK

    def test_ordinary_text_stays(self) -> None:
        """Character by character."""
        text = "".join(map(chr, range(32, 2000))) * 3

        assert redacting(SECRET, "another-secret")(text) == text


class TestKnowing:
    """Which values are masked: what a secret value was made of, whether loaded or given."""

    def test_what_a_block_holds(self) -> None:
        """Each secret field, of a block that was loaded as well; no other field."""
        AwsCredentials(access_key_id="AKIANOTSECRET", secret_access_key="secret/of+aws/1").save("a")
        AwsCredentials.load("a")

        assert redact.redact("AKIANOTSECRET secret/of+aws/1") == f"AKIANOTSECRET {MASK}"

    def test_what_is_inside_data(self) -> None:
        """Texts and long numbers in lists and mappings; keys of mappings are names."""
        Secret(value={"user-name": ["first-inner-secret", {"pin": "second-inner-secret"}], "n": 12345678, "m": 1234})

        text = redact.redact("user-name first-inner-secret second-inner-secret 12345678 1234")

        assert text == f"user-name {MASK} {MASK} {MASK} 1234"

    def test_the_path_of_a_url(self) -> None:
        """Clients show it without the host; that of a webhook is its secret."""
        SecretStr("https://hooks.example.org/services/T0/B0/key")

        assert redact.redact("POST /services/T0/B0/key failed") == f"POST {MASK} failed"

    def test_bytes(self) -> None:
        """As Python shows them, and in hex."""
        value = bytes(range(200, 216))
        Secret(value=value)

        assert redact.redact(f"{value!r} {value.hex()}") == f"b'{MASK}' {MASK}"

    def test_a_key_line_by_line(self) -> None:
        """A program that shows a part of a PEM file shows a part of the secret; its first line is in all of them."""
        pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\nvTdsmpaRzQx8Zo1n4xH0\n-----END PRIVATE KEY-----\n"
        SecretStr(pem)

        assert redact.redact("vTdsmpaRzQx8Zo1n4xH0") == MASK
        assert redact.redact("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"

    def test_the_oldest_are_forgotten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process that loads for ever does not grow for ever."""
        monkeypatch.setattr(known, "_values", {})
        for number in range(10_100):
            known.note(f"secret number {number}")

        assert len(known.values()) == 10_000
        assert known.values()[-1] == "secret number 10099"


class TestLogging:
    """After one call, whichever handler and formatter."""

    @pytest.mark.parametrize("how", ["raw", "hex", "base64+1", "url", "json"])
    def test_messages_and_arguments(self, how: str, log: tuple[logging.Logger, io.StringIO]) -> None:
        """Also where the argument becomes text only in the formatting."""
        logger, stream = log
        Secret(value=SECRET)

        logger.info("token " + encodings(SECRET)[how].decode())
        logger.info("%s and %r", encodings(SECRET)[how].decode(), {"a": SECRET})

        assert stream.getvalue().count(MASK) == 3
        assert shown(stream.getvalue()) == []

    def test_exceptions(self, log: tuple[logging.Logger, io.StringIO]) -> None:
        """Their texts, and those of the errors behind them."""
        logger, stream = log
        Secret(value=SECRET)

        try:
            try:
                raise ValueError(SECRET)
            except ValueError as error:
                raise RuntimeError(f"because of {SECRET}") from error
        except RuntimeError:
            logger.exception("failed")

        assert stream.getvalue().count(MASK) == 2
        assert "RuntimeError: because of" in stream.getvalue()
        assert shown(stream.getvalue()) == []

    def test_handlers_that_were_there(self) -> None:
        """Also what a format takes from `extra`."""
        stream, logger = io.StringIO(), logging.getLogger("tests.redact.before")
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(user)s %(message)s"))
        logger.addHandler(handler)
        Secret(value=SECRET)

        redact.install()
        try:
            logger.warning("a", extra={"user": SECRET})
        finally:
            redact.uninstall()
        logger.warning("after", extra={"user": "somebody"})
        logger.removeHandler(handler)

        assert stream.getvalue() == f"{MASK} a\nsomebody after\n"

    def test_a_queue_to_another_process(self, log: tuple[logging.Logger, io.StringIO]) -> None:
        """A record that is pickled is a plain one, already masked."""
        logger, _ = log
        Secret(value=SECRET)
        records: queue.Queue[Any] = queue.Queue()
        handler = logging.handlers.QueueHandler(records)
        logger.addHandler(handler)

        try:
            raise ValueError(SECRET)
        except ValueError:
            logger.exception("with %s", SECRET)
        logger.removeHandler(handler)
        record = records.get_nowait()
        sent = pickle.dumps(record)

        assert b"_Redacted" not in sent
        assert shown(sent.decode("latin-1")) == []
        assert MASK in pickle.loads(sent).getMessage()

    def test_a_formatter_alone(self) -> None:
        """For one handler, without `install`."""
        Secret(value=SECRET)
        record = logging.LogRecord("a", logging.INFO, "f", 1, "b %s", (SECRET,), None)

        assert Formatter(logging.Formatter("%(levelname)s %(message)s")).format(record) == f"INFO b {MASK}"

    def test_structlog(self) -> None:
        """Names, texts, lists and objects of an event, and what a renderer made of it."""
        Secret(value=SECRET)
        event = {
            "event": f"a {SECRET}",
            "list": [SECRET, 1],
            "deep": {SECRET: {"b": SECRET}},
            "object": ValueError(SECRET),
        }

        masked = redact.processor(None, "info", event)
        rendered = redact.processor(
            None, "info", structlog.processors.JSONRenderer()(None, "info", dict(event, object=1))
        )

        assert shown(json.dumps(masked)) == []
        assert masked["list"] == [MASK, 1]
        assert shown(rendered) == []
        assert json.loads(rendered)["list"] == [MASK, 1]


class TestStreams:
    """Line by line."""

    def test_pieces_of_a_line(self) -> None:
        """A secret that is written in two pieces is one in the line."""
        inner = io.StringIO()
        Secret(value=SECRET)
        stream = Stream(inner)

        print("a", SECRET[:5], end="", file=stream)
        print(SECRET[5:], "b", file=stream)
        print("c", end="", file=stream)
        held = inner.getvalue()
        stream.flush()

        assert held == f"a {MASK} b\n"
        assert inner.getvalue() == f"a {MASK} b\nc"

    @pytest.mark.parametrize("streams", [True, False])
    def test_a_program_that_dies(self, streams: bool) -> None:
        """The traceback of a thread and that of the program, also where streams stay as they are, and its output where they do not. The
        exit code stays.
        """
        program = (
            "import threading\n"
            "from bondstone.blocks import Secret, redact\n"
            f"redact.install(streams={streams})\n"
            "token = Secret(value='a-secret-of-a-program').get()\n"
            "def fail(): raise ValueError(token)\n"
            f"print('out', token if {streams} else '{MASK}')\n"
            "thread = threading.Thread(target=fail, name='reader')\n"
            "thread.start(); thread.join()\n"
            "raise RuntimeError(f'because of {token}')\n"
        )

        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

        assert done.returncode == 1
        assert done.stdout == f"out {MASK}\n"
        assert f"ValueError: {MASK}" in done.stderr
        assert f"RuntimeError: because of {MASK}" in done.stderr
        assert done.stderr.count("Traceback") == 2
        assert "Exception in thread reader:" in done.stderr
        assert "a-secret-of-a-program" not in done.stdout + done.stderr


class TestInstalling:
    """One call, once."""

    def test_twice(self) -> None:
        """A second call changes nothing, and one `uninstall` puts everything back."""
        before = logging.getLogRecordFactory(), sys.excepthook, threading.excepthook, sys.stdout

        redact.install(streams=True)
        after = logging.getLogRecordFactory()
        redact.install(streams=True)
        again = logging.getLogRecordFactory()
        redact.uninstall()
        redact.uninstall()

        assert after is again is not before[0]
        assert (logging.getLogRecordFactory(), sys.excepthook, threading.excepthook, sys.stdout) == before

    @pytest.mark.parametrize("engine", ["prefect.runtime", "distributed.worker"])
    def test_under_an_engine(self, engine: str) -> None:
        """The first load does it, where an engine that sends logs on is imported; elsewhere nothing is done."""
        Secret(value="a-secret-of-a-flow").save("token")
        program = (
            f"import logging, sys\n"
            f"if {engine!r} in sys.argv: import {engine}\n"
            "from bondstone.blocks import Secret\n"
            "token = Secret.load('token').get()\n"
            "logging.getLogger('x').error('with %s', token)\n"
        )

        def said(*arguments: str) -> str:
            done = subprocess.run(
                [sys.executable, "-c", program, *arguments],
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
                env=os.environ,
            )
            return done.stderr

        assert f"with {MASK}\n" in said(engine)
        assert "with a-secret-of-a-flow\n" in said()


def redacting(*values: str | bytes) -> Callable[[str], str]:
    """A redactor that knows these values and no others."""
    return Redactor(lambda: list(values), lambda: len(values))
