"""A worker process of any subject: ``python -m bench.worker SUBJECT FOLDER MODE NUMBER``.

- ``drain JOBS``: run all jobs, which are so many, until their results are stored, and print how fast that was.
- ``count JOBS``: the same for the first so many of more, until the last of them starts.
- ``report DESCRIPTOR``: write a line there at each start of a job, with how many seconds late that is.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.subjects import SUBJECTS
from bench.subjects.base import Adapter
from bench.tally import Tally


def drain(subject: str, folder: Path, goal: int) -> None:
    tally = Tally(goal)
    adapter = SUBJECTS[subject].open(folder, tally)

    def finish() -> None:
        adapter.await_results()
        tally.end()

    _serve(adapter, tally, finish)


def count(subject: str, folder: Path, goal: int) -> None:
    tally = Tally(goal)
    _serve(SUBJECTS[subject].open(folder, tally), tally, lambda: None)


def _serve(adapter: Adapter, tally: Tally, finish: Callable[[], None]) -> None:
    def tell() -> None:
        tally.is_complete.wait()
        finish()
        # Not by print: Celery lets what is printed go to its log.
        os.write(1, f"{json.dumps(tally.numbers())}\n".encode())
        os._exit(0)

    threading.Thread(target=tell).start()
    adapter.serve()


def report(subject: str, folder: Path, descriptor: int) -> None:
    def work(sent: float) -> float:
        os.write(descriptor, b"%.9f\n" % (time.time() - sent))
        return sent

    SUBJECTS[subject].open(folder, work).serve()


def main() -> None:
    subject, folder, mode, number = sys.argv[1:]
    {"drain": drain, "count": count, "report": report}[mode](subject, Path(folder), int(number))


if __name__ == "__main__":
    main()
