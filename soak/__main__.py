"""Load with kills for as long as asked: nothing may get lost, end twice, or grow.

Two trees of workers and two producers work on one store, with jobs of every kind. What happens by chance: SIGKILL for
a process that runs jobs, for a whole tree, for a producer, for a process of executor "process" and for the server, if
there is one; deploys; SIGSTOP past the lease. One process of each kind is let live, to see whether it grows. Exit
status 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

from soak import AWAY
from soak.ledger import Ledger
from soak.place import PLACES, Place
from soak.sample import Sample, take
from soak.site import Site, until
from soak.verdict import faults, growths, table
from taskmill import Mill

_SAMPLES = 120
"""Of a run, however long."""
_START, _DRAIN = 30.0, 120.0
_SECONDS_BETWEEN_HARMS = (0.5, 3.0)


def main() -> int:
    options = parse()
    print(f"soak: {options.minutes:g} minutes, seed {options.seed}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        with PLACES[options.store](folder) as place:
            return run(folder, place, options.minutes * 60, options.seed)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, metavar="N", help="how long (default: 10)")
    parser.add_argument(
        "--seed",
        type=int,
        default=random.randrange(1_000),
        metavar="N",
        help="of what happens (default: any)",
    )
    parser.add_argument(
        "--store", choices=PLACES, default="sqlite", help="over which; servers are started for it (sqlite)"
    )
    return parser.parse_args()


def run(folder: Path, place: Place, seconds: float, seed: int) -> int:
    with closing(Mill(place.url)) as mill, closing(Site(folder, place, seed)) as site:
        if not until(mill.app.storage.inspection.sessions, _START):
            print(f"no worker has begun:\n{site.output()}")
            return 1
        with closing(Ledger(folder / "notes")) as ledger:
            samples = endure(site, mill, ledger, seconds)
            site.stop_producers()
            until(lambda: is_drained(mill), _DRAIN)
            statuses = site.stop_workers()
            ledger.read_on()
            wrong = faults(mill, ledger)
            wrong += [f"workers ended with {statuses}"] if any(statuses) else []
            tell(site, ledger, samples, seconds, wrong)
            if wrong:
                print(site.output())
    return 1 if wrong or any(growth.is_too_much for growth in growths(samples)) else 0


def endure(site: Site, mill: Mill, ledger: Ledger, seconds: float) -> list[Sample]:
    """Harm and measure until the time is over."""
    rng, samples, began = random.Random(site.seed), list[Sample](), time.monotonic()
    harm_at = sample_at = began
    while (now := time.monotonic()) < began + seconds:
        if now >= harm_at:
            site.harm()
            harm_at = now + rng.uniform(*_SECONDS_BETWEEN_HARMS)
        if now >= sample_at:
            samples.append(take(site, mill.app.storage.health))
            ledger.read_on()
            # What failed would be kept for a month.
            with suppress(*AWAY):
                mill.purge(queue="hopeless", ended=True)
            sample_at = now + seconds / _SAMPLES
        time.sleep(0.05)
    return samples


def is_drained(mill: Mill) -> bool:
    queues = mill.app.storage.inspection.queues()
    return not any(count for queue in queues for state, count in queue.states.items() if not state.is_final)


def tell(site: Site, ledger: Ledger, samples: list[Sample], seconds: float, wrong: list[str]) -> None:
    kills = ", ".join(f"{count} x {name.replace('_', ' ')}" for name, count in sorted(site.harms.items()))
    print(f"{seconds / 60:g} minutes, seed {site.seed}: {kills}.")
    print(
        f"{len(ledger.acked):,} enqueues returned ({len(ledger.acked) / seconds:.0f}/s), {len(ledger.lost())} of them "
        f"were lost; {len(ledger.ended_twice())} jobs ended twice; {len(wrong)} things are wrong in all.\n"
    )
    print(*table(growths(samples)), *(f"\n{sentence}" for sentence in wrong), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
