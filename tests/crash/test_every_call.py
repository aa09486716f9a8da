"""A worker that is killed at the k-th write of a job's life, before it is committed and after, for every k."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator

import pytest

from taskmill import Result
from tests.crash.forking import KILLED, NEVER, outcome
from tests.crash.site import Site, figures

# A worker's own process, and no supervisor: nobody knows what became of it but the store. There is one for each line
# that says at which call it is to be killed, forked from a process that has imported all that it needs.
VICTIMS = """
    import itertools, os, signal, sys, traceback
    from taskmill._storage.sqlite.database import Database
    from taskmill._worker import worker
    import taskmill._storage.sqlite.storage
    import app

    moment = sys.argv[1]

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

    for line in sys.stdin:
        at, calls = int(line), itertools.count(1)
        victim = os.fork()
        if not victim:
            try:
                app.mill.worker(threads=1, burst=True).run()
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(victim, 0)[1]), flush=True)
"""
MORE_CALLS_THAN_ANY_LIFE_HAS = 60
STEPS = {"a job": 1, "a pipeline of three steps": 3}


@pytest.fixture
def victims(site: Site, moment: str) -> Iterator[subprocess.Popen[str]]:
    site.add_to_app(
        """
        @mill.task(name="step")
        def step(number, *rest):
            note("start", number)
            note("end", number)
            return number + 1
        """
    )
    with (
        (site.folder / "output").open("ab") as output,
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(VICTIMS), moment],
            cwd=site.folder,
            env=os.environ | {"STORE": site.url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        ) as process,
    ):
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("life", STEPS)
def test_nothing_is_lost_wherever_the_worker_is_killed(
    site: Site, victims: subprocess.Popen[str], life: str, moment: str
) -> None:
    kills = 0
    for call in range(1, MORE_CALLS_THAN_ANY_LIFE_HAS):
        result = enqueue(site, STEPS[life], 10 * call)
        status = outcome(victims, call)
        if status == 0:
            check(site, result, STEPS[life], 10 * call, repeated=0)
            break
        assert status == KILLED
        kills += 1
        assert outcome(victims, NEVER) == 0
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
