"""Tells open pages that the store has changed, by server-sent events; what has changed they then ask for."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from taskmill.errors import StoreError

if TYPE_CHECKING:
    from taskmill._web.site import Site

# In seconds: how often the store is looked at, however many pages are open; how long nothing is said; how long a
# browser is served before it has to ask again, and show again that it may.
_LOOK = 0.25
_SILENCE = 10.0
_LONGEST = 600.0
_MOST_STREAMS = 50


class Pulse:
    """One look at the store for all who listen."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._mutex: anyio.Lock | None = None
        self._version = 0
        self._looked_at = 0.0
        self.listeners = 0

    async def version(self) -> int:
        """That of the store, a moment ago; 0 as long as it cannot be read."""
        self._mutex = self._mutex or anyio.Lock()
        async with self._mutex:
            if time.monotonic() - self._looked_at >= _LOOK:
                self._version = await to_thread.run_sync(self._look)
                self._looked_at = time.monotonic()
        return self._version

    def _look(self) -> int:
        try:
            return self._site.reader.storage.version()
        except StoreError:
            return 0


def stream(site: Site) -> Callable[[Request], Awaitable[Response]]:
    """The event "changed", at once and whenever the store has changed; and now and then, since time passes too."""
    pulse = Pulse(site)

    async def endpoint(request: Request) -> Response:  # noqa: ARG001  (every page has one)
        if pulse.listeners >= _MOST_STREAMS:
            return PlainTextResponse("too many pages are open\n", 503)
        return StreamingResponse(
            _events(pulse), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )

    return endpoint


async def _events(pulse: Pulse) -> AsyncIterator[str]:
    pulse.listeners += 1
    try:
        seen, said_at, began_at = -1, 0.0, time.monotonic()
        while (now := time.monotonic()) - began_at < _LONGEST:
            version = await pulse.version()
            if version != seen or now - said_at >= _SILENCE:
                seen, said_at = version, now
                yield f"event: changed\ndata: {version}\n\n"
            await anyio.sleep(_LOOK)
    finally:
        pulse.listeners -= 1
