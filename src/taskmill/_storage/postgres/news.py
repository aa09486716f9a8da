"""What an operation has done besides what it was asked for, and whom in this process that concerns."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from taskmill._core.event import Notice
from taskmill._storage.wake import Wake


class News(NamedTuple):
    """The type taskmill.news of the database."""

    notices: list[Notice]
    ended: list[str]
    stale: list[int]
    freed: bool
    changed: bool

    @classmethod
    def of(cls, news: dict[str, Any]) -> Self:
        notices = [Notice(each["kind"], each["job_id"], each["reason"]) for each in news["notices"]]
        return cls(notices, news["ended"], news["stale"], news["freed"], news["changed"])

    def announce(self, wake: Wake) -> None:
        """Tell this process, after the commit; the others were notified by it."""
        if self.ended:
            wake.jobs_ended(self.ended)
        if self.freed:
            wake.jobs_added()
