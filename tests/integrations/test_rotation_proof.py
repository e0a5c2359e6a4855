"""The short form of ``make bench-rotation``: real processes at a real server, while the key is rotated and the old one deleted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.integrations import database_proof
from tests.integrations.rotation_proof import Outcome, prove


@pytest.mark.parametrize(
    ("engine", "seconds"),
    [
        ("plain", 8.0),
        pytest.param("dask", 24.0, marks=pytest.mark.slow),
        pytest.param("prefect", 24.0, marks=pytest.mark.slow),
    ],
)
def test_a_rotation_fails_nobody(home: Path, tmp_path: Path, engine: str, seconds: float) -> None:
    """Every operation by name succeeds, nothing is lost or doubled, nobody is staler than `max_ttl`; with static keys they fail."""
    outcome = prove(tmp_path, engine, workers=4, seconds=seconds, rotations=2, max_ttl=1, grace=2)

    assert (outcome.failures, outcome.lost, outcome.doubled) == ({}, 0, 0)
    assert outcome.operations >= 8
    assert outcome.rotations == 2
    assert max(outcome.staleness, default=0) < 1
    assert outcome.credentials_left == 1
    assert set(outcome.static_failures) <= {"ClientError", "StorageError"}
    assert outcome.static_failures
    assert outcome.kept


def test_a_rotation_fails_no_query(home: Path, tmp_path: Path) -> None:
    """Twelve flows that connect anew for every query: no failure, nor one refusal at the server; with a static password there are."""
    outcome = database_proof.prove(tmp_path, flows=12, seconds=8.0, rotations=2, max_ttl=1, grace=2)

    assert (outcome.failures, outcome.refusals, outcome.lost, outcome.doubled) == ({}, 0, 0, 0)
    assert outcome.operations >= 12
    assert outcome.rotations == 2
    assert max(outcome.staleness, default=0) < 1
    assert outcome.credentials_left == 1
    assert set(outcome.static_failures) == {"OperationalError"}
    assert outcome.static_refusals == sum(outcome.static_failures.values())
    assert outcome.kept


@pytest.mark.parametrize(
    "broken",
    [
        {"failures": {"ClientError": 1}},
        {"lost": 1},
        {"doubled": 1},
        {"refusals": 1},
        {"staleness": [0.1, 3.1]},
        {"credentials_left": 2},
        {"rotations": 0},
        {"operations": 0},
        {"static_failures": {}},
    ],
    ids=str,
)
def test_one_broken_promise_is_enough(broken: dict[str, Any]) -> None:
    """Then the command exits with 1. Without rotations, operations, or twins that failed nothing is proved."""
    kept = Outcome(8, 99, {}, 0, 0, 6, 3, [0.1, 2.9], 9, {"ClientError": 9}, 1, refusals=0, static_refusals=9)

    assert kept.kept
    assert not replace(kept, **broken).kept
