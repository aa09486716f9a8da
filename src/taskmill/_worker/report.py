"""What a worker tells the world after the store has it: signals and the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from taskmill._app.application import Application
from taskmill._app.context import is_driving
from taskmill._core.event import Notice
from taskmill._core.job import Claimed, State
from taskmill._core.lifecycle import Settlement
from taskmill._storage.base import Turn
from taskmill._worker.logbook import log_ending, name_of
from taskmill.errors import StoreError

logger = logging.getLogger("taskmill.worker")


@contextmanager
def harmless() -> Iterator[None]:
    """Let nothing that goes wrong while signal handlers are told reach the worker: what they hear of has happened."""
    token = is_driving.set(True)
    try:
        yield
    except StoreError as error:
        logger.warning("%s; signal handlers were not told what happened to a job", error)
    except BaseException:
        logger.exception("a signal handler failed")
    finally:
        is_driving.reset(token)


class Reporter:
    def __init__(self, app: Application) -> None:
        self._app = app
        self._warned: set[str] = set()

    def settled(self, settlements: Sequence[Settlement], turn: Turn) -> None:
        """What a turn recorded; a settlement that came too late is a warning, not an event."""
        if not (turn.stale or turn.notices or self._is_heard(settlements)):
            return
        lost = {settlement.claimed.job_id for settlement in turn.stale}
        cancelled = {notice.job_id for notice in turn.notices}
        now = self._app.storage.now()
        for settlement in settlements:
            claimed, transition, _ = settlement
            if claimed.job_id in lost:
                logger.warning(
                    "%s was given to another worker: its outcome here is dropped", name_of(claimed)
                )
            elif claimed.job_id not in cancelled:
                log_ending(settlement, now)
            if claimed.job_id not in lost | cancelled and self._app.signals.wants(transition.event):
                with harmless():
                    self._app.tell_claimed(
                        transition.event, claimed, error=transition.error, reason=transition.reason
                    )
        self.tell(turn.notices)

    def _is_heard(self, settlements: Sequence[Settlement]) -> bool:
        """Whether anybody would hear of them; of successes most often nobody, and they are many."""
        if logger.isEnabledFor(logging.DEBUG) or self._app.signals.wants("succeeded"):
            return True
        return any(settlement.transition.state is not State.SUCCEEDED for settlement in settlements)

    def tell(self, notices: Sequence[Notice]) -> None:
        """What a store operation did to jobs besides."""
        if notices:
            with harmless():
                self._app.tell_notices(notices)

    def unknown(self, claimed: Claimed) -> None:
        """A job whose task this worker does not have; once per name, it will come by again."""
        if claimed.task not in self._warned:
            self._warned.add(claimed.task)
            logger.warning(
                "no task named %r is registered in this worker: its jobs wait for a worker that has it; import "
                "the module that defines it (Mill(imports=[...]) or --import)",
                claimed.task,
            )
