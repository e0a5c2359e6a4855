"""A call to a vendor, bounded in time, whose errors are ours."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread

from bondstone.blocks import BondstoneError, ServiceUnavailable
from bondstone.blocks.errors import bare


def within[T](seconds: float, what: str, call: Callable[[], T], fault: Callable[[Exception], BondstoneError]) -> T:
    """What `call` gives. Raises what `fault` makes of its error, and `ServiceUnavailable` after `seconds`.

    What is raised holds no frame of the vendor's, whose locals may be secret. A call that is late goes on in a thread of its own, which
    does not keep the process alive.
    """
    answers: SimpleQueue[tuple[T, None] | tuple[None, BondstoneError]] = SimpleQueue()

    def run() -> None:
        try:
            answers.put((call(), None))
        except BondstoneError as error:
            answers.put((None, error))
        except Exception as error:  # noqa: BLE001 -- whatever a vendor's library raises
            answers.put((None, fault(error)))

    Thread(target=run, daemon=True).start()
    try:
        value, error = answers.get(timeout=seconds)
    except Empty:
        value, error = None, ServiceUnavailable(f"{what} did not answer within {seconds:g} s: try again later")
    if error is not None:
        raise bare(error)
    return value  # type: ignore[return-value]  # there is no error, so it is a T
