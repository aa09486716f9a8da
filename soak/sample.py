"""What is measured every few seconds: each number that must not grow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from soak.place import MB
from soak.site import Site, children_of, workers_of
from taskmill._storage.base import Health

Sample = Mapping[str, float]


class Measure(NamedTuple):
    """A number of a process or of the store; it may grow by a tenth, and by *allowance* besides."""

    name: str
    unit: str
    allowance: float


def memory(proc: Path) -> float:
    """What the process has for itself, and its part of what it shares."""
    for line in (proc / "smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Pss":
            return int(rest.split()[0]) * 1024 / MB
    raise FileNotFoundError(proc)


_OF_A_PROCESS: Mapping[Measure, Callable[[Path], float]] = {
    Measure("memory", "MB", 3): memory,
    Measure("threads", "", 1): lambda proc: len([*(proc / "task").iterdir()]),
    Measure("descriptors", "", 4): lambda proc: len([*(proc / "fd").iterdir()]),
}
_KINDS = ("supervisor", "worker", "runner", "producer")
_OF_THE_STORE = (
    Measure("session files", "", 8),
    # As long as it ever had to be: what a peak of large payloads has left is free, and used again.
    Measure("database", "MB", 12),
    Measure("memory", "MB", 12),
    # It is cut to 16 MiB when a tree that stood still has let it grow.
    Measure("write-ahead log", "MB", 18),
    # All others are those that were run of late, more or fewer as the machine is fast. A worker looks for these each
    # ten seconds, so some seconds' worth of them is usual.
    Measure("rows past their time", "", 1_000),
)
MEASURES: Mapping[str, Measure] = {
    f"{kind}: {measure.name}": measure for kind in _KINDS for measure in _OF_A_PROCESS
} | {measure.name: measure for measure in _OF_THE_STORE}


def take(site: Site, health: Health) -> Sample:
    """All that can be had at this moment."""
    found: dict[str, float] = {}
    for kind, pid in _steady_processes(site).items():
        # It may have ended meanwhile.
        with suppress(OSError):
            found |= {
                f"{kind}: {measure.name}": read(Path(f"/proc/{pid}"))
                for measure, read in _OF_A_PROCESS.items()
            }
    return {
        **found,
        **site.place.sizes(),
        "session files": len([*site.place.sessions.glob("*")]),
        "rows past their time": health.census().outlived,
    }


def _steady_processes(site: Site) -> dict[str, int]:
    """Those that live through the whole run."""
    workers = workers_of(site.steady.pid)[:1]
    runners = [runner for worker in workers for runner in children_of(worker)][:1]
    named = zip(("worker", "runner"), ([*workers, 0][0], [*runners, 0][0]), strict=True)
    return {
        "supervisor": site.steady.pid,
        "producer": site.producer.pid,
        **{kind: pid for kind, pid in named if pid},
    }
