"""Run many seeds, or one that is told in full: ``python3 dev.py simulate``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Literal

from simulation.crew import Crew
from simulation.run import STEPS, Verdict, simulate
from simulation.stores.places import SQLITE
from tests import servers


@contextmanager
def _sqlite() -> Iterator[str]:
    yield SQLITE


@contextmanager
def _postgres() -> Iterator[str]:
    with servers.postgres(fsync="off") as server:
        yield f"{server.url}/postgres"


@contextmanager
def _redis(kind: Literal["redis", "valkey"]) -> Iterator[str]:
    with servers.redis(kind) as server:
        yield server.url


PLACES: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "sqlite": _sqlite,
    "postgresql": _postgres,
    "redis": lambda: _redis("redis"),
    "valkey": lambda: _redis("valkey"),
}
"""Where a process has its stores: a server is its own."""


def main() -> int:
    """Return 1 if a seed failed, after printing each that did."""
    arguments = parse()
    place = PLACES[arguments.store]
    if arguments.seed is not None:
        with place() as where:
            verdict = simulate(arguments.seed, steps=arguments.steps, place=where, tell=print)
        print(verdict)
        return 1 if verdict.violation else 0
    with ExitStack() as stack:
        return run_all(arguments, [stack.enter_context(place()) for _ in range(arguments.jobs)])


def run_all(arguments: argparse.Namespace, places: list[str]) -> int:
    """As `main`, in as many processes as there are *places*."""
    began_at, failed, turns = time.monotonic(), 0, 0
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    for verdict in verdicts(seeds, arguments.steps, places):
        turns += verdict.turns
        if verdict.violation:
            failed += 1
            print(verdict, flush=True)
            if arguments.until_failure:
                break
    print(
        f"{failed} of {len(seeds)} seeds failed, in {turns:,} turns and {time.monotonic() - began_at:.0f} s"
    )
    return 1 if failed else 0


def verdicts(seeds: range, steps: int, places: list[str]) -> Iterator[Verdict]:
    """In the order of the seeds."""
    with Crew(places) as crew:
        yield from crew.judge(seeds, steps)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="dev.py simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, metavar="N", help="how many (1000)")
    parser.add_argument("--first", type=int, default=1, metavar="S", help="the first of them (1)")
    parser.add_argument("--seed", type=int, metavar="S", help="this one only, with all that happens")
    parser.add_argument(
        "--store", choices=PLACES, default="sqlite", help="over which; servers are started for it (sqlite)"
    )
    parser.add_argument(
        "--steps", type=int, default=STEPS, metavar="N", help=f"turns with faults in each ({STEPS})"
    )
    parser.add_argument("-j", "--jobs", type=int, default=2, metavar="N", help="how many at a time (2)")
    parser.add_argument("--until-failure", action="store_true", help="stop at the first seed that fails")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
