"""Many objects at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

MOST = 16  # objects in flight


def in_flight[T, R](work: Callable[[T], R], items: Sequence[T], most: int = MOST) -> list[R]:
    """What `work` gives for each item, in their order. The first error ends all: none is begun after it, and it is raised.

    Threads, since obstore lets go of the interpreter while it waits: as fast as its own event loop (benchmarks/s3.py), and callable from
    inside of one. Each takes the next item by itself: a future for each would cost as much as a small upload.
    """
    results: list[Any] = [None] * len(items)
    todo = iter(enumerate(items))

    def take() -> None:
        try:
            for index, item in todo:
                results[index] = work(item)
        except BaseException:
            _drain(todo)
            raise

    with ThreadPoolExecutor(max(1, min(most, len(items))), "bondstone-s3") as pool:
        takers = [pool.submit(take) for _ in range(min(most, len(items)))]
        try:
            for taker in takers:
                taker.result()
        except BaseException:  # KeyboardInterrupt too
            _drain(todo)
            raise
    return results


def apart(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks, each taken in another thread, one ahead.

    Obstore asks for the chunks of an upload while it drives its own event loop, where nothing that uses obstore itself may run.
    """
    with ThreadPoolExecutor(1, "bondstone-s3-read") as pool:
        following = pool.submit(next, chunks, None)
        while (chunk := following.result()) is not None:
            following = pool.submit(next, chunks, None)
            yield chunk


def _drain(items: Iterable[object]) -> None:
    deque(items, maxlen=0)
