"""Some seeds of the simulator over the servers; `--long`: as many, and as long, as over SQLite."""

from __future__ import annotations

import psycopg
import pytest

from simulation.run import STEPS, simulate
from taskmill._storage.open import open_storage

SEEDS, ALL_SEEDS = range(1, 6), range(1, 61)
FEWER_STEPS = 300


@pytest.mark.timeout(1_200)
def test_all_promises_are_kept_over_postgresql(postgres_url: str, *, long: bool) -> None:
    seeds, steps = (ALL_SEEDS, STEPS) if long else (SEEDS, FEWER_STEPS)

    verdicts = [simulate(seed, steps=steps, place=postgres_url) for seed in seeds]

    assert [str(verdict) for verdict in verdicts if verdict.violation] == []
    assert all(verdict.turns > steps for verdict in verdicts)


def test_a_seed_is_the_same_whenever_it_is_run_over_postgresql(postgres_url: str) -> None:
    first, second = told(3, postgres_url), told(3, postgres_url)

    assert len(first) > 50
    assert first == second


def test_what_goes_wrong_on_the_server_is_noticed(postgres_url: str) -> None:
    store = open_storage(postgres_url)
    store.version()
    store.close()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        [sound] = connection.execute(SOURCE).fetchone() or [""]
        try:
            connection.execute(sound.replace("fence = fence + 1, ", "").encode())
            verdicts = [simulate(seed, steps=FEWER_STEPS, place=postgres_url) for seed in range(1, 4)]
        finally:
            connection.execute(sound.encode())

    assert any("its fence went from" in (verdict.violation or "") for verdict in verdicts)


SOURCE = "select pg_get_functiondef('taskmill.v1_claim_across'::regproc)"


def told(seed: int, place: str) -> list[str]:
    """All that happens."""
    lines: list[str] = []
    simulate(seed, steps=200, place=place, tell=lines.append)
    return lines
