"""The suites that ship work for code outside this project, and find what they are there to find."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

STORE = """
import pytest
from bondstone.registry.memory import MemoryStore
from bondstone.registry.testing import StoreSuite

class MyStore(MemoryStore):
    BROKEN

class TestMyStore(StoreSuite):
    @pytest.fixture
    def store(self):
        return MyStore()
"""
HALF_ADOPTED = """
    def adopt(self, names, audit, sign):
        for name in names:
            super().adopt([name], audit, sign)
"""
PROVIDER = """
import pytest
from bondstone.registry.keys import RawKey
from bondstone.registry.testing import KeyProviderSuite

class MyProvider(RawKey):
    BROKEN

class TestMine(KeyProviderSuite):
    @pytest.fixture
    def provider(self):
        return MyProvider("mine", "a test", b"1" * 32)

    @pytest.fixture
    def other(self):
        return MyProvider("mine", "a test", b"2" * 32)
"""
NO_CONTEXT = """
    def wrap(self, keys, context):
        return super().wrap(keys, context._replace(name="", number=0))
    def unwrap(self, wrapped, context):
        return super().unwrap(wrapped, context._replace(name="", number=0))
"""


def printed_by(folder: Path, text: str, broken: str) -> str:
    """What pytest says of a test file in a folder of its own, without this project's settings."""
    (folder / "test_mine.py").write_text(text.replace("BROKEN", broken))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "test_mine.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, env=dict(os.environ))
    return done.stdout + done.stderr


@pytest.mark.parametrize("suite", [STORE, PROVIDER], ids=["store", "provider"])
def test_an_implementation_of_somebody_else_passes(tmp_path: Path, suite: str) -> None:
    """It subclasses the suite, gives the fixtures, and that is all."""
    printed = printed_by(tmp_path, suite, "pass")

    assert " passed" in printed
    assert "failed" not in printed
    assert "error" not in printed.lower()


@pytest.mark.parametrize(
    ("suite", "broken", "told"),
    [
        (STORE, HALF_ADOPTED, "test_adopting_a_name_that_is_there"),
        (PROVIDER, NO_CONTEXT, "test_another_context_is_refused"),
    ],
    ids=["store", "provider"],
)
def test_a_broken_one_is_told(tmp_path: Path, suite: str, broken: str, told: str) -> None:
    """A store that adds names one by one, and a provider that forgets what it wrapped for."""
    printed = printed_by(tmp_path, suite, broken)

    assert f"::{told}" in printed
