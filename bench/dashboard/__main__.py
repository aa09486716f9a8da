"""Measure the dashboard over a store with a million jobs: its pages, and what workers lose while it is open.

Prints the tables of docs/dashboard.md. A store that is kept (--keep) is used again by the next run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench import servers
from bench.dashboard import drain, pages, stored
from bench.machine import description
from bench.report import markdown
from bench.site import Site

TITLES = {"taskmill": "SQLite", "taskmill-postgres": "PostgreSQL"}
PARTS: dict[str, Callable[[Site, int], dict[str, str]]] = {"pages": pages.measure, "drain": drain.measure}


def main() -> int:
    options = parse()
    with ExitStack() as stack:
        servers.start("BENCH_POSTGRES_URL", servers.postgres, stack)
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        columns: list[dict[str, str]] = []
        for subject in options.store:
            site = Site(subject=subject, folder=folder / subject)
            site.folder.mkdir(parents=True, exist_ok=True)
            stored.fill(site, options.jobs)
            columns.append({})
            for part in options.only:
                columns[-1] |= PARTS[part](site, options.rounds)
    print(f"{description()}; {options.jobs:,} jobs with 2 kB of arguments each; medians.\n")
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    print(*markdown(["", *(TITLES[subject] for subject in options.store)], rows), sep="\n")
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench-dashboard", description=__doc__)
    parser.add_argument(
        "--jobs", type=int, default=1_000_000, metavar="N", help="so many in the store (default: 1,000,000)"
    )
    parser.add_argument(
        "--rounds", type=int, default=10, metavar="N", help="how often each is done (default: 10)"
    )
    parser.add_argument("--store", nargs="+", choices=TITLES, default=[*TITLES], help="only on these")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=[*PARTS], help="only this part")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="where the stores are left for the next run"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
