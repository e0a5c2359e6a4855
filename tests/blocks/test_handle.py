"""`live`: what is current, not what was current when the flow began."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import Field

from bondstone.blocks import (
    AwsCredentials,
    Block,
    Handle,
    InvalidName,
    InvalidSettings,
    NotFound,
    RegistryUnavailable,
    S3Bucket,
    Secret,
    SecretStr,
    live,
)
from bondstone.registry import current_registry
from tests.registry.processes import run


class Mine(Block):
    """A kind that only this module knows."""

    kind = "test-handle-mine"

    token: SecretStr = Field(description="It.")


class Clock:
    """Seconds that pass when they are told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def handle(clock: Callable[[], float], ttl: float | None = None) -> Handle[Secret]:
    Secret(value="first").save("a")
    return Handle(Secret, "a", current_registry(), ttl=ttl, clock=clock)


def test_a_handle_is_fresh_after_a_save() -> None:
    """In an embedded registry a save is seen at once, from this process and from another; children too."""
    AwsCredentials(profile="one").save("prod")
    S3Bucket(bucket="reports", credentials=AwsCredentials.load("prod")).save("reports")
    bucket = live(S3Bucket, "reports")
    assert bucket.get().credentials == AwsCredentials(profile="one")

    AwsCredentials(profile="two").save("prod", overwrite=True)
    assert bucket.get().credentials == AwsCredentials(profile="two")
    run('from bondstone.blocks import AwsCredentials; AwsCredentials(profile="three").save("prod", overwrite=True)')

    assert bucket.get().credentials == AwsCredentials(profile="three")


def test_a_handle_of_a_deleted_block() -> None:
    """NotFound, not the last value: somebody took it away on purpose."""
    secret = handle(Clock())
    secret.get()

    Secret.delete("a")

    with pytest.raises(NotFound):
        secret.get()
    Secret(value="back").save("a")
    assert secret.get().get() == "back"


def test_ttl_is_at_most_max_ttl() -> None:
    """60 s, or `max_ttl` if that is less; a larger or negative one is refused."""
    secret = handle(Clock())

    assert secret.ttl == 60
    assert live(Secret, "a", ttl=300).ttl == 300
    for ttl in (300.1, -1, float("inf"), float("nan")):
        with pytest.raises(InvalidSettings, match="ttl"):
            live(Secret, "a", ttl=ttl)
    current_registry().set_max_ttl(30)
    assert live(Secret, "a").ttl == 30
    with pytest.raises(InvalidSettings):
        live(Secret, "a", ttl=60)


@pytest.mark.parametrize("name", ["a@1", "a#value", "A", ""])
def test_a_handle_has_a_name(name: str) -> None:
    """A version or a field is no name: a handle is of what is current."""
    handle(Clock())

    with pytest.raises(InvalidName):
        live(Secret, name)


def test_the_last_value_serves_while_the_registry_is_away(data: Path) -> None:
    """Up to `max_ttl` after the registry last answered, then RegistryUnavailable; when it is back, what is current."""
    clock = Clock()
    secret = handle(clock)
    clock.now = 100
    secret.get()

    data.rename(data.with_name("away"))
    clock.now = 400
    assert secret.get().get() == "first"
    clock.now = 400.1
    with pytest.raises(RegistryUnavailable):
        secret.get()

    data.with_name("away").rename(data)
    Secret(value="second").save("a", overwrite=True)
    assert secret.get().get() == "second"


def test_without_a_last_value_there_is_nothing_to_serve(data: Path) -> None:
    """A handle that never got one raises at once."""
    secret = handle(Clock())
    data.rename(data.with_name("away"))

    with pytest.raises(RegistryUnavailable):
        secret.get()


ARRIVED = """
import pickle, sys
handle = pickle.loads(bytes.fromhex(sys.argv[1]))
print(handle.get().token.get_secret_value() if hasattr(handle.get(), "token") else handle.get().get(), handle.ttl)
assert pickle.loads(bytes.fromhex(sys.argv[1])) is handle
"""


def test_a_handle_travels_without_the_value() -> None:
    """Its pickle holds no value and no key; in another process it gives what is current there, one handle per process."""
    secret = handle(Clock(), ttl=30)
    secret.get()

    sent = pickle.dumps(secret)
    Secret(value="second").save("a", overwrite=True)

    assert b"first" not in sent
    assert run(ARRIVED, sent.hex()) == "second 30\n"
    assert "first" not in repr(secret)


def test_a_handle_of_a_kind_of_ones_own_travels() -> None:
    """A kind that no entry point names is found by its class's module."""
    Mine(token=SecretStr("value")).save("a")

    sent = pickle.dumps(live(Mine, "a"))

    top = str(Path(__file__).parents[2])
    assert run(f"import sys; sys.path.insert(0, {top!r})" + ARRIVED, sent.hex()) == "value 60\n".replace("60", "60.0")


def test_a_handle_refuses_another_registry(data: Path) -> None:
    """Where it arrives, a registry with another id at the same place is not the one that was meant."""
    sent = pickle.dumps(handle(Clock()))
    for file in data.parent.iterdir():
        file.unlink()
    run('from bondstone.blocks import Secret; Secret(value="another registry\'s").save("a")')

    code = f"""
import pickle
from bondstone.blocks import BondstoneError
try:
    pickle.loads(bytes.fromhex({sent.hex()!r}))
except BondstoneError as error:
    print(error.code)
"""

    assert run(code) == "registry_unavailable\n"


def test_what_a_handle_shows() -> None:
    """Class, name and ttl."""
    assert repr(handle(Clock(), ttl=5)) == "live(Secret, 'a', ttl=5)"
    assert "first" not in repr(vars(live(Secret, "a")))
