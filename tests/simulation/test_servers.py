"""Some seeds of the simulator over the servers; `--long`: as many, and as long, as over SQLite."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from simulation.run import STEPS, simulate
from taskmill._storage.open import open_storage
from taskmill._storage.redis import scripts

SEEDS, ALL_SEEDS = range(1, 4), range(1, 61)
FEWER_STEPS = 300


@pytest.fixture(params=["postgres", "redis"])
def place(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.mark.timeout(1_200)
def test_all_promises_are_kept(place: str, *, long: bool) -> None:
    seeds, steps = (ALL_SEEDS, STEPS) if long else (SEEDS, FEWER_STEPS)

    verdicts = [simulate(seed, steps=steps, place=place) for seed in seeds]

    assert [str(verdict) for verdict in verdicts if verdict.violation] == []
    assert all(verdict.turns > steps for verdict in verdicts)


def test_a_seed_is_the_same_whenever_it_is_run(place: str) -> None:
    first, second = told(1, place), told(1, place)

    assert len(first) > 40
    assert first == second


@pytest.fixture
def unfenced_postgres(postgres_url: str) -> Iterator[str]:
    """One that counts no claims."""
    store = open_storage(postgres_url)
    store.version()
    store.close()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        [sound] = connection.execute(SOURCE).fetchone() or [""]
        connection.execute(sound.replace("fence = fence + 1, ", "").encode())
        yield postgres_url
        connection.execute(sound.encode())


SOURCE = "select pg_get_functiondef('taskmill.v1_claim'::regproc)"


def test_what_goes_wrong_in_postgresql_is_noticed(unfenced_postgres: str) -> None:
    verdicts = [simulate(seed, steps=FEWER_STEPS, place=unfenced_postgres) for seed in range(1, 4)]

    assert any("its fence went from" in (verdict.violation or "") for verdict in verdicts)


def test_what_goes_wrong_in_redis_is_noticed(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = scripts.script

    def unfenced(name: str) -> scripts.Script:
        sound = find(name)
        # The fence is the twelfth column.
        text = sound.text.replace("row[12] + 1", "row[12]").replace("'>I4', fence + 1", "'>I4', fence")
        return sound._replace(text=text)

    monkeypatch.setattr(scripts, "script", unfenced)

    verdicts = [simulate(seed, steps=FEWER_STEPS, place=redis_url) for seed in range(1, 4)]

    assert any("its fence went from" in (verdict.violation or "") for verdict in verdicts)


def told(seed: int, place: str) -> list[str]:
    """All that happens."""
    lines: list[str] = []
    simulate(seed, steps=FEWER_STEPS, place=place, tell=lines.append)
    return lines
