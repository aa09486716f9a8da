"""A worker that is killed at the k-th write of a job's life, before it is committed and after, for every k."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from taskmill import Result
from tests.crash.site import SOON, Site, figures

# The worker's own process, and no supervisor: nobody knows what became of it but the store.
VICTIM = """
    import itertools, os, signal, sys
    from taskmill._storage.sqlite.database import Database
    import app

    at, moment = int(sys.argv[1]), sys.argv[2]
    calls = itertools.count(1)

    def cut(write, is_single):
        def killed(self, work):
            is_last = next(calls) == at
            def work_and_die(connection):
                if is_single:
                    connection.execute("begin immediate")
                work(connection)
                os.kill(os.getpid(), signal.SIGKILL)
            answer = write(self, work_and_die if is_last and moment == "before" else work)
            if is_last:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer
        return killed

    Database.write = cut(Database.write, False)
    Database.write_one = cut(Database.write_one, True)
    app.mill.worker(threads=1, burst=True).run()
"""
MORE_CALLS_THAN_ANY_LIFE_HAS = 60
STEPS = {"a job": 1, "a pipeline of three steps": 3}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("life", STEPS)
def test_nothing_is_lost_wherever_the_worker_is_killed(site: Site, life: str, moment: str) -> None:
    site.add_to_app(
        """
        @mill.task(name="step")
        def step(number, *rest):
            note("start", number)
            note("end", number)
            return number + 1
        """
    )
    kills = 0
    for call in range(1, MORE_CALLS_THAN_ANY_LIFE_HAS):
        result = enqueue(site, STEPS[life], 10 * call)
        status = site.script(VICTIM, str(call), moment).wait(SOON)
        if status == 0:
            check(site, result, STEPS[life], 10 * call, repeated=0)
            break
        assert status == -signal.SIGKILL
        kills += 1
        assert site.script(VICTIM, "0", moment).wait(SOON) == 0
        check(site, result, STEPS[life], 10 * call, repeated=1)

    figures.info(f"{life}: killed at each of its {kills} writes, {moment} the commit; lost 0")
    # The session begins, the first claim, the end of each step with the claim of the next, the session ends.
    assert kills >= 3 + STEPS[life]
    assert "database is locked" not in site.output()


def enqueue(site: Site, steps: int, first: int) -> Result[int]:
    step = site.mill.task(name="step")(lambda number: number)
    pipeline = step.s(first)
    for _ in range(steps - 1):
        pipeline |= step.s()
    return pipeline.enqueue()


def check(site: Site, result: Result[int], steps: int, first: int, *, repeated: int) -> None:
    assert result.get(timeout=0) == first + steps
    starts = Counter(note.number for note in site.notes("start") if first <= note.number < first + 10)
    assert set(starts) == set(range(first, first + steps))
    assert starts.total() <= steps + repeated
    assert site.sessions() == set()
    assert site.violations() == []
