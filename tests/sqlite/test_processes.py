"""Several processes on one file, all at once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.sqlite.children import Spawn

PRODUCER = """
heard()
s = store(durability='normal')
for batch in range(250):
    s.jobs.add([a_job(f'{sys.argv[2]}-{batch}-{number}') for number in range(20)])
say('done')
"""

# Claims as a worker does, settling with the next claim, until all that will come has ended.
CLAIMER = """
from taskmill._core.lifecycle import Settlement
heard()
s = store(durability='normal')
worker, mine, ended, stale = Worker(s), [], [], 0
while True:
    turn = worker.turn(*ended, thread=64)
    stale += len(turn.stale)
    ended = [Settlement(job, succeeded(), None) for job in turn.claimed]
    mine += [job.job_id for job in turn.claimed]
    if not ended and sum(count.states.get('succeeded', 0) for count in s.inspection.queues()) == 10_000:
        break
say(stale, *mine)
"""


def test_ten_thousand_jobs_of_two_producers_are_each_claimed_once_by_two_claimers(
    spawn: Spawn, path: Path
) -> None:
    producers = [spawn(PRODUCER, name) for name in "ab"]
    claimers = [spawn(CLAIMER) for _ in range(2)]
    for child in (*producers, *claimers):
        child.tell()

    assert [producer.end() for producer in producers] == ["done", "done"]
    said = [claimer.end().split() for claimer in claimers]

    claimed = [job_id for _, *mine in said for job_id in mine]
    assert [stale for stale, *_ in said] == ["0", "0"]
    assert sorted(claimed) == sorted(
        f"{name}-{batch}-{number}" for name in "ab" for batch in range(250) for number in range(20)
    )
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select distinct state, attempt, fence from taskmill_job").fetchall() == [
            ("succeeded", 1, 1)
        ]
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
