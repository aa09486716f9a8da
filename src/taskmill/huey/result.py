"""Handles of what calls come to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from taskmill import errors
from taskmill._core.job import Reason, State
from taskmill.huey.exceptions import ResultTimeout, TaskException

if TYPE_CHECKING:
    from taskmill.huey.api import Huey


class Result:
    """The handle of one call; to call it is to `get` its result.

    Reading does not consume: a result can be read again, and by others. What it tells is the final outcome: an
    attempt that failed and will be repeated is not told as an error.
    """

    def __init__(self, huey: Huey, job_id: str) -> None:
        self._handle = huey.mill.result(job_id)
        self.id = job_id

    def get(
        self,
        blocking: bool = False,  # noqa: FBT001, FBT002  (result.get(True) is how Huey is used)
        timeout: float | None = None,
        *,
        backoff: float = 1.15,  # noqa: ARG002  (nothing is polled so slowly that it would matter)
        max_delay: float = 1.0,  # noqa: ARG002
        revoke_on_timeout: bool = False,
        preserve: bool = True,  # noqa: ARG002  (it always is)
    ) -> Any:
        """Return the result; None as long as there is none, or *blocking*, wait up to *timeout* seconds for it.

        A call that was revoked or has expired has None as its result; *blocking*, it is a TaskException.

        Raises:
            TaskException: the last attempt failed, or a step before it in its pipeline.
            ResultTimeout: only if *blocking*. With *revoke_on_timeout* the call is revoked then.
        """
        try:
            return self._handle.get(timeout if blocking else 0, inside_task=True)
        except errors.ResultTimeout:
            if not blocking:
                return None
            if revoke_on_timeout:
                self.revoke()
            raise ResultTimeout("timed out waiting for result") from None
        except errors.ResultNotKept:
            if not blocking:
                return None
            raise
        except errors.JobFailed as failure:
            raise self._error(
                f"{failure.error_type.rpartition('.')[2]}({failure.error!r})", failure.traceback
            ) from failure
        except errors.JobCancelled as failure:
            if not blocking and failure.reason in {Reason.REVOKED, Reason.EXPIRED}:
                return None
            raise self._error(str(failure)) from failure

    __call__ = get

    def is_ready(self) -> bool:
        """Whether the call has ended."""
        try:
            return self._handle.state.is_final
        except errors.ResultNotKept:
            return False

    def revoke(self) -> None:
        """Let it not run, with what follows it in its pipeline; if it runs, let that be its last attempt."""
        self._handle.cancel()

    def is_revoked(self) -> bool:
        """Whether it was revoked before its end."""
        try:
            job = self._handle.job()
        except errors.ResultNotKept:
            return False
        if job.state is State.CANCELLED:
            return job.reason == Reason.REVOKED
        return job.cancel_requested and not job.state.is_final

    def _error(self, error: str, traceback: str = "") -> TaskException:
        return TaskException({"error": error, "traceback": traceback, "retries": 0, "task_id": self.id})

    def __repr__(self) -> str:
        return f"<Result: task {self.id}>"


class ResultGroup:
    """The handles of several calls, such as the steps of a pipeline; to call it is to `get` all results."""

    def __init__(self, results: Sequence[Result]) -> None:
        self._results = tuple(results)

    def get(self, *args: Any, **kwargs: Any) -> list[Any]:
        """The result of each, in order; the arguments are those of `Result.get`, and count for each."""
        return [result.get(*args, **kwargs) for result in self._results]

    __call__ = get

    def __getitem__(self, index: int) -> Any:
        """Wait for the result of one."""
        return self._results[index].get(blocking=True)

    def __iter__(self) -> Iterator[Result]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)
