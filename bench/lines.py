"""Which lines of taskmill a drained job costs the most in: a sampling profile of a worker process."""

from __future__ import annotations

import linecache
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import taskmill
from bench.jobs import Jobs
from bench.report import markdown

JOBS = 500_000
RATE = 100
"""Samples a second. With more, the sampler takes the core from the worker, and threads that wait count as busy."""
SHOWN = 10
LONGEST = 70
PACKAGE = Path(taskmill.__file__).parent

_FRAME = re.compile(r"\((?P<file>[^()]+):(?P<line>\d+)\)")


def profile(scale: float) -> str:
    """The table of the lines where a drain spends most, each with all that it calls outside of taskmill."""
    jobs = round(JOBS * scale)
    with tempfile.TemporaryDirectory(prefix="taskmill-bench-") as folder:
        url, output = f"sqlite:///{folder}/taskmill.db", Path(folder) / "samples"
        _fill(url, jobs)
        _record(url, output)
        costs = _costs(output.read_text(encoding="utf-8").splitlines())
    total = costs.total()
    head = (
        f"{total:,} samples of a worker process of 4 threads that drains {jobs:,} no-op jobs, "
        f"{total / RATE / jobs * 1e6:.1f} us a job."
    )
    return "\n".join([head, "", *markdown(["us a job", "share", "line", "code"], _rows(costs, jobs))])


def _fill(url: str, jobs: int) -> None:
    tasks = Jobs(url)
    with closing(tasks.mill):
        for _ in range(0, jobs, 1_000):
            tasks.mill.enqueue_many(tasks.nothing.s() for _ in range(1_000))


def _record(url: str, output: Path) -> None:
    py_spy = Path(sys.executable).with_name("py-spy")
    worker = [sys.executable, "-m", "taskmill", "worker", "bench.jobs:make_mill()", "--burst"]
    # The child of the worker runs the jobs. To stop it for each sample would wake its resting threads.
    options = [
        "--subprocesses",
        "--nonblocking",
        "--format",
        "raw",
        "--rate",
        str(RATE),
        "--output",
        str(output),
    ]
    done = subprocess.run(
        [py_spy, "record", *options, "--", *worker],
        env=os.environ | {"TASKMILL_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    if not output.exists():
        raise SystemExit(f"bench: py-spy could not watch the worker:\n{done.stdout}{done.stderr}")


def _costs(stacks: Iterable[str]) -> Counter[tuple[str, int]]:
    """Samples by the innermost line of taskmill; each stack is a line, its outermost frame first, then a count."""
    costs: Counter[tuple[str, int]] = Counter()
    for stack in stacks:
        frames, _, count = stack.rpartition(" ")
        ours = [found for found in _FRAME.finditer(frames) if "taskmill/" in found["file"]]
        if ours:
            costs[ours[-1]["file"], int(ours[-1]["line"])] += int(count)
    return costs


def _rows(costs: Counter[tuple[str, int]], jobs: int) -> Iterator[list[str]]:
    total = costs.total()
    for (file, line), count in costs.most_common(SHOWN):
        place = file.rpartition("taskmill/")[2]
        code = linecache.getline(str(PACKAGE / place), line).strip()[:LONGEST].replace("|", "\\|")
        yield [f"{count / RATE / jobs * 1e6:.2f}", f"{count / total:.0%}", f"`{place}:{line}`", f"`{code}`"]
