"""What a session remembers between loads."""

from typing import Any

_MOST = 1024


class Memo:
    """What was read through one session, and the state of the store when it was, or before."""

    def __init__(self) -> None:
        self.memo: dict[tuple[str, str], Any] = {}
        self.epoch = object()  # what `state` gave last

    def remember(self, key: tuple[str, str], value: Any) -> None:
        if len(self.memo) >= _MOST:
            self.memo.clear()
        self.memo[key] = value
