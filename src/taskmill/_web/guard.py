"""What stands before every page: no request passes that comes from elsewhere, from nobody, or wants too much.

It knows no pages. Whatever is not open to all wants a visitor, and whatever is no GET wants one who may operate and a
form that this dashboard has made. So a page that is added is guarded without saying so.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskmill._app.visitor import Visitor
from taskmill._web.access import Auth, Tokens, visitor_of

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
OPEN_TO_ALL = ("/assets/", "/login")

CSRF_COOKIE = "taskmill-csrf"
CSRF_FIELD = "csrf"

LONGEST_BODY = 1_000_000
MOST_FIELDS = 12_000
_READING = {"GET", "HEAD"}

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not "no-referrer": with that, browsers hide the origin of a form too.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Lets through to *inner* what may pass, with the visitor and the form in the scope."""

    def __init__(self, inner: ASGIApp, *, auth: Auth, hosts: Collection[str]) -> None:
        self._inner = inner
        self._auth = auth
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._guard(scope, receive, _with_headers(send))
            case "websocket":
                await send({"type": "websocket.close", "code": 1008})
            case _:
                await self._inner(scope, receive, send)

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        refusal = self._foreign(request) or await self._unwelcome(request)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._inner(scope, receive, send)

    def _foreign(self, request: Request) -> Response | None:
        """Where it was sent to, and from where."""
        host = request.headers.get("host", "")
        if _name_of(host) not in self._hosts:
            return _refusal(
                421, "this dashboard does not go by that name: allow it with --allow-host, or hosts="
            )
        if request.method in _READING:
            return None
        if request.method != "POST":
            return _refusal(405, "nothing here is done that way")
        if not _is_from_here(request, host):
            return _refusal(403, "that form is not from this dashboard")
        return None

    async def _unwelcome(self, request: Request) -> Response | None:
        """Who sent it, and what he wants."""
        scope, path = request.scope, path_of(request)
        is_open = path.startswith(OPEN_TO_ALL)
        scope["taskmill.visitor"] = visitor = None if is_open else await visitor_of(self._auth, request)
        if visitor is None and not is_open:
            return self._to_login(request)
        if request.method in _READING:
            return None
        if visitor is not None and not visitor.may_operate:
            return _refusal(403, "you may look, but not act")
        return await self._take_form(request)

    def _to_login(self, request: Request) -> Response:
        wants_page = request.method in _READING and "text/html" in request.headers.get("accept", "")
        if isinstance(self._auth, Tokens) and wants_page:
            return RedirectResponse(f"{root_of(request)}/login", 303)
        return _refusal(401, "sign in first")

    async def _take_form(self, request: Request) -> Response | None:
        body = await _body_of(request)
        if body is None:
            return _refusal(413, "that is too much")
        try:
            fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
        except ValueError:
            return _refusal(400, "that is no form")
        form: dict[str, list[str]] = {}
        for name, value in fields:
            form.setdefault(name, []).append(value)
        known = request.cookies.get(CSRF_COOKIE, "")
        given = "".join(form.pop(CSRF_FIELD, []))
        if not known or not secrets.compare_digest(known.encode(), given.encode()):
            return _refusal(403, "that form is out of date: load the page again")
        request.scope["taskmill.form"] = form
        return None


def root_of(request: Request) -> str:
    """Where the dashboard is mounted; empty where it stands alone."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def path_of(request: Request) -> str:
    """The path below that."""
    path = str(request.scope["path"])
    return path.removeprefix(root_of(request)) or "/"


def visitor_in(scope: Scope) -> Visitor:
    """Whom the guard has let in."""
    visitor: Visitor | None = scope["taskmill.visitor"]
    assert visitor is not None, "the guard lets nobody in without one"  # noqa: S101  (a mistake of ours)
    return visitor


def _name_of(host: str) -> str:
    """The host without its port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower().rstrip(".")


def _is_from_here(request: Request, host: str) -> bool:
    """Whether a page of this dashboard sent it, by what browsers say and pages cannot."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is not None and origin != "null":
        return urlsplit(origin).netloc.lower() == host.lower()
    return site == "same-origin"


async def _body_of(request: Request) -> bytes | None:
    """All of it; None where that is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BODY:
            return None
    return bytes(body)


def _refusal(status: int, reason: str) -> Response:
    return PlainTextResponse(f"{reason}\n", status)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sending
