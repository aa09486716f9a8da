"""What is wrong with a store and the work in it; the same for the API, the command line and the dashboard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from taskmill._core.diagnosis import diagnose
from taskmill._core.finding import Finding, Severity, error
from taskmill._core.wording import counted, listed
from taskmill.errors import NotAStore, SchemaTooNew, StoreBusy, StoreError

if TYPE_CHECKING:
    from taskmill._app.application import Application
    from taskmill._storage.base import Violation

_BY_SEVERITY = list(Severity)


def examine(app: Application, *, verify: bool = False) -> list[Finding]:
    """All findings, the worst first; with *verify* all that is stored is read and checked.

    A store that cannot be read is a finding too. Nothing is made, changed or migrated.
    """
    return worst_first(_findings(app, verify=verify))


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """In the order in which people want to know of them."""
    return sorted(findings, key=lambda finding: _BY_SEVERITY.index(finding.severity))


def _findings(app: Application, *, verify: bool) -> Iterator[Finding]:
    health = app.storage.health
    try:
        yield from health.findings()
        yield from diagnose(health.census())
        if verify:
            yield from map(_told, health.verify())
    except StoreError as trouble:
        yield _unreadable(trouble)


def _told(violation: Violation) -> Finding:
    found = f"{counted(violation.times, 'fault')}: {listed([*violation.examples], most=3)}"
    if violation.rule == "integrity":
        return error("integrity", found, "stop all programs and restore a backup: docs/operations.md")
    return error(
        violation.rule,
        found,
        "if no other program writes into taskmill's tables, report this as a bug; a backup is a way back",
    )


def _unreadable(trouble: StoreError) -> Finding:
    # The message says what to do.
    match trouble:
        case NotAStore():
            return error("not-a-store", str(trouble), "")
        case SchemaTooNew():
            return error("newer-schema", str(trouble), "")
        case StoreBusy():
            return error("store-busy", str(trouble), "")
        case _:
            return error("store-unavailable", str(trouble), "")
