"""Jobs on their way into the store, as the wrappers of `Mill.wrap_enqueue` see them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

from taskmill._core.job import NewJob


class Outgoing:
    """A job that is about to be stored: its `id`, `task` and `queue`; `headers` may be added to, texts to texts.

    `pipeline` is what the steps of a pipeline have in common; `size` counts the characters of the encoded arguments.
    """

    __slots__ = ("_job", "headers")

    def __init__(self, job: NewJob) -> None:
        self._job = job
        self.headers: dict[str, str] = json.loads(job.headers or "{}")

    @property
    def id(self) -> str:
        """The job's id; one with a key that is known already is not stored, and its id is nobody's."""
        return self._job.job_id

    @property
    def task(self) -> str:
        """The name that the job is stored under."""
        return self._job.task

    @property
    def queue(self) -> str:
        """The queue that it goes to."""
        return self._job.queue

    @property
    def pipeline(self) -> str | None:
        """That of the pipeline, if it is a step of one."""
        return self._job.pipeline

    @property
    def size(self) -> int:
        """How long its encoded arguments are."""
        return len(self._job.args)

    def take_headers(self) -> None:
        """Let the job have them."""
        self._job.headers = json.dumps(self.headers) if self.headers else None


EnqueueWrapper = Callable[[Sequence[Outgoing]], AbstractContextManager[object]]


@contextmanager
def departing(wrappers: Sequence[EnqueueWrapper], jobs: Sequence[NewJob]) -> Iterator[None]:
    """Inside, *jobs* are to be stored, with the headers that *wrappers* gave them."""
    outgoing = [Outgoing(job) for job in jobs]
    with ExitStack() as stack:
        for wrapper in wrappers:
            stack.enter_context(wrapper(outgoing))
        for each in outgoing:
            each.take_headers()
        yield
