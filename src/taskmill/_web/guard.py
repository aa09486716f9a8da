"""What stands before every page: no request passes that comes from elsewhere, from nobody, or wants too much.

It knows no pages. Whatever is not open to all wants a visitor, and whatever is no GET wants one who may operate and a
form that this dashboard has made. So a page that is added is guarded without saying so. Of programs, which come below
/api/, it wants the same, but that a token in a header stands for the form: no page of another site can send that.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from urllib.parse import parse_qsl

import anyio
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskmill._app.visitor import Visitor
from taskmill._web.access import Auth, Tokens, token_in, visitor_of
from taskmill._web.problem import Problem

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
OPEN_TO_ALL = ("/assets/", "/login")

CSRF_COOKIE = "taskmill-csrf"
CSRF_FIELD = "csrf"
CSRF_HEADER = "x-csrf-token"
FOR_PROGRAMS = "/api/"

LONGEST_BODY = 1_000_000
MOST_FIELDS = 12_000
LONGEST_WAIT = 20.0
"""In seconds: whoever sends slower than that holds a connection for nothing."""
_READING = {"GET", "HEAD"}
_HOW_PROGRAMS_DO = "programs below /api/ show a token, in the header: Authorization: Bearer ..."

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
        body = scope.get("taskmill.body")
        await self._inner(scope, receive if body is None else _once_more(body, receive), send)

    def _foreign(self, request: Request) -> Response | None:
        """Where it was sent to, and from where."""
        host = request.headers.get("host", "")
        if _name_of(host) not in self._hosts:
            return _refusal(
                request,
                421,
                "this dashboard does not go by that name",
                "allow it with --allow-host, or hosts=",
            )
        if request.method in _READING:
            return None
        if request.method != "POST":
            return _refusal(request, 405, "nothing here is done that way", "read by GET, and act by POST")
        if not _is_from_here(request, host):
            return _refusal(
                request,
                403,
                "that form is not from this dashboard",
                f"load the page again; {_HOW_PROGRAMS_DO}",
            )
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
            return _refusal(request, 403, "you may look, but not act", "ask who runs this for that right")
        return await _take(request)

    def _to_login(self, request: Request) -> Response:
        wants_page = request.method in _READING and "text/html" in request.headers.get("accept", "")
        if isinstance(self._auth, Tokens) and wants_page and not is_for_programs(request):
            return RedirectResponse(f"{root_of(request)}/login", 303)
        return _refusal(request, 401, "nobody knows you here", f"sign in first; {_HOW_PROGRAMS_DO}")


async def _take(request: Request) -> Response | None:
    """Put into the scope what an act brings along, if that shows that it is meant."""
    try:
        with anyio.fail_after(LONGEST_WAIT):
            body = await _body_of(request)
    except TimeoutError:
        return _refusal(request, 408, "that takes too long", f"send it within {LONGEST_WAIT:g} s")
    if body is None:
        return _refusal(request, 413, "that is too much", f"send up to {LONGEST_BODY:,} bytes")
    request.scope["taskmill.body"] = body
    if is_for_programs(request):
        given = request.headers.get(CSRF_HEADER, "")
        return None if has_token(request) else _out_of_date(request, given)
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return _refusal(request, 400, "that is no form", "load the page again")
    form: dict[str, list[str]] = {}
    for name, value in fields:
        form.setdefault(name, []).append(value)
    request.scope["taskmill.form"] = form
    return _out_of_date(request, "".join(form.pop(CSRF_FIELD, [])))


def _out_of_date(request: Request, given: str) -> Response | None:
    """Refuse what does not show the mark that only pages of this dashboard know."""
    known = request.cookies.get(CSRF_COOKIE, "")
    if known and secrets.compare_digest(known.encode(), given.encode()):
        return None
    return _refusal(request, 403, "that form is out of date", f"load the page again; {_HOW_PROGRAMS_DO}")


def is_for_programs(request: Request) -> bool:
    """Whether who asks is answered in JSON."""
    return path_of(request).startswith(FOR_PROGRAMS)


def has_token(request: Request) -> bool:
    """Whether it shows a token in a header, which browsers add to nothing by themselves."""
    return token_in(request) is not None


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
        return origin.lower().partition("://")[2] == host.lower()
    return site == "same-origin" or (site is None and origin is None and _is_of_program(request))


def _is_of_program(request: Request) -> bool:
    return is_for_programs(request) and has_token(request)


async def _body_of(request: Request) -> bytes | None:
    """All of it; None where that is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BODY:
            return None
    return bytes(body)


def _once_more(body: bytes, receive: Receive) -> Receive:
    """Bring *body* again: what watches the routes of an application, as Sentry does, reads it too, and waits for it."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def bring() -> Message:
        return left.pop() if left else await receive()

    return bring


def _refusal(request: Request, status: int, wrong: str, advice: str) -> Response:
    if is_for_programs(request):
        return Problem(status, wrong, advice).response()
    return PlainTextResponse(f"{wrong}: {advice}\n", status)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sending
