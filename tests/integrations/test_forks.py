"""Forked processes: told where they would wait for ever for their parent's threads, and served where they need not."""

from pathlib import Path

import pytest

from tests.integrations.conftest import elsewhere, save

PROGRAM = """
import os, signal, warnings
import numpy, xarray
from bondstone.integrations.icechunk import IcechunkCommit, IcechunkPreview, connect
from bondstone.integrations.icechunk.log import log
warnings.simplefilter("ignore")
data = xarray.Dataset({{"sst": ("x", numpy.ones(3))}})
{before}
if (child := os.fork()) == 0:
    signal.alarm(20)
    try:
        {after}
        print("done", flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
COMMIT = "IcechunkCommit('local')(data, message='m')"
REFUSED = (
    "ServiceUnavailable this process was forked from one that had imported icechunk already, and would wait for ever: "
    "start workers by 'spawn' or 'forkserver', or fork before icechunk is imported\n0"
)


@pytest.fixture(autouse=True)
def local(home: Path) -> None:
    """A repository in a local folder."""
    save("icechunk-repo/local", path=str(home.parent / "ocean.icechunk"))


class TestIcechunk:
    """Its threads begin with its import."""

    @pytest.mark.parametrize("before", ["import icechunk", COMMIT], ids=["imported", "used"])
    def test_a_fork_is_told(self, before: str) -> None:
        """Also where nobody has used it yet; a commit, and what only reads."""
        assert elsewhere(PROGRAM.format(before=before, after=COMMIT)) == REFUSED

    @pytest.mark.parametrize("after", ["connect('local')", "log('local')", "IcechunkPreview('local')(data)"])
    def test_whatever_it_asks_for(self, after: str) -> None:
        """Opening a repository waits as well as a commit."""
        assert elsewhere(PROGRAM.format(before=COMMIT, after=after)) == REFUSED

    def test_a_fork_before_the_import(self) -> None:
        """Commits; tasks that were imported, made and sent do no harm."""
        assert elsewhere(PROGRAM.format(before="task = IcechunkCommit('local')", after=COMMIT)) == "done\n0"

    def test_a_fork_of_that_fork(self) -> None:
        """Is told, for the threads are its parent's."""
        inner = f"{COMMIT}; child = os.fork(); child and print(os.waitpid(child, 0)[1]); signal.alarm(20); {COMMIT}"

        told = elsewhere(PROGRAM.format(before="pass", after=inner))

        assert told.splitlines() == [REFUSED.splitlines()[0], "0", "done", "0"]


class TestObstore:
    """Its threads begin with its first use."""

    def test_a_fork_before_the_first_use(self, home: Path) -> None:
        """Needs nothing of its parent's, which has imported it and made tasks."""
        save("s3-bucket/reports", bucket="reports", anonymous=True)
        before = "import obstore.store; from bondstone.integrations import s3; task = s3.S3Upload('reports')"

        assert elsewhere(PROGRAM.format(before=before, after="s3.connect('reports')")) == "done\n0"
