"""Who wants to hear of lifecycle events in this process."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from taskmill._app import check
from taskmill._core.event import EVENT_KINDS, Event, EventKind
from taskmill.errors import ConfigurationError

Handler = Callable[[Event], object]


class Signals:
    """Handlers by kind of event, called in the order in which they were registered."""

    def __init__(self) -> None:
        self._handlers: dict[str, tuple[Handler, ...]] = {}

    def on(self, kinds: Sequence[str], handler: Handler) -> None:
        """Call *handler* with each event of *kinds*; with those of all kinds where none is named."""
        check_kinds(kinds)
        _check_handler(handler)
        for kind in kinds or EVENT_KINDS:
            self._handlers[kind] = (*self._handlers.get(kind, ()), handler)

    def wants(self, kind: EventKind) -> bool:
        """Whether anybody would hear it; asked before an event is put together."""
        return kind in self._handlers

    def emit(self, event: Event) -> None:
        """Call the handlers of that kind; an error in one is logged and harms nothing."""
        for handler in self._handlers.get(event.kind, ()):
            try:
                handler(event)
            except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever it does, the job goes on)
                _log_error(handler, event, error)


def check_kinds(kinds: Sequence[str]) -> None:
    """Refuse what is no kind of event."""
    with check.refused_as(ConfigurationError):
        for kind in kinds:
            check.known("event", kind, EVENT_KINDS)


def _check_handler(handler: Any) -> None:
    if not callable(handler):
        raise ConfigurationError(f"{handler!r} is no signal handler: it cannot be called")
    if inspect.iscoroutinefunction(handler):
        raise ConfigurationError(
            f"signal handler {handler!r} is an async def, but signals come from threads without a loop: "
            "write a def, or let it enqueue a task"
        )


def _log_error(handler: Handler, event: Event, error: BaseException) -> None:
    import logging  # noqa: PLC0415  (7 ms of the import, and seldom needed)

    logging.getLogger("taskmill.signals").error(
        "signal handler %s failed on %r of %s %s",
        handler,
        event.kind,
        event.task,
        event.job_id,
        exc_info=error,
    )
