"""What a run came to: whether anything got lost, and what has grown."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from soak.ledger import Ledger
from soak.sample import MEASURES, Sample
from taskmill import Mill

_TENTH = 1.1


class Growth(NamedTuple):
    """A number in the second and in the last quarter of the run, medians, and how high the latter may be."""

    name: str
    unit: str
    before: float
    after: float
    allowed: float

    @property
    def is_too_much(self) -> bool:
        return self.after > self.allowed


def growths(samples: Sequence[Sample]) -> list[Growth]:
    """The first quarter is left out: it is there to warm up in."""
    quarter = len(samples) // 4
    found = []
    for name, measure in MEASURES.items():
        early = [sample[name] for sample in samples[quarter : 2 * quarter] if name in sample]
        late = [sample[name] for sample in samples[-quarter:] if name in sample]
        # Of a short run on a slow machine, a process that lives long enough to be looked at may be missing.
        if early and late:
            before, after = median(early), median(late)
            found.append(Growth(name, measure.unit, before, after, before * _TENTH + measure.allowance))
    return found


def faults(mill: Mill, ledger: Ledger) -> list[str]:
    """What is wrong after the end of a run, one sentence each."""
    queues = mill.app.storage.inspection.queues()
    unended = {
        state: count
        for queue in queues
        for state, count in queue.states.items()
        if count and not state.is_final
    }
    fired = sum(schedule.fired for schedule in mill.app.storage.schedules.list())
    broken = mill.app.storage.health.verify()
    findings = {
        f"{len(ledger.lost())} jobs were lost, such as {sorted(ledger.lost())[:3]}": ledger.lost(),
        f"{len(ledger.ended_twice())} jobs ended twice, such as {sorted(ledger.ended_twice())[:3]}": (
            ledger.ended_twice()
        ),
        f"jobs have not ended: {unended}": unended,
        f"a schedule has fired {fired} times, and {len(ledger.ticked)} of these jobs ran": (
            fired != len(ledger.ticked)
        ),
        f"sessions are left: {mill.app.storage.inspection.sessions()}": mill.app.storage.inspection.sessions(),
        f"the store breaks rules of its own: {broken}": broken,
    }
    return [told for told, is_wrong in findings.items() if is_wrong]


def table(found: Sequence[Growth]) -> list[str]:
    """The numbers as a Markdown table."""
    lines = ["| | second quarter | last quarter | at most | |", "|---|---|---|---|---|"]
    for each in found:
        numbers = " | ".join(
            f"{number:.4g} {each.unit}".strip() for number in (each.before, each.after, each.allowed)
        )
        lines.append(f"| {each.name} | {numbers} | {'grows' if each.is_too_much else ''} |")
    return lines
