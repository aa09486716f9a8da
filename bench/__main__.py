"""Measure taskmill beside Huey in one run, round by round; print medians and ratios as a Markdown table.

The machine's speed drifts, so the subjects take turns, and only ratios within one run mean much elsewhere.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from bench import lines, long_transaction, page, plot, servers
from bench.plan import MEASUREMENTS
from bench.report import head, table
from bench.runner import QUICK, Run


def main() -> int:
    options = parse()
    if options.profile:
        told = lines.profile(QUICK if options.quick else 1.0)
        print(told)
        if options.write:
            page.write("profile", told)
        return 0
    if options.long_transaction:
        print(long_transaction.tell(options.long_transaction))
        return 0
    return measure(options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__)
    names = [each.name for each in MEASUREMENTS]
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="FIGURE", help=f"only these of {', '.join(names)}"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="turns of each subject (default: 3)"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the size: to see that it works")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw an SVG picture")
    parser.add_argument(
        "--profile", action="store_true", help="instead: the most expensive lines of a drained job"
    )
    parser.add_argument(
        "--long-transaction",
        type=float,
        metavar="MINUTES",
        help="instead: what jobs cost on PostgreSQL while a transaction stays open beside them for so long",
    )
    parser.add_argument("--write", action="store_true", help="put the outcome into docs/performance.md")
    options = parser.parse_args()
    if options.write and (options.only or options.quick):
        parser.error("--write wants the whole run")
    return options


def measure(options: argparse.Namespace) -> int:
    run, chosen = Run(), [each for each in MEASUREMENTS if not options.only or each.name in options.only]
    with ExitStack() as stack:
        servers.start("BENCH_REDIS_URL", servers.redis, stack)
        servers.start("BENCH_POSTGRES_URL", servers.postgres, stack)
        run.measure(chosen, rounds=options.rounds, scale=QUICK if options.quick else 1.0)
    told = "\n".join(
        [head(run.medians, options.rounds, quick=options.quick), "", *table(chosen, run.medians)]
    )
    print(told)
    if options.write:
        page.write("measured", told)
        plot.draw(run.medians, page.PLOT)
    if options.plot:
        plot.draw(run.medians, options.plot)
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
