"""The dashboard put together: which page stands where, and what stands before all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Literal

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from taskmill._app.application import Application
from taskmill._app.reading import Reader
from taskmill._web import live, login
from taskmill._web.access import Auth, Tokens, everybody
from taskmill._web.api import routes as api
from taskmill._web.assets import assets
from taskmill._web.guard import LOOPBACK, Guard, is_for_programs
from taskmill._web.pages import (
    audit,
    bulk,
    enqueue,
    errors,
    job,
    jobs,
    locks,
    overview,
    queues,
    schedules,
    tasks,
    workers,
)
from taskmill._web.problem import Problem
from taskmill._web.visit import Visit
from taskmill.errors import StoreError, TaskmillError

Handler = Callable[[Visit], Response]
Method = Literal["GET", "POST"]

# What is read at once: a store that hangs must not use up all the threads of the application beside.
_MOST_AT_ONCE = 8

PAGES: dict[str, Handler] = {
    "/": overview.show,
    "/jobs": jobs.show,
    "/jobs/{job_id}": job.show,
    "/queues": queues.show,
    "/tasks": tasks.show,
    "/enqueue": enqueue.show,
    "/schedules": schedules.show,
    "/workers": workers.show,
    "/locks": locks.show,
    "/errors": errors.show,
    "/audit": audit.show,
}
ACTIONS: dict[str, Handler] = {
    "/jobs/ask": bulk.ask,
    "/jobs/act": bulk.act,
    "/jobs/{job_id}/retry": job.retry,
    "/jobs/{job_id}/cancel": job.cancel,
    "/jobs/{job_id}/hasten": job.hasten,
    "/jobs/{job_id}/clone": job.clone,
    "/jobs/{job_id}/delete": job.delete,
    "/queues/pause": queues.pause,
    "/queues/resume": queues.resume,
    "/queues/purge": queues.purge,
    "/tasks/enqueue": enqueue.act,
    "/schedules/run": schedules.run,
    "/schedules/pause": schedules.pause,
    "/schedules/resume": schedules.resume,
    "/workers/stop": workers.stop,
}


class Site(Starlette):
    """All pages, without the guard; made for one application."""

    def __init__(self, app: Application, auth: Auth) -> None:
        self.app = app
        self.auth = auth
        self.reader = Reader(app)
        self._limiter: CapacityLimiter | None = None
        super().__init__(routes=[*self._routes()], exception_handlers={HTTPException: self._missing})

    def _routes(self) -> list[Route]:
        routes = [
            Route("/assets/{name}", _asset),
            Route("/live", live.stream(self)),
        ]
        if isinstance(self.auth, Tokens):
            routes += [
                Route("/login", self._endpoint(login.show)),
                Route("/login", login.enter(self, self.auth), methods=["POST"]),
            ]
        routes += api.routes(self)
        # In this order: "/jobs/ask" is no job.
        routes += [
            Route(path, self._endpoint(handler), methods=["POST"]) for path, handler in ACTIONS.items()
        ]
        routes += [Route(path, self._endpoint(handler)) for path, handler in PAGES.items()]
        return routes

    def _endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """What calls *handler* in a thread, for stores block."""

        async def endpoint(request: Request) -> Response:
            visit = Visit(self, request)
            return await self.in_thread(lambda: _answer(handler, visit))

        return endpoint

    async def in_thread(self, work: Callable[[], Response]) -> Response:
        """Let a thread do *work*, when one is free."""
        # Made here, since it belongs to the event loop that runs now.
        self._limiter = self._limiter or CapacityLimiter(_MOST_AT_ONCE)
        return await to_thread.run_sync(work, limiter=self._limiter)

    async def _missing(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        if is_for_programs(request):
            advice = f"GET {api.DOCUMENT} says what there is"
            return Problem(status, "there is no such operation", advice).response()
        visit = Visit(self, request)
        if visit.visitor is None:
            return PlainTextResponse("there is no such page\n", status)
        return visit.page("missing.html", status=status, what="There is no such page.")


def dashboard(app: Application, *, auth: Auth | None, hosts: Collection[str] = LOOPBACK) -> Guard:
    """The dashboard of *app* as an ASGI application; see `Mill.dashboard`."""
    auth = everybody if auth is None else auth
    return Guard(Site(app, auth), auth=auth, hosts=hosts)


def _answer(handler: Handler, visit: Visit) -> Response:
    try:
        return handler(visit)
    except StoreError as trouble:
        return visit.page("trouble.html", status=503, trouble=str(trouble))
    except TaskmillError as error:
        return visit.page("trouble.html", status=400, trouble=str(error))


async def _asset(request: Request) -> Response:
    asset = assets().get(request.path_params["name"])
    if asset is None:
        return PlainTextResponse("there is no such file\n", 404)
    # Its address changes with its content.
    kept = {"cache-control": "public, max-age=31536000, immutable"}
    return Response(asset.content, media_type=asset.media_type, headers=kept)
