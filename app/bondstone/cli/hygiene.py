"""What keeps the secrets of this process from others of the same user. Takes 2 ms."""

import sys

_PR_SET_DUMPABLE = 4


def harden() -> None:
    """No core dump; on Linux no debugger and no look into /proc/PID/mem or environ either, except for root."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
