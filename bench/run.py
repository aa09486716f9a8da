"""Measure taskmill beside Huey on SQLite, in one run, round by round; prints medians and ratios as Markdown.

The machine's speed drifts, so the subjects take turns and only ratios within one run mean anything.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
SUBJECTS = ("taskmill", "huey", "huey-nofsync")
FIGURES = {
    "enqueue": ("enqueue, one thread, jobs/s", 1),
    "drain": ("drain of no-op jobs, one worker of 4 threads, results on, jobs/s", 1),
    "start": ("enqueue to start in another process, p50 ms", -1),
    "result": ("enqueue to result in the caller, worker in another process, p50 ms", -1),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=3, help="how often each subject has its turn (default: 3)"
    )
    parser.add_argument("--jobs", type=int, default=5000, help="jobs to enqueue and drain (default: 5000)")
    parser.add_argument("--samples", type=int, default=100, help="latency samples a round (default: 100)")
    options = parser.parse_args()
    rounds: dict[tuple[str, str], list[float]] = {}
    for turn in range(options.rounds):
        for subject in SUBJECTS:
            print(f"round {turn + 1} of {options.rounds}: {subject}", file=sys.stderr, flush=True)
            for figure, value in measure(subject, options.jobs, options.samples).items():
                rounds.setdefault((subject, figure), []).append(value)
    report({key: statistics.median(values) for key, values in rounds.items()}, options)
    return 0


def measure(subject: str, jobs: int, samples: int) -> dict[str, float]:
    """One turn of one subject, in a process and a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HERE / "subject.py"), subject, folder, str(jobs), str(samples)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return {name: float(value) for name, value in json.loads(done.stdout).items()}


def sync_time() -> float:
    """What a durable write of 4 KiB costs on this disk, in milliseconds (median of 200)."""
    with tempfile.TemporaryDirectory() as folder:
        descriptor = os.open(Path(folder) / "sync", os.O_WRONLY | os.O_CREAT)
        times = [_timed_write(descriptor) for _ in range(200)]
        os.close(descriptor)
    return statistics.median(times) * 1000


def _timed_write(descriptor: int) -> float:
    begun = time.perf_counter()
    os.pwrite(descriptor, b"x" * 4096, 0)
    os.fdatasync(descriptor)
    return time.perf_counter() - begun


def report(medians: dict[tuple[str, str], float], options: argparse.Namespace) -> None:
    print(
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores, a durable 4 KiB "
        f"write takes {sync_time():.2f} ms; medians of {options.rounds} rounds, {options.jobs:,} jobs.\n"
    )
    print("| figure | taskmill | Huey | times | Huey, fsync off | times |\n|---|---|---|---|---|---|")
    for figure, (title, direction) in FIGURES.items():
        ours, huey, unsafe = (medians[subject, figure] for subject in SUBJECTS)
        cells = [_number(ours), _number(huey), _times(ours, huey, direction), _number(unsafe)]
        print(f"| {title} | {' | '.join(cells)} | {_times(ours, unsafe, direction)} |")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _times(ours: float, theirs: float, direction: int) -> str:
    return f"{ours / theirs if direction > 0 else theirs / ours:.1f}"


if __name__ == "__main__":
    sys.exit(main())
