"""A thread that nothing can stop goes with its process; its job and its lock wait until that is gone."""

from __future__ import annotations

from typing import Any

import pytest

from taskmill._core.job import Reason, State
from tests.crash.site import Site, _elsewhere

MORE = """
import hashlib

def sleep_in_c():
    time.sleep(1000)

def hash_in_c():
    hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 2**31 - 1)

@mill.task(name="hangs", lock="serial", timeout=0.3, retries=1, retry_delay=60)
def hangs(number, how):
    note("start", number)
    globals()[how]()

@mill.task(name="follows", lock="serial")
def follows(number, pid_of):
    pids = [line.split()[1] for line in open("notes") if line.split()[2:4] == ["start", str(pid_of)]]
    note("start", number, *[os.path.exists(f"/proc/{pid}") for pid in pids])
"""


@pytest.fixture
def hangs(site: Site) -> Any:
    site.add_to_app(MORE)
    return site.mill.task(name="hangs", lock="serial", retries=1, retry_delay=60)(_elsewhere)


@pytest.mark.parametrize("how", ["sleep_in_c", "hash_in_c"])
def test_its_process_is_replaced_its_neighbours_finish_and_then_its_lock_is_free(
    site: Site, hangs: Any, how: str
) -> None:
    follows = site.mill.task(name="follows", lock="serial")(_elsewhere)
    neighbour = site["wait"].enqueue(3)
    result = hangs.enqueue(1, how)
    site.worker("--threads", "2")
    pids = {note.number: note.pid for note in site.wait_for_starts(2)}
    next_one = follows.enqueue(2, 1)
    behind = site["work"].enqueue(4)

    # A second one has taken over while the first still lives: it finishes what it can.
    site.wait(lambda: site.notes("end"), "another process works")
    assert [(note.number, note.pid == pids[3]) for note in site.notes("end")] == [(4, False)]
    assert (result.state, neighbour.state, next_one.state) == (State.RUNNING, State.RUNNING, State.QUEUED)
    (site.folder / f"go-{pids[3]}").touch()

    site.wait(lambda: next_one.state is State.SUCCEEDED, "the lock is free")
    [start] = [note for note in site.notes("start") if note.number == 2]
    assert (start.pid != pids[1], start.more) == (True, "False")
    assert (neighbour.state, neighbour.job().attempt, behind.state) == (State.SUCCEEDED, 1, State.SUCCEEDED)
    [attempt] = result.job().attempts
    assert (result.state, attempt.outcome, attempt.number) == (State.QUEUED, "retrying", 1)
    assert attempt.error is not None
    assert attempt.error.message == "ran longer than its timeout of 0.3 s"
    assert result.job().reason in {None, Reason.TIMEOUT}
    assert result.job().crashes == 0
    told = f"WARNING taskmill.worker: hangs {result.id} (attempt 1 of 2) retrying: {attempt.error}\n"
    site.wait(lambda: told in site.output(), "the log has it")
