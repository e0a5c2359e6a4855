"""A server at the other end of a long line: a TCP proxy that passes all on after a while, without holding up what comes behind it.

``python -m benchmarks.far_away HOST PORT SECONDS`` prints its own port, and serves. SECONDS is the round trip.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress


def far_away(host: str, port: int, seconds: float) -> Callable[..., Awaitable[None]]:
    """What is done with each connection."""

    async def connected(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, forth = await asyncio.open_connection(host, port)
        with suppress(OSError):
            await asyncio.gather(_pass_on(near, forth, seconds / 2), _pass_on(far, back, seconds / 2))

    return connected


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter, seconds: float) -> None:
    async with _line(sink, seconds) as put:
        while data := await source.read(2**18):
            put(data)


@asynccontextmanager
async def _line(sink: asyncio.StreamWriter, seconds: float) -> AsyncIterator[Callable[[bytes], None]]:
    """What is put in comes out `seconds` later, in the same order; in the end it is waited for."""
    clock, under_way = asyncio.get_running_loop(), asyncio.Queue[tuple[float, bytes]]()

    async def deliver() -> None:
        while (due_data := await under_way.get())[1]:
            await asyncio.sleep(due_data[0] - clock.time())
            sink.write(due_data[1])
            await sink.drain()
        sink.close()

    delivering = asyncio.create_task(deliver())
    try:
        yield lambda data: under_way.put_nowait((clock.time() + seconds, data))
    finally:
        under_way.put_nowait((clock.time(), b""))
        await delivering


async def main() -> None:
    host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    server = await asyncio.start_server(far_away(host, port, seconds), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
