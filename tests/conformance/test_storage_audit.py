"""The contract of `audit`."""

from __future__ import annotations

import pytest

from taskmill._core.deed import Deed
from taskmill._core.identity import new_job_id
from taskmill._core.instant import SECOND, to_datetime
from taskmill._storage.base import Storage
from taskmill.testing import FakeClock


def a_deed(subject: str = "a", number: int = 1) -> Deed:
    return Deed(new_job_id(), "ann", "127.0.0.1", "retry", subject, number)


class TestAudit:
    def test_what_is_noted_is_told_with_when_it_was(self, storage: Storage, clock: FakeClock) -> None:
        first, second = a_deed("job 1"), a_deed("üñí \x1b[0m' \"", 10_000_000)
        began_at = storage.now()

        storage.audit.append(first)
        clock.travel(5)
        storage.audit.append(second)

        assert storage.audit.page(limit=5) == (
            [(to_datetime(began_at + 5 * SECOND), second), (to_datetime(began_at), first)],
            None,
        )

    def test_it_is_read_page_by_page_while_more_comes_in(self, storage: Storage) -> None:
        deeds = [a_deed(str(number)) for number in range(5)]
        for deed in deeds:
            storage.audit.append(deed)
        seen, after = [], None

        while True:
            page = storage.audit.page(after=after, limit=2)
            seen += [deed for _, deed in page.deeds]
            storage.audit.append(a_deed("later"))
            after = page.more
            if after is None:
                break

        assert seen == deeds[::-1]

    def test_a_repetition_notes_nothing(self, storage: Storage, clock: FakeClock) -> None:
        deed = a_deed()
        storage.audit.append(deed)
        before = storage.audit.page(limit=5)
        clock.travel(1)

        storage.audit.append(deed)

        assert storage.audit.page(limit=5) == before

    def test_the_oldest_are_forgotten(self, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
        for adapter in ("memory", "sqlite", "postgres", "redis"):
            monkeypatch.setattr(f"taskmill._storage.{adapter}.audit.MOST_DEEDS", 3)
        deeds = [a_deed(str(number)) for number in range(5)]

        for deed in deeds:
            storage.audit.append(deed)
            storage.audit.append(deed)

        assert [deed for _, deed in storage.audit.page(limit=9).deeds] == deeds[:1:-1]
        assert [deed for _, deed in storage.audit.page(limit=3).deeds] == deeds[:1:-1]
        assert storage.audit.page(limit=3).more is None

    def test_it_changes_the_store_and_no_job(self, storage: Storage) -> None:
        before = storage.version()

        storage.audit.append(a_deed())

        assert storage.version() != before
        assert storage.inspection.find() == []
        assert storage.health.verify() == []
