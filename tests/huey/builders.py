"""What the tests of taskmill.huey share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from taskmill.huey import Huey
from taskmill.huey.task import Task


@contextmanager
def consuming(huey: Huey, **options: Any) -> Iterator[None]:
    """A consumer of four threads around a block; at its end all signals were sent."""
    consumer = huey.create_consumer(**{"workers": 4, **options})
    consumer.start()
    try:
        yield
    finally:
        consumer.stop(graceful=True)


class Recorder:
    """Remembers the signals of a Huey."""

    def __init__(self, huey: Huey) -> None:
        self.heard: list[tuple[str, Task, BaseException | None]] = []
        huey.signal()(self._hear)

    def _hear(self, signal: str, task: Task, exc: BaseException | None = None) -> None:
        self.heard.append((signal, task, exc))

    def of(self, name: str) -> list[str]:
        """The signals of one task, in order."""
        return [signal for signal, task, _ in self.heard if task.name == name]

    @property
    def story(self) -> list[tuple[str, str]]:
        return [(signal, task.name) for signal, task, _ in self.heard]
