"""How a token becomes a cookie."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio
from starlette.requests import Request
from starlette.responses import Response

from taskmill._web import access
from taskmill._web.access import Tokens
from taskmill._web.visit import Visit

if TYPE_CHECKING:
    from taskmill._web.site import Site


def show(visit: Visit) -> Response:
    """The form; where the address has a token, as the terminal prints it, it is filled in and sent."""
    return visit.page("login.html", refused=False)


def enter(site: Site, tokens: Tokens) -> Callable[[Request], Awaitable[Response]]:
    """What takes the form."""

    async def endpoint(request: Request) -> Response:
        visit = Visit(site, request)
        role = tokens.role_of(visit.given("token") or "")
        if role is None:
            await anyio.sleep(access.DELAY)
            return visit.page("login.html", status=403, refused=True)
        response = visit.back("", to="/")
        visit.set_cookie(response, tokens.cookie, tokens.pass_for(role))
        return response

    return endpoint
