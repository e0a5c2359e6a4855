"""A program in the foreground that is to notice nothing of us: signals go to it, its exit code comes back, its orphans are buried."""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from bondstone.cli import output
from bondstone.registry.names import shown

if TYPE_CHECKING:
    from bondstone.cli.relay import Relay

NO_PROGRAM = 127  # as shells have it
NOT_EXECUTABLE = 126

_PASSED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
_FROM_KEYBOARD = {signal.SIGINT, signal.SIGQUIT}
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def run(command: Sequence[str], environment: dict[str, str], masked: Collection[int] = ()) -> int:
    """Run `command`, found on the PATH of `environment`; its exit code, or 128 + n if signal n ended it.

    What it writes to the descriptors in `masked` is passed on with our secrets masked.
    """
    program = shutil.which(command[0], path=environment.get("PATH", os.defpath))
    if program is None:
        found = os.path.dirname(command[0]) and os.path.exists(command[0])  # noqa: PTH110, PTH120 -- a name, not a path
        return _refused(command[0], "it is not executable" if found else "there is no such program", bool(found))
    signal.signal(
        signal.SIGCHLD, signal.SIG_DFL
    )  # where it is ignored, as some parents leave it, nobody could be waited for
    _quiet()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*_PASSED_ON, signal.SIGCHLD})
    try:
        between = _relay(masked)
        moves = [(os.POSIX_SPAWN_DUP2, pipe, stream) for stream, pipe in between.pipes.items()] if between else []
        # Not subprocess: it closes descriptors that the caller handed on, and lets the child begin with signals blocked.
        settings: dict[str, Any] = {"setsigmask": before, "setsigdef": _IGNORED_BY_PYTHON, "file_actions": moves}
        child = os.posix_spawn(program, list(command), environment, **settings)
        if between:
            between.let_go()
        code = _attend(child)
        if between:
            between.wait()
        return code
    except OSError as error:
        return _refused(command[0], error.strerror or type(error).__name__, True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _relay(masked: Collection[int]) -> "Relay | None":
    if not masked:
        return None
    from bondstone.cli.relay import relay

    return relay(masked)


def _refused(name: str, reason: str, found: bool) -> int:
    output.note(f"cannot run {shown(name)}: {reason}")
    return NOT_EXECUTABLE if found else NO_PROGRAM


def _quiet() -> None:
    """Wait for other threads: a signal that this one blocks would be theirs, and would end the process."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(timeout=2)


def _attend(child: int) -> int:
    while True:
        number, pass_on = _next_signal(child)
        if number == signal.SIGCHLD:
            code = _buried(child)
            if code is not None:
                return code
        elif pass_on:
            os.kill(child, number)  # not yet waited for, so the number is still its own


def _next_signal(child: int) -> tuple[int, bool]:
    """A signal that came, and whether the child does not have it already.

    The keyboard's go to the whole process group, so to the child as well; a second one would break off its tidying up.
    """
    watched = {*_PASSED_ON, signal.SIGCHLD}
    if sys.platform == "darwin":  # which does not tell where a signal came from
        number = signal.sigwait(watched)
        return number, not (number in _FROM_KEYBOARD and sys.stdin is not None and sys.stdin.isatty())
    info = signal.sigwaitinfo(watched)
    by_kernel = info.si_code > 0
    return info.si_signo, info.si_pid != child and not (by_kernel and info.si_signo in _FROM_KEYBOARD)


def _buried(child: int) -> int | None:
    """The exit code of the child, if it has ended. As the first process of a container we are given orphans too."""
    while True:
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended == 0:
            return None
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
