"""One request as the pages see it: who asks, for what, and how the answer is made."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from taskmill._app.application import Application
from taskmill._app.reading import Reader
from taskmill._app.visitor import Visitor
from taskmill._storage.urls import shown
from taskmill._web.guard import CSRF_COOKIE, path_of, root_of
from taskmill._web.templates import render

if TYPE_CHECKING:
    from taskmill._web.site import Site

_SAID_COOKIE = "taskmill-said"
_LONGEST_SAID = 500
# A number that every store can hold.
_PLACE = re.compile(r"[0-9]{1,18}")
_OWN_PATH = re.compile(r"/(?![/\\])[!-~]*")
# As long as it takes to load the page that says it.
_SAID_FOR = 20


class Visit:
    """A request of a visitor; made for one page."""

    def __init__(self, site: Site, request: Request) -> None:
        self.site = site
        self.request = request
        self.form: dict[str, list[str]] = request.scope.get("taskmill.form", {})
        self._csrf = request.cookies.get(CSRF_COOKIE) or secrets.token_hex(16)

    @property
    def app(self) -> Application:
        return self.site.app

    @property
    def reader(self) -> Reader:
        return self.site.reader

    @property
    def visitor(self) -> Visitor | None:
        """Who was let in; None on the pages that are open to all."""
        visitor: Visitor | None = self.request.scope.get("taskmill.visitor")
        return visitor

    @property
    def may_operate(self) -> bool:
        return self.visitor is not None and self.visitor.may_operate

    @property
    def place(self) -> str:
        """The store, without its password."""
        return shown(self.app.url)

    @property
    def section(self) -> str:
        """The first part of the path: one of those in the list of pages, or a form that belongs to one."""
        first = f"/{path_of(self.request).split('/')[1]}"
        return "/tasks" if first == "/enqueue" else first

    def asked(self, name: str) -> str | None:
        """What the address says; None for nothing."""
        return self.request.query_params.get(name) or None

    @property
    def after(self) -> str | None:
        """Where the page of a list begins; None for its first one, and for what is no place."""
        after = self.asked("after") or ""
        return after if _PLACE.fullmatch(after) else None

    def given(self, name: str) -> str | None:
        """What the form says; None for nothing."""
        return next(iter(self.form.get(name, [])), None) or None

    def url(self, path: str, **query: str | None) -> str:
        """An address of this dashboard, wherever it is mounted."""
        wanted = {name: value for name, value in query.items() if value}
        return f"{root_of(self.request)}{path}{'?' if wanted else ''}{urlencode(wanted)}"

    @property
    def here(self) -> str:
        """The address of this page below the root."""
        query = self.request.url.query
        return f"{path_of(self.request)}{'?' if query else ''}{query}"

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """A page made of *template*."""
        said = self.request.cookies.get(_SAID_COOKIE)
        text = render(template, visit=self, csrf=self._csrf, said=said and unquote(said), **values)
        response = HTMLResponse(text, status)
        if CSRF_COOKIE not in self.request.cookies:
            self.set_cookie(response, CSRF_COOKIE, self._csrf)
        if said:
            response.delete_cookie(_SAID_COOKIE, path=self._cookie_path)
        return response

    @property
    def origin(self) -> str:
        """The page that the form is from, as it says; nothing but a path of ours, for nobody is led elsewhere by it."""
        path = self.given("back") or "/"
        return path if _OWN_PATH.fullmatch(path) else "/"

    def back(self, said: str, *, to: str | None = None) -> Response:
        """Go to a page of this dashboard, which then says what was done: *to*, or where the form says."""
        response = RedirectResponse(f"{root_of(self.request)}{to or self.origin}", 303)
        self.set_cookie(response, _SAID_COOKIE, quote(said[:_LONGEST_SAID]), max_age=_SAID_FOR)
        return response

    def set_cookie(self, response: Response, name: str, value: str, *, max_age: int | None = None) -> None:
        """A cookie that only this dashboard gets, and no script."""
        response.set_cookie(
            name,
            value,
            max_age=max_age,
            path=self._cookie_path,
            httponly=True,
            samesite="strict",
            secure=self.request.url.scheme == "https",
        )

    @property
    def _cookie_path(self) -> str:
        return root_of(self.request) or "/"
