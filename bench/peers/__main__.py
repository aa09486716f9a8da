"""Measure other libraries as Huey is: drain, enqueue, start, result. Prints medians as a Markdown table.

Each is installed into an environment of its own below .venv-peers; one that cannot be measured says so in its row.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench import page, servers
from bench.figure import Measurement
from bench.peers.subjects import PEERS, Peer
from bench.plan import MEASUREMENTS
from bench.report import UNKNOWN, head, markdown, number
from bench.runner import QUICK, Run
from bench.subjects import BESIDE, SUBJECTS
from bench.subjects.base import ROOT

COLUMNS = {
    "enqueue.by_1": "enqueue, one thread, jobs/s",
    "drain.rate": "drain, one worker process, jobs/s",
    "latency.start": "enqueue to start, p50 ms",
    "latency.result": "enqueue to result, p50 ms",
}
SERVERS = {"BENCH_REDIS_URL": servers.redis, "BENCH_POSTGRES_URL": servers.postgres}
NO_SERVER = "its server is not there; the lines above say why"


def main() -> int:
    options = parse()
    chosen = options.only or list(PEERS)
    run = Run()
    run.failures |= {name: reason for name in chosen if (reason := install(PEERS[name]))}
    with ExitStack() as stack:
        for variable, server in SERVERS.items():
            servers.start(variable, server, stack)
        run.failures |= {name: NO_SERVER for name in chosen if not PEERS[name].is_at_hand()}
        subjects = [*BESIDE, *(name for name in chosen if name not in run.failures)]
        run.measure(measurements(subjects), rounds=options.rounds, scale=QUICK if options.quick else 1.0)
    told = "\n".join(
        [head(run.medians, options.rounds, quick=options.quick), "", *table([*BESIDE, *chosen], run)]
    )
    print(told)
    if options.write:
        page.write("peers", told)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench-peers", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=PEERS, metavar="PEER", help=f"only these of {', '.join(PEERS)}"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="turns of each (default: 3)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size: to see that it works")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    return parser.parse_args()


def install(peer: Peer) -> str:
    """Make the environment with what the peer needs; return what was complained of if that failed, else nothing."""
    commands: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", peer.venv],
        [peer.python, "-m", "pip", "install", "-qq", *peer.requirements, "--editable", ROOT],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"{done.stdout}{done.stderr}".strip().splitlines()[-1]
    return ""


def measurements(subjects: Sequence[str]) -> list[Measurement]:
    """Those of the columns, for the given subjects."""
    return [
        replace(each, subjects=subjects)
        for each in MEASUREMENTS
        if any(each.key(figure) in COLUMNS for figure in each.figures)
    ]


def table(subjects: Sequence[str], run: Run) -> Iterator[str]:
    rows = (
        [
            SUBJECTS[subject].title,
            *(_cell(run.medians.get((subject, key))) for key in COLUMNS),
            run.failures.get(subject, ""),
        ]
        for subject in subjects
    )
    yield from markdown(["library", *COLUMNS.values(), "not measured, because"], rows)


def _cell(value: float | None) -> str:
    return UNKNOWN if value is None else number(value)


if __name__ == "__main__":
    sys.exit(main())
