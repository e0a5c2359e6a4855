"""A handle on a registry that many machines share: asked seldom, but never too seldom."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from bondstone.blocks import Handle, RegistryUnavailable, Secret
from bondstone.registry import Registry
from bondstone.registry.keys import RawKey
from bondstone.registry.memory import MemoryStore
from tests.blocks.test_handle import Clock


class Server(MemoryStore):
    """A store as a server's is: asking it costs, so it cannot tell at each `get` whether anything changed."""

    def __init__(self) -> None:
        super().__init__()
        self.tells_changes = False
        self.asked, self.away, self.heard = 0, False, object()
        self.slow: threading.Event | None = None

    def state(self, session: Any) -> object:
        return object()

    def load(self, session: Any, kind: str, name: str) -> Any:
        self.asked += 1
        if self.slow:
            self.slow.wait(5)
        if self.away:
            raise RegistryUnavailable("the server is away")
        return super().load(session, kind, name)

    def hint(self) -> Any:
        return self.heard


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def registry(server: Server) -> Iterator[Registry]:
    made = Registry.create(server, RawKey("key", "a test", b"k" * 32), max_ttl=300)
    save(made, "first")
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def save(registry: Registry, value: str) -> None:
    content = f'{{"fields":{{"value":"{value}"}},"schema_version":1}}'
    registry.save("secret", "a", content.encode(), overwrite=True)


def handle(registry: Registry, clock: Clock, jitter: float = 0.5, ttl: float = 30) -> Handle[Secret]:
    return Handle(Secret, "a", registry, ttl=ttl, clock=clock, jitter=lambda: jitter)


@pytest.mark.parametrize(("jitter", "due"), [(0.0, 18.0), (1.0, 20.1)])
def test_it_is_asked_again_at_two_thirds_of_ttl(
    registry: Registry, server: Server, clock: Clock, jitter: float, due: float
) -> None:
    """Not before, so that a thousand tasks cost one load; each at a moment of its own; and long before `ttl`."""
    secret = handle(registry, clock, jitter)
    secret.get()
    asked = server.asked
    save(registry, "second")

    clock.now = due - 0.01
    assert [secret.get().get() for _ in range(1000)] == ["first"] * 1000
    assert server.asked == asked
    clock.now = due + 0.01
    assert secret.get().get() == "second"
    assert server.asked == asked + 1


def test_a_hint_makes_it_ask_at_once(registry: Registry, server: Server, clock: Clock) -> None:
    """Whoever listens is not stale for long."""
    secret = handle(registry, clock)
    secret.get()
    save(registry, "second")
    assert secret.get().get() == "first"

    server.heard = object()

    assert secret.get().get() == "second"


def test_the_last_value_serves_while_the_server_is_away(registry: Registry, server: Server, clock: Clock) -> None:
    """Up to `max_ttl` after it last answered; it is asked once a second meanwhile, not at every `get`; then the error."""
    secret = handle(registry, clock)
    secret.get()
    asked, server.away = server.asked, True

    clock.now = 25
    assert [secret.get().get() for _ in range(10)] == ["first"] * 10
    assert server.asked == asked + 1
    clock.now = 26.1
    assert secret.get().get() == "first"
    assert server.asked == asked + 2
    clock.now = 300
    assert secret.get().get() == "first"
    clock.now = 301.1
    with pytest.raises(RegistryUnavailable):
        secret.get()

    save(registry, "second")
    server.away = False
    assert secret.get().get() == "second"


def test_refresh_asks_whatever_the_time(registry: Registry, server: Server, clock: Clock) -> None:
    """For a client that was refused; what it is told is what `get` gives from then on."""
    secret = handle(registry, clock)
    secret.get()
    save(registry, "second")

    assert secret.refresh().get() == "second"
    assert secret.get().get() == "second"


def test_one_thread_asks(registry: Registry, server: Server, clock: Clock) -> None:
    """While it waits for a slow server, others have what is at most `ttl` old; beyond that they wait, and need not ask again."""
    secret = handle(registry, clock)
    secret.get()
    asked, server.slow = server.asked, threading.Event()
    with ThreadPoolExecutor(8) as pool:
        clock.now = 25
        first = pool.submit(secret.get)
        while server.asked == asked:
            time.sleep(0.001)
        assert [f.result(1).get() for f in [pool.submit(secret.get) for _ in range(5)]] == ["first"] * 5
        clock.now = 30
        late = [pool.submit(secret.get) for _ in range(5)]
        server.slow.set()
        assert [f.result(5).get() for f in (first, *late)] == ["first"] * 6

    assert server.asked <= asked + 2


def test_a_lowered_max_ttl_lowers_ttl(registry: Registry, clock: Clock) -> None:
    """A rotation counts on the registry's `max_ttl`; a handle learns of it when it asks."""
    secret = handle(registry, clock, ttl=30)
    secret.get()

    registry.set_max_ttl(10)
    clock.now = 21
    secret.get()

    assert (secret.ttl, secret.max_ttl) == (10, 10)


@contextmanager
def forked() -> Iterator[bool]:
    """Whether this is the child, which ends with the block; the parent waits for it and wants a 0."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            yield True
            code = 0
        finally:
            os._exit(code)
    else:
        yield False
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_while_somebody_asks(registry: Registry, server: Server, clock: Clock) -> None:
    """The child has no thread that would let go of the lock, and does not wait for one."""
    secret = handle(registry, clock)
    secret.get()
    slow = threading.Event()
    asked, server.slow = server.asked, slow
    clock.now = 31
    thread = threading.Thread(target=secret.get)
    thread.start()
    while server.asked == asked:
        time.sleep(0.001)

    with forked() as child:
        if child:
            server.slow = None
            assert secret.get().get() == "first"

    slow.set()
    thread.join()


def test_a_lease_keeps_a_version(registry: Registry, clock: Clock) -> None:
    """It names the version, ends with the block of code, and is refused where it would outlast the credential."""
    secret = handle(registry, clock)

    with secret.lease(60) as block:
        assert block.get() == "first"
        (lease,) = registry.leases.all()
        assert (lease.kind, lease.name, lease.version) == ("secret", "a", 1)
        assert 55_000_000 < lease.until - registry.shared_now() <= 60_000_000

    assert registry.leases.all() == []
    with pytest.raises(RuntimeError), secret.lease(60):
        raise RuntimeError
    assert registry.leases.all() == []


def test_a_lease_is_of_every_block_inside(home: Any) -> None:
    """The key is what is rotated, and the bucket what is leased."""
    from bondstone.blocks import AwsCredentials, S3Bucket, live
    from bondstone.registry import current_registry

    aws = AwsCredentials(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key="wJalrXUtnFEMI/EXAMPLE").save("prod")
    S3Bucket(bucket="reports", credentials=aws).save("reports")

    with live(S3Bucket, "reports").lease(60):
        leased = [(lease.kind, lease.name) for lease in current_registry().leases.all()]

    assert leased == [("aws-credentials", "prod"), ("s3-bucket", "reports")]
    assert current_registry().leases.all() == []
