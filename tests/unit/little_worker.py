"""What the application side needs of a worker: runs jobs one after the other, in the calling thread."""

from __future__ import annotations

import asyncio
from typing import Any

from taskmill import Mill
from taskmill._app.context import Context, Tenure, entered
from taskmill._core import lifecycle
from taskmill._core.instant import SECOND
from taskmill._core.job import EXECUTORS, Claimed, ErrorInfo
from taskmill._core.lifecycle import Settlement
from taskmill._core.outcome import CancelAsked, Outcome, Raised, Succeeded
from taskmill.errors import Cancel

LIMIT = 1_000_000


class LittleWorker:
    def __init__(self, mill: Mill) -> None:
        self.app = mill.app
        self.storage = mill.app.storage
        self.session = self.storage.sessions.open(kind="worker", lease=3600 * SECOND)
        self.tenure = Tenure(self.session)
        self.claims = 0

    def run_all(self) -> int:
        """Run what is due, and what becomes due by it; how many attempts that were."""
        attempts = 0
        while claimed := self.claim():
            for job in claimed:
                self.settle(job, self.attempt(job))
            attempts += len(claimed)
        return attempts

    def claim(self, want: int = 100) -> list[Claimed]:
        self.claims += 1
        wants = dict.fromkeys(EXECUTORS, want)
        turn = self.storage.jobs.turn(self.session, [], claim=self.claims, wants=wants, queues=None)
        return list(turn.claimed)

    def attempt(self, job: Claimed) -> Outcome:
        try:
            return Succeeded(self.app.codec.encode(self.call(job), limit=LIMIT))
        except Cancel as asked:
            return CancelAsked(ErrorInfo("Cancel", str(asked)))
        except Exception as error:  # noqa: BLE001  (whatever a task raises)
            return Raised(ErrorInfo(type(error).__name__, str(error)))

    def call(self, job: Claimed) -> Any:
        task = self.app.tasks[job.task]
        args, kwargs = self.app.codec.decode_call(job.args)
        if job.given is not None:
            args = (self.app.codec.decode(job.given), *args)
        with entered(Context(self.app, job, self.tenure)) as context:
            value = task.invoke(context, args, kwargs)
            return asyncio.run(value) if task.is_coroutine else value

    def settle(self, job: Claimed, outcome: Outcome) -> None:
        self.claims += 1
        transition = lifecycle.end(job, outcome, self.app.tasks[job.task].retry_policy, 0.0)
        settlement = Settlement(job, transition, self.storage.now())
        self.storage.jobs.turn(self.session, [settlement], claim=self.claims, wants={}, queues=None)
