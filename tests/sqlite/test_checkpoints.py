"""The guard of the checkpoints: many processes that fold the log in all the time do not damage the database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.site import figures
from tests.sqlite.children import Spawn

WRITERS = 8
# Enqueues, claims and settles, and folds the log in every few commits.
WRITER = """
from taskmill._storage.sqlite import checkpoint
checkpoint.LOG_LIMIT, checkpoint._STEP = 40_000, 4_000
made, fold = [], checkpoint._checkpoint
checkpoint._checkpoint = lambda *those: (fold(*those), made.append(None))
s = store(durability='normal', timeout=60)
worker, settled = Worker(s), 0
for number in range(int(sys.argv[3])):
    s.jobs.add([a_job(f'{sys.argv[2]}-{number}', args='x' * 3_000)])
    for job in worker.claim(1) if number % 2 else ():
        settled += not worker.settle(job, succeeded()).stale
s.sessions.end(worker.session)
say(settled, len(made))
s.close()
"""


@pytest.fixture
def rounds(long: bool) -> int:
    return 1_000 if long else 60


def test_eight_processes_that_fold_it_in_all_the_time_damage_nothing(
    spawn: Spawn, path: Path, rounds: int
) -> None:
    writers = [spawn(WRITER, str(number), str(rounds)) for number in range(WRITERS)]

    said = [[int(count) for count in writer.end(timeout=900).split()] for writer in writers]

    settled, checkpoints = (sum(counts) for counts in zip(*said, strict=True))
    figures.info("%d writers, %d rounds each: %d checkpoints", WRITERS, rounds, checkpoints)
    assert checkpoints > WRITERS
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        states = dict(connection.execute("select state, count(*) from taskmill_job group by 1").fetchall())
    assert states["succeeded"] == settled
    assert sum(states.values()) == WRITERS * rounds
