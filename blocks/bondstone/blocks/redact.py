"""Masks the secrets that this process has loaded wherever it writes: logs, tracebacks, streams.

    from bondstone.blocks import redact

    redact.install()

Secrets of less than 8 characters are not masked: they would be found in ordinary words. A secret is known in the encodings of
`bondstone.blocks.encodings`; what was compressed, encrypted or cut into pieces is not.
"""

import io
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from functools import cache
from types import TracebackType
from typing import Any, NamedTuple, TextIO

from bondstone.blocks.redactor import Redactor

redact = Redactor()


class Formatter(logging.Formatter):
    """What another formatter makes of a record, exceptions included, with the secrets masked."""

    def __init__(self, inner: logging.Formatter | None = None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        return redact(self._inner.format(record))


def processor(_: Any, __: str, event: Any) -> Any:
    """A structlog processor: masks in every text of an event, or in what a renderer made of it. Put it last."""
    return redacted(event)


def redacted(value: Any) -> Any:
    """A text or JSON value with the secrets masked; of any other object the repr."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {redacted(name): redacted(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    shown = redact(repr(value))
    return value if isinstance(value, int | float | None) and shown == repr(value) else shown


class Stream(io.TextIOBase):
    """A text stream that masks what is written to another, line by line; what has no line end yet is held until `flush`."""

    def __init__(self, inner: TextIO) -> None:
        self._inner, self._held, self._writing = inner, "", threading.RLock()

    def write(self, text: str) -> int:
        with self._writing:
            whole, end, rest = (self._held + text).rpartition("\n")
            self._held = rest
            if end:
                self._inner.write(redact(whole + end))
        return len(text)

    def flush(self) -> None:
        with self._writing:
            held, self._held = self._held, ""
            self._inner.write(redact(held))
            self._inner.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._inner.isatty()

    def fileno(self) -> int:
        return self._inner.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._inner.encoding


class _Redacted(logging.LogRecord):
    """A record whose texts are masked, whichever formatter makes them: also those of handlers that are added later."""

    def getMessage(self) -> str:  # noqa: N802 -- logging's name
        return redact(super().getMessage())

    def _get(self) -> Any:
        return self.__dict__.get("exc_text")

    def _set(self, text: str | None) -> None:
        self.__dict__["exc_text"] = text and redact(text)

    exc_text = property(_get, _set)  # pyright: ignore[reportAssignmentType]  # a formatter keeps the text of the traceback here, and reads it back

    def __reduce__(self) -> tuple[Any, ...]:
        return logging.makeLogRecord, (dict(self.__dict__),)  # as a plain one: handlers send records to other processes


@cache
def _redacted(kind: Any) -> type[logging.LogRecord]:
    return _Redacted if kind is logging.LogRecord else type(kind.__name__, (_Redacted, kind), {})


class _Undo(NamedTuple):
    """What was there before `install`."""

    factory: Callable[..., logging.LogRecord]
    formatters: list[tuple[logging.Handler, logging.Formatter | None]]
    hooks: tuple[Any, Any]
    streams: tuple[TextIO, TextIO]


_undo: _Undo | None = None


def install(*, streams: bool = False) -> None:
    """Mask in all logging of this process, also by handlers that are added later, in tracebacks of errors that end a thread or the program
    and, with `streams`, in `sys.stdout` and `sys.stderr`. A second call changes nothing.

    Under Prefect and on Dask's workers the first load of a block does this, without streams.
    """
    global _undo
    if _undo is not None:
        return
    factory, handlers = logging.getLogRecordFactory(), list(_handlers())
    formatters = [(handler, handler.formatter) for handler in handlers]
    _undo = _Undo(factory, formatters, (sys.excepthook, threading.excepthook), (sys.stdout, sys.stderr))

    def record(*args: Any, **options: Any) -> logging.LogRecord:
        made = factory(*args, **options)
        made.__class__ = _redacted(type(made))  # type: ignore[arg-type]  # classes are hashable
        return made

    logging.setLogRecordFactory(record)
    for handler, formatter in formatters:
        handler.setFormatter(Formatter(formatter))
    sys.excepthook, threading.excepthook = _told, _told_of_thread
    if streams:
        sys.stdout, sys.stderr = Stream(sys.stdout), Stream(sys.stderr)


def uninstall() -> None:
    """Put back what was there before `install`."""
    global _undo
    if _undo is None:
        return
    logging.setLogRecordFactory(_undo.factory)
    for handler, formatter in _undo.formatters:
        handler.setFormatter(formatter)
    sys.excepthook, threading.excepthook = _undo.hooks
    sys.stdout.flush()
    sys.stderr.flush()
    sys.stdout, sys.stderr = _undo.streams
    _undo = None


def _handlers() -> set[logging.Handler]:
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    return {handler for logger in loggers if isinstance(logger, logging.Logger) for handler in logger.handlers}


def _told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


def _told_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and args.exc_type is not SystemExit:
        sys.stderr.write(f"Exception in thread {args.thread.name if args.thread else '?'}:\n")
        _told(args.exc_type, args.exc_value, args.exc_traceback)
