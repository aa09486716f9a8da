"""Some seeds of the simulator: fresh ones are tried by ``python3 dev.py simulate``, see docs/simulation.md."""

from __future__ import annotations

import os

import pytest

from simulation.crew import Crew
from simulation.run import STEPS, Verdict, simulate
from simulation.stores.places import SQLITE
from taskmill._storage.sqlite.turn import Round

SEEDS = range(1, 61)
# Those that failed and are fast to try; what they showed has a test of its own too, since a seed means something
# else once the simulator has changed.
FAILED_ONCE: tuple[int, ...] = ()


@pytest.mark.timeout(400)
def test_all_promises_are_kept_in_all_seeds() -> None:
    with Crew([SQLITE] * (os.cpu_count() or 1)) as crew:
        verdicts = list(crew.judge([*SEEDS, *FAILED_ONCE], STEPS))

    assert [str(verdict) for verdict in verdicts if verdict.violation] == []
    assert all(verdict.turns > STEPS for verdict in verdicts)


def test_a_seed_is_the_same_whenever_it_is_run() -> None:
    first, second = told(3), told(3)

    assert len(first) > 100
    assert first == second


def test_what_goes_wrong_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Round, "_free_lock", lambda *_: None)

    verdicts = [simulate(seed) for seed in range(1, 6)]

    assert any("belongs to a job that does not run" in (verdict.violation or "") for verdict in verdicts)


def test_a_verdict_names_the_seed() -> None:
    assert str(Verdict(7, "j1 ran twice", 99)) == "seed 7, turn 99: j1 ran twice"


def told(seed: int) -> list[str]:
    """All that happens."""
    lines: list[str] = []
    simulate(seed, steps=300, tell=lines.append)
    return lines
