"""A process that forks while it uses a mill: both sides go on, each on connections of its own."""

from __future__ import annotations

import subprocess
import sys

from taskmill._core.identity import new_job_id

PROGRAM = """
import os, sys
from taskmill import Mill

mill = Mill(sys.argv[1])
double = mill.task(name="double")(lambda number: 2 * number)
before = double.enqueue(1)
with mill.worker():
    assert before.get(timeout=30) == 2
waiting = double.enqueue(2)
forget = mill.app.storage.wake.on_end(waiting.id, lambda: None)
child = os.fork()
if not child:
    double.enqueue(3)
    with mill.worker(burst=True):
        pass
    assert waiting.get(timeout=30) == 4
    os._exit(0)
assert waiting.get(timeout=30) == 4
assert os.waitpid(child, 0)[1] == 0
forget()
states = [str(job.state) for job in mill.app.storage.inspection.find()]
assert states == ["succeeded"] * 3, states
mill.close()
print("well")
"""


def test_parent_and_child_go_on(redis_url: str) -> None:
    command = [sys.executable, "-c", PROGRAM, f"{redis_url}?name={new_job_id()}"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)

    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr
