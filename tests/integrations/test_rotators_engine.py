"""The engine and the rotator of AWS keys together: stopped at every point that the engine passes, and run again."""

from collections.abc import Callable

import pytest

from bondstone.blocks import AwsCredentials, rotation
from tests.integrations.test_rotators_aws import Iam, vendor

__all__ = ["vendor"]  # a fixture


POINTS = [
    *("locked", "started", "create", "created", "pending", "installed", "set", "proved", "verified", "current"),
    *("retiring", "disabling", "refused", "disabled", "removed", "retired"),
]


class Killed(BaseException):
    """Stands for the end of the process."""


def rotate(vendor: Iam, at: Callable[[str], None]) -> None:
    """To the end: the old key is removed at once, whoever uses it."""
    name = str(vendor.block.reference)
    if rotation.rotate(name, compromised=True, at=at).step == "current":
        rotation.finish(name, at_once=True, at=at)


def test_these_are_the_points(vendor: Iam) -> None:
    """So that none is left out below."""
    points: list[str] = []

    rotate(vendor, points.append)

    assert points == POINTS


@pytest.mark.parametrize("point", POINTS)
def test_stopped_and_run_again(vendor: Iam, point: str) -> None:
    """There is one key, the block's, and it is good."""

    def stop(passed: str) -> None:
        if passed == point:
            raise Killed

    with pytest.raises(Killed):
        rotate(vendor, stop)
    rotate(vendor, lambda _: None)

    current = AwsCredentials.load(vendor.block.reference.name if vendor.block.reference else "")
    assert vendor.ids() == {vendor.id_of(current)}
    assert vendor.usable(current)
