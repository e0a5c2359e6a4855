"""`bondstone run`: the program gets the values and all that would reach it without bondstone; nobody else gets anything."""

import os
import pty
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bondstone.blocks import AwsCredentials, Secret
from bondstone.blocks.secret_values import MASK
from bondstone.cli import child
from bondstone.registry import current_registry
from tests.app.program import PROGRAM, SENTINEL, Ended, bondstone

USAGE, NOT_FOUND, INVALID_NAME, INVALID_BLOCK, KEY_MISSING = 2, 3, 6, 7, 11
REFERENCE = "bondstone://secret/token"
SHOW = [sys.executable, "-c", "import os, sys; print(os.environ.get(sys.argv[1]))"]
# Says 'ready', then notes each signal until SIGUSR1; its exit code is then 5.
NOTER = """
import os, signal, sys
def note(number, frame):
    os.write(1, f"<{signal.Signals(number).name}>".encode())
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2):
    signal.signal(number, note)
signal.signal(signal.SIGUSR1, lambda *_: os._exit(5))
os.write(1, f"ready {os.getpid()} {os.getppid()}\\n".encode())
while True:
    signal.pause()
"""


@pytest.fixture(autouse=True)
def saved(home: Path) -> None:
    Secret(value=SENTINEL).save("token")
    AwsCredentials(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key=SENTINEL).save("prod")


def run(*arguments: str, **environment: str) -> Ended:
    return bondstone("run", *arguments, environment=environment)


@contextmanager
def running(*command: str) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """The program with `command` in it, which has said 'ready'; and the numbers it said."""
    pipe = subprocess.PIPE  # not our own input, which may be at its end
    process = subprocess.Popen([*PROGRAM, "run", "--", *command], stdin=pipe, stdout=pipe, env=os.environ)
    numbers = [process.pid]
    try:
        assert process.stdout
        numbers[:] = [int(word) for word in process.stdout.readline().split()[1:]]
        yield process, numbers
    finally:
        process.kill()
        with suppress(ProcessLookupError):  # after a failure the program goes on
            os.kill(numbers[0], signal.SIGKILL)
        process.wait(10)
        assert process.stdin
        assert process.stdout
        process.stdin.close()
        process.stdout.close()


def rest(process: subprocess.Popen[bytes]) -> bytes:
    out, _ = process.communicate(timeout=20)
    return out


def until(text: bytes, descriptor: int) -> bytes:
    """What comes until `text` has come."""
    got, end = b"", time.monotonic() + 30
    while text not in got and time.monotonic() < end and select.select([descriptor], [], [], 30)[0]:
        got += os.read(descriptor, 1000)
    assert text in got, got
    return got


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (REFERENCE, SENTINEL),
        ("bondstone://aws-credentials/prod@1#secret_access_key", SENTINEL),
        (f"postgres://u:${{{REFERENCE}}}@h/db", f"postgres://u:{SENTINEL}@h/db"),
        ("as it is ${HOME} $x", "as it is ${HOME} $x"),
        ("see bondstone://secret/none", "see bondstone://secret/none"),
    ],
    ids=["whole", "version and field", "inside", "none", "mentioned"],
)
def test_the_program_gets_values(text: str, value: str) -> None:
    """For references, and in `${…}` inside a text; the rest of its environment is as it was."""
    assert run("--", *SHOW, "VALUE", VALUE=text) == Ended(0, value + "\n", "")


def test_an_env_file_wins_over_the_environment(tmp_path: Path) -> None:
    """In dotenv syntax, with comments, quotes and variables; a later file over an earlier one."""
    (tmp_path / "a.env").write_text(f"# c\nexport A='one'\nB=\"x ${{A}}\"\nVALUE={REFERENCE} # c\n")
    (tmp_path / "b.env").write_text("A=two\n")
    files = ("--env-file", f"{tmp_path}/a.env", "--env-file", f"{tmp_path}/b.env")

    shown = run(*files, "--", "sh", "-c", "echo $A/$B/$VALUE", A="none")

    assert shown.out == f"two/x one/{SENTINEL}\n"


def test_values_other_than_text_are_json() -> None:
    """A mapping for programs that read one; bytes that are text as that text."""
    Secret(value={"a": [1, True]}).save("data")
    Secret(value="ä".encode()).save("raw")

    assert run("--", *SHOW, "X", X="bondstone://secret/data").out == '{"a": [1, true]}\n'
    assert run("--", *SHOW, "X", X="bondstone://secret/raw").out == "ä\n"


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("bondstone://secret/none", NOT_FOUND, "no secret named 'none'"),
        ("bondstone://aws-credentials/prod", INVALID_BLOCK, "#access_key_id"),
        ("bondstone://secret", INVALID_NAME, "kind/name"),
        ("x${bondstone://secret/none}", NOT_FOUND, "no secret named 'none'"),
        ("bondstone://secret/binary", INVALID_BLOCK, "no text"),
        ("bondstone://secret/nul", INVALID_BLOCK, "NUL"),
    ],
    ids=["missing", "no field", "no name", "missing inside", "binary", "nul"],
)
def test_what_cannot_be_resolved_keeps_the_program_from_starting(
    tmp_path: Path, text: str, code: int, told: str
) -> None:
    """One line names the variable; no other value is shown, and no program runs with half of its environment."""
    Secret(value=b"\xff").save("binary")
    Secret(value=f"{SENTINEL}\0").save("nul")

    ended = run("--", "touch", str(tmp_path / "started"), A_GOOD=REFERENCE, Z_BAD=text)

    assert ended.code == code
    assert ended.err.startswith("bondstone: 'Z_BAD': ")
    assert told in ended.err
    assert ended.err.count("\n") == 1
    assert SENTINEL not in ended.out + ended.err
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize(
    "content", [b"A=1\nno sense\n", b"A=1\nB='open\n", b"A=\xff\n", b"A=x\0y\n", None, b"A" * 1024 * 1025]
)
@pytest.mark.shows_secrets("a.env")
def test_a_bad_env_file_is_told_without_its_text(tmp_path: Path, content: bytes | None) -> None:
    """The file and the line, and never what stands there."""
    if content is not None:
        (tmp_path / "a.env").write_bytes(content + f"\nZ='{SENTINEL}\n".encode())

    ended = run("--env-file", f"{tmp_path}/a.env", "--", "true")

    assert ended.code == USAGE
    assert "a.env" in ended.err
    assert SENTINEL not in ended.out + ended.err


def test_a_reference_inside_a_text_of_an_env_file(tmp_path: Path) -> None:
    """Is a mistake there, since all of the file is meant for us; a variable of the environment may speak of one."""
    (tmp_path / "a.env").write_text(f"DATABASE=postgres://u:{REFERENCE}@h\n")

    ended = run("--env-file", f"{tmp_path}/a.env", "--", "true")

    assert ended.code == INVALID_NAME
    assert "'DATABASE': " in ended.err
    assert "${bondstone://kind/name#field}" in ended.err


def test_the_line_of_a_bad_env_file(tmp_path: Path) -> None:
    """Counted from 1, empty lines too."""
    (tmp_path / "a.env").write_text("A=1\n\n\nno sense\nB=2\n")

    assert "line 4 " in run("--env-file", f"{tmp_path}/a.env", "--", "true").err


def test_what_opens_the_registry_stays_here(key_path: Path) -> None:
    """The key, the passphrase and the token of the server are not for the program, unless that was asked for."""
    key = key_path.read_text().strip()
    keys = {"BONDSTONE_KEY": key, "VALUE": REFERENCE}

    assert run("--", *SHOW, "VALUE", **keys).out == SENTINEL + "\n"
    assert run("--", *SHOW, "BONDSTONE_KEY", **keys).out == "None\n"
    assert run("--keep-key", "--", *SHOW, "BONDSTONE_KEY", **keys).out == key + "\n"
    for name in ("BONDSTONE_PASSPHRASE", "BONDSTONE_TOKEN"):
        assert run("--", *SHOW, name, **{name: SENTINEL}).out == "None\n"
    assert run("--", *SHOW, "BONDSTONE_KEY", BONDSTONE_KEY="keyring:0").out == "keyring:0\n"  # an address is no key


@pytest.mark.shows_secrets("a.env")
def test_a_key_in_an_env_file_stays_here_too(tmp_path: Path) -> None:
    """Wherever it came from."""
    (tmp_path / "a.env").write_text(f"BONDSTONE_PASSPHRASE={SENTINEL}\n")

    assert run("--env-file", f"{tmp_path}/a.env", "--", *SHOW, "BONDSTONE_PASSPHRASE").out == "None\n"


def test_a_flow_inside_loads_with_the_key_file() -> None:
    """The key file is named, or where it is by default, so a program that uses bondstone itself goes on working."""
    program = "from bondstone.blocks import Secret; print(Secret.load('token').get())"

    assert run("--", sys.executable, "-c", program).out == SENTINEL + "\n"


def test_options_of_the_program_are_its_own() -> None:
    """With `--` or without."""
    assert run("--", "sh", "-c", "echo $0 $1", "--help", "-x").out == "--help -x\n"
    assert run("sh", "-c", "echo $0 $1", "--help", "--env-file").out == "--help --env-file\n"


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137), ("kill -INT $$", 130)],
)
def test_the_exit_code_is_the_programs(script: str, code: int) -> None:
    """Or 128 and the signal that ended it."""
    assert run("--", "sh", "-c", script).code == code


def test_a_program_that_cannot_run(tmp_path: Path) -> None:
    """127 if there is none, 126 if it cannot be executed, as in a shell."""
    (tmp_path / "plain").write_text("x")
    (tmp_path / "noise").write_bytes(b"\x7fnoise")
    (tmp_path / "noise").chmod(0o755)

    assert run("--", "no-such-program").code == 127
    assert run("--", str(tmp_path / "none")).code == 127
    assert run("--", str(tmp_path / "plain")).code == 126
    assert run("--", str(tmp_path / "noise")).code == 126


def test_the_path_is_that_of_the_program(tmp_path: Path) -> None:
    """Also where an env file sets it."""
    (tmp_path / "mine").write_text("#!/bin/sh\necho mine\n")
    (tmp_path / "mine").chmod(0o755)
    (tmp_path / "a.env").write_text(f"PATH={tmp_path}\n")

    assert run("--env-file", f"{tmp_path}/a.env", "--", "mine").out == "mine\n"


def test_standard_input_and_open_files_are_the_programs() -> None:
    """What the caller hands on arrives: input, output, and other descriptors."""
    ended = bondstone("run", "--", "sh", "-c", "cat; echo err >&2", stdin=b"in\n")
    reading, writing = os.pipe()
    command = [*PROGRAM, "run", "--", sys.executable, "-c", f"import os; os.write({writing}, b'through')"]
    subprocess.run(command, pass_fds=[writing], check=True, env=os.environ, timeout=60)
    os.close(writing)

    assert (ended.out, ended.err) == ("in\n", "err\n")
    assert os.read(reading, 100) == b"through"
    os.close(reading)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"])
def test_a_signal_reaches_the_program_and_does_not_end_us(name: str) -> None:
    """One that is sent to us alone, as a process manager does; ours is the exit code of the program."""
    with running(sys.executable, "-c", NOTER) as (process, (child, parent)):
        assert parent == process.pid
        assert process.stdout
        os.kill(process.pid, getattr(signal, name))
        until(f"<{name}>".encode(), process.stdout.fileno())
        os.kill(child, signal.SIGUSR1)

        assert rest(process) == b""
        assert process.returncode == 5


def test_the_program_begins_with_no_signal_blocked_or_ignored() -> None:
    """As without us: what we block for ourselves would keep it from ending. Python ignores SIGPIPE; others want it."""
    script = ["sed", "-En", r"s/Sig(Blk|Ign):.//p", "/proc/self/status"]
    plain = subprocess.run(script, capture_output=True, text=True, check=True).stdout

    shown = run("--", *script, VALUE=REFERENCE).out

    # 1 to 31: what comes after them are real-time signals, and glibc's own
    ours, theirs = ([int(mask, 16) & 0x7FFFFFFF for mask in text.split()] for text in (shown, plain))
    assert ours == theirs
    assert len(ours) == 2


def on_a_terminal(*command: str) -> tuple[int, int]:
    child, terminal = pty.fork()
    if child == 0:
        os.execve(PROGRAM[0], [*PROGRAM, "run", "--", *command], dict(os.environ))
    return child, terminal


def test_the_keyboards_interrupt_reaches_the_program_once() -> None:
    """The terminal sends it to both of us; a second one would break off what the program does on the first."""
    parent, terminal = on_a_terminal(sys.executable, "-c", NOTER)
    child = int(until(b"\n", terminal).split()[1])
    os.kill(parent, signal.SIGSTOP)  # so that a second one would come late, and be seen
    os.write(terminal, b"\x03")
    got = until(b"<SIGINT>", terminal)
    os.kill(parent, signal.SIGCONT)
    os.kill(parent, signal.SIGUSR2)  # what comes after it came before that
    got += until(b"<SIGUSR2>", terminal)
    os.kill(child, signal.SIGUSR1)

    _, status = os.waitpid(parent, 0)
    os.close(terminal)

    assert got.count(b"<SIGINT>") == 1
    assert os.waitstatus_to_exitcode(status) == 5


def test_a_program_that_dies_of_the_interrupt(home: Path) -> None:
    """The exit code is 130, and the terminal is left to it alone."""
    parent, terminal = on_a_terminal("sh", "-c", "echo ready; exec sleep 30")
    until(b"ready", terminal)
    time.sleep(0.1)  # until it is sleep
    os.write(terminal, b"\x03")

    _, status = os.waitpid(parent, 0)
    os.close(terminal)

    assert os.waitstatus_to_exitcode(status) == 130


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_orphans_are_buried(tmp_path: Path) -> None:
    """The first process of a container is given all that lose their parent; left alone they would fill the process table."""
    adopts = "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
    script = "for i in 1 2 3; do (true & exec true) ; done; sleep 0.3; echo ready $$ $PPID; read x"
    process = subprocess.Popen(
        [sys.executable, "-c", adopts, *PROGRAM, "run", "--", "sh", "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ,
    )  # fmt: skip
    assert process.stdout
    until(b"ready", process.stdout.fileno())

    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.communicate(b"\n", timeout=20)

    assert len(children) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_DUMPABLE")
def test_nobody_looks_into_us() -> None:
    """While the program runs, /proc shows our memory and environment to root alone; and no argument holds a value."""
    with running("sh", "-c", "echo ready $$ $PPID; read x") as (process, (child, _)):
        owner = Path(f"/proc/{process.pid}/environ").stat().st_uid
        arguments = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (process.pid, child)]

    assert owner == 0
    assert SENTINEL.encode() not in b"".join(arguments)


def test_each_load_is_on_record_before_the_program_runs() -> None:
    """The log says who read what, also if the program is killed at once."""
    before = len([row for row in current_registry().audit(limit=1000) if row.action == "load"])

    assert run("--", "sh", "-c", "kill -KILL $PPID", VALUE=REFERENCE).code == -signal.SIGKILL

    after = [row for row in current_registry().audit(limit=1000) if row.action == "load"]
    assert len(after) == before + 1


def test_nothing_of_ours_goes_on_beside_the_program() -> None:
    """No thread that could take a signal meant for it; no connection that could hold up others."""
    assert run("--", "sh", "-c", "ls /proc/$PPID/task | wc -l", VALUE=REFERENCE).out.strip() == "1"


@pytest.mark.timeout(20)  # without, the signal that the program has ended may go to that thread, and be lost
def test_threads_are_waited_for(home: Path) -> None:
    """Such as the one that records loads."""
    thread = threading.Thread(target=time.sleep, args=[0.5])
    thread.start()

    child.run(["true"], dict(os.environ))

    assert not thread.is_alive()


def test_without_references_no_registry_is_needed(home: Path) -> None:
    """Nor is one made."""
    ended = bondstone("run", "--", "echo", "fine", environment={"HOME": str(home / "other")})

    assert ended == Ended(0, "fine\n", "")
    assert not (home / "other").exists()


LEAK = "import os, sys; print('out', os.environ['T']); print('err', os.environ['T'], file=sys.stderr); sys.exit(3)"


@pytest.mark.parametrize(
    ("options", "out", "err"),
    [((), False, True), (("--mask",), True, True), (("--no-mask",), False, False)],
    ids=["default", "mask", "no mask"],
)
def test_what_it_says_is_masked(options: tuple[str, ...], out: bool, err: bool) -> None:
    """By default in its errors, which go to logs; its output is data. The exit code stays."""
    Secret(value="a-secret-to-be-masked").save("token", overwrite=True)

    ended = bondstone("run", *options, "--", sys.executable, "-c", LEAK, environment={"T": "bondstone://secret/token"})

    shown = {True: MASK, False: "a-secret-to-be-masked"}
    assert ended.code == 3
    assert ended.out == f"out {shown[out]}\n"
    assert ended.err.splitlines()[-1] == f"err {shown[err]}"


def test_a_question_is_passed_on() -> None:
    """A piece of a line does not wait for its end; a value in two pieces of a line is masked."""
    Secret(value="a-secret-to-be-masked").save("token", overwrite=True)
    program = (
        "import os, sys, time; t = os.environ['T']; w = lambda s: (sys.stderr.write(s), sys.stderr.flush())\n"
        "w('so ' + t[:9]); w(t[9:] + ' it is? '); sys.stdin.readline(); w('thanks')"
    )
    command = [*PROGRAM, "run", "--", sys.executable, "-c", program]
    pipe = subprocess.PIPE
    environment = os.environ | {"T": "bondstone://secret/token"}

    with subprocess.Popen(command, stdin=pipe, stderr=pipe, env=environment) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        asked = os.read(process.stderr.fileno(), 100).decode()
        process.stdin.write(b"yes\n")
        process.stdin.close()
        rest = process.stderr.read().decode()

    assert asked + rest == f"so {MASK} it is? thanks"
    assert asked.endswith("it is? ")


def test_what_it_leaves_running_may_go_on_writing() -> None:
    """We do not wait for it, and it meets no broken pipe; what it says later is masked, too."""
    Secret(value="a-secret-to-be-masked").save("token", overwrite=True)
    command = [*PROGRAM, "run", "--", "sh", "-c", "(sleep 2; echo late $T >&2; echo then >&2) & echo now >&2"]
    environment = os.environ | {"T": "bondstone://secret/token"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stderr is not None
        assert process.wait(timeout=60) == 0
        said = process.stderr.read().decode()

    assert said == f"now\nlate {MASK}\nthen\n"


def test_megabytes_and_no_text() -> None:
    """Every byte that is no secret comes through."""
    Secret(value="a-secret-to-be-masked").save("token", overwrite=True)
    program = "import os, random, sys; sys.stdout.buffer.write(random.Random(1).randbytes(3_000_000))"
    command = [*PROGRAM, "run", "--mask", "--", sys.executable, "-c", program]

    done = subprocess.run(
        command, capture_output=True, env=os.environ | {"T": "bondstone://secret/token"}, timeout=60, check=True
    )

    assert done.stdout == random.Random(1).randbytes(3_000_000)
