"""What a supervisor does in the store: it keeps the sessions of its children alive, and ends them after their death."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from taskmill._core.crash import described
from taskmill._core.event import Notice
from taskmill._core.lifecycle import Settlement
from taskmill._storage.base import Storage
from taskmill._storage.open import is_shared
from taskmill._worker.logbook import log_ending
from taskmill._worker.outage import Outage
from taskmill.errors import StoreError, StoreRefused, StoreUnusable

logger = logging.getLogger("taskmill.supervisor")

OpenStorage = Callable[[str], Storage]
# So often a store that is busy is asked for the first session.
_FIRST_TRIES = 16

_MEANWHILE = (
    "the leases of the worker's processes are renewed, and jobs of those that died go back, when it is over"
)

_Duty = Callable[[Storage], Sequence[Notice]]


class Guardian:
    """Its own session is the parent of theirs: while it lives, nobody else ends the session of a child that died.

    The store stays open as long as this lives, which keeps the write-ahead log in place whatever happens to a child's
    connections. What a store in trouble refuses is done later: nothing here raises StoreError, but for StoreUnusable in
    `has_suspects`, since after that nothing is left to do here.
    """

    def __init__(self, open_storage: OpenStorage) -> None:
        self._open_storage = open_storage
        self._storage: Storage | None = None
        self._lease = 0
        # All that were its own, the present one last: one that stood still for too long loses its session.
        self._own: list[int] = []
        self._sessions: dict[int, int] = {}
        self._duties: list[_Duty] = []
        self._seen: int | None = None
        self._was_asked = False
        self._outage = Outage(logger, lambda: _MEANWHILE)

    @property
    def session(self) -> int | None:
        """The present one; None before the first, and where the store cannot be shared."""
        return self._own[-1] if self._own else None

    @property
    def lease(self) -> int:
        """In microseconds; 0 before the store is known."""
        return self._lease

    def begin(self, url: str, lease: int) -> int | None:
        """Open the store and a session, if that is not done yet; the session."""
        if self._storage is None and is_shared(url):
            self._storage, self._lease = self._open_storage(url), lease
        if not self._own:
            self._open_first_session()
        return self.session

    def renew(self, pids: Collection[int]) -> bool:
        """Push out the leases: its own, and those of the children that live; False if the store did not take it."""
        if self._storage is None:
            return True
        try:
            if not self._own:
                self._open_session()
            elif not self._storage.sessions.renew(self._own[-1]):
                # This process may have stood still while somebody asked.
                self._was_asked = self._was_asked or self._storage.sessions.is_asked_to_stop(self._own[-1])
                self._open_session()
            self._look_for_sessions(self._storage)
            for session, pid in self._sessions.items():
                if pid in pids:
                    self._storage.sessions.renew(session)
        except StoreError as error:
            self._outage.failed("leases", error)
            return False
        self._outage.worked("leases")
        return True

    def release(self, pid: int, settlements: Sequence[Settlement]) -> None:
        """A child is gone and not to blame: what it left is recorded, what it held goes back."""
        self._take_on(lambda storage: self._release(storage, pid, settlements))

    def bury(self, pid: int, status: int, *, alone: bool, settlements: Sequence[Settlement]) -> None:
        """A child crashed: what it left is recorded, what it ran is looked at more closely, the rest goes back."""
        self._take_on(lambda storage: self._bury(storage, pid, status, settlements, alone=alone))

    def do_duties(self) -> Sequence[Notice]:
        """Carry out what is still to be done for the dead; what became of their jobs."""
        notices: list[Notice] = []
        try:
            while self._duties and self._storage is not None:
                notices += _carried_out(self._duties[0], self._storage)
                del self._duties[0]
        except StoreError as error:
            self._outage.failed("duties", error)
        else:
            self._outage.worked("duties")
        return notices

    def name_of(self, job_id: str) -> str:
        """The job for people, with its task if that can be learnt."""
        job = None
        if self._storage is not None:
            with suppress(StoreError):
                job = self._storage.inspection.job(job_id)
        return f"job {job_id}" if job is None else f"{job.task} {job_id}"

    @property
    def has_duties(self) -> bool:
        """Whether something is still to be done."""
        return bool(self._duties)

    def has_suspects(self, queues: Collection[str] | None) -> bool:
        """Whether jobs are due that must run alone."""
        if self._storage is None:
            return False
        try:
            seen = self._storage.version()
            if seen == self._seen:
                return False
            has_suspects = self._storage.inspection.has_suspects(queues)
        except StoreUnusable:
            raise
        except StoreError:
            return False
        # Until the store changes there will be none.
        self._seen = None if has_suspects else seen
        return has_suspects

    def is_asked_to_stop(self) -> bool:
        """Whether somebody has asked in the store for the end of this worker."""
        if self._storage is None or self.session is None or self._was_asked:
            return self._was_asked
        try:
            return self._storage.sessions.is_asked_to_stop(self.session)
        except StoreError:
            return False

    def note_stopping(self) -> None:
        """Let people see that this worker comes to its end; where the store is in trouble, they do not."""
        if self._storage is not None and self.session is not None:
            with suppress(StoreError):
                self._storage.sessions.ask_to_stop(self.session)

    def close(self) -> None:
        """Try once to do what is left, end its session, and let go of the store.

        What a store in trouble refuses is left to the rescue by others, who find this process gone.
        """
        if self._storage is None:
            return
        self.do_duties()
        if not self._duties:
            self._end_sessions(self._storage)
        self._storage.close()

    def _take_on(self, duty: _Duty) -> None:
        # Without a session of its own, nobody's session is its child.
        if self._own:
            self._duties.append(duty)

    # --- in the store

    def _open_first_session(self) -> None:
        """With more patience than usual: what the first child does is under it, and nothing else is going on."""
        for _ in range(_FIRST_TRIES):
            # Trouble with the store is told by the child, which meets it too.
            with suppress(StoreError):
                self._open_session()
                return

    def _end_sessions(self, storage: Storage) -> None:
        try:
            for session in self._own:
                storage.sessions.end(session)
        except StoreError as error:
            logger.warning("%s; the session of the supervisor ends with this process", error)

    def _open_session(self) -> None:
        if self._storage is not None:
            self._own.append(self._storage.sessions.open(kind="supervisor", lease=self._lease))

    def _look_for_sessions(self, storage: Storage) -> None:
        """Their numbers are read from the store, where a session is as soon as it exists."""
        found = storage.inspection.sessions()
        self._sessions = {state.session: state.pid for state in found if state.parent in self._own}

    def _sessions_of(self, storage: Storage, pid: int) -> list[int]:
        self._look_for_sessions(storage)
        return [session for session, owner in self._sessions.items() if owner == pid]

    def _release(self, storage: Storage, pid: int, settlements: Sequence[Settlement]) -> list[Notice]:
        notices: list[Notice] = []
        for session in self._sessions_of(storage, pid):
            notices += self._settle(storage, session, settlements)
            notices += storage.sessions.end(session)
        return notices

    def _bury(
        self, storage: Storage, pid: int, status: int, settlements: Sequence[Settlement], *, alone: bool
    ) -> list[Notice]:
        notices: list[Notice] = []
        for session in self._sessions_of(storage, pid):
            notices += self._settle(storage, session, settlements)
            notices += storage.jobs.bury(session, described(status), alone=alone)
        return notices

    @staticmethod
    def _settle(storage: Storage, session: int, settlements: Sequence[Settlement]) -> list[Notice]:
        try:
            turn = storage.jobs.turn(session, settlements, claim=0, wants={}, queues=None)
        except StoreRefused:
            # The job goes back with the rest of the session.
            logger.exception("how jobs of a process ended that is gone cannot be recorded")
            return []
        stale = {settlement.claimed.job_id for settlement in turn.stale}
        recorded = [settlement for settlement in settlements if settlement.claimed.job_id not in stale]
        for settlement in recorded:
            log_ending(settlement, storage.now())
        told = [
            Notice(transition.event, claimed.job_id, transition.reason) for claimed, transition, _ in recorded
        ]
        return [*told, *turn.notices]


def _carried_out(duty: _Duty, storage: Storage) -> Sequence[Notice]:
    try:
        return duty(storage)
    except StoreRefused:
        # It would be refused again, and those after it would never have their turn.
        logger.exception("what a process left that is gone cannot be put in order")
        return ()
