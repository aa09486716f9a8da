"""Who gets past the guard: each threat against each route that there is, by a matrix that is made from the router."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskmill import Mill, Visitor
from taskmill._app.visitor import Role
from taskmill._web import guard, live
from taskmill._web.access import Tokens
from taskmill._web.api import table
from taskmill._web.api.routes import DOCUMENT
from taskmill._web.guard import CSRF_HEADER, HEADERS, LONGEST_BODY, Guard
from taskmill._web.site import ACTIONS, PAGES, Site, dashboard
from taskmill.errors import ConfigurationError
from tests.web.browser import ORIGIN, Answer, Browser

TOKEN, VIEW_TOKEN = "operate-0123456789abcdef", "view-0123456789abcdef"
TOKENS = Tokens({"operate": TOKEN, "view": VIEW_TOKEN})
SITE = Site(Mill("memory://").app, TOKENS)

ROUTES = [
    (method, route.path)
    for route in SITE.routes
    if isinstance(route, Route)
    for method in sorted((route.methods or set()) - {"HEAD"})
]
OPEN = [("GET", "/assets/{name}"), ("GET", "/login"), ("POST", "/login")]
CLOSED = [route for route in ROUTES if route not in OPEN]
READING = [path for method, path in CLOSED if method == "GET"]
ACTING = [path for method, path in CLOSED if method == "POST"]
FOR_PROGRAMS = {DOCUMENT, *(table.ROOT + path for path in (*table.READING, *table.ACTING))}
PAGES_READ = [path for path in READING if path not in FOR_PROGRAMS]
BODIES: Mapping[str, Any] = {
    "/api/v1/jobs": {"task": "add", "args": [2, 3]},
    "/api/v1/jobs/bulk": {"deed": "retry", "job_ids": ["nobody"]},
    "/api/v1/queues/{queue:path}/purge": {"what": "ended"},
}


def at(path: str) -> str:
    """An address that the route has."""
    named = re.sub(r"\{(\w+)(:path)?\}", lambda found: NAMES[found[1]], path)
    return named + ("?task=add" if path == "/enqueue" else "")


def act(browser: Browser, path: str, csrf: str | None = None, **headers: Any) -> Answer:
    """Do what that address is for, as a page of the dashboard does it; with another mark, if one is said."""
    mark = browser.token() if csrf is None else csrf
    if path not in FOR_PROGRAMS:
        return browser.post(at(path), {"csrf": mark or []}, **headers)
    given = {"origin": ORIGIN, "sec-fetch-site": "same-origin", "x-csrf-token": mark, **headers}
    return browser.send("POST", at(path), headers=given, body=json.dumps(BODIES.get(path)).encode())


NAMES = {
    "job_id": "nobody",
    "name": "taskmill.css",
    "queue": "default",
    "schedule": "nightly",
    "session": "77",
}


@pytest.fixture(scope="module")
def mill() -> Mill:
    mill = Mill("memory://")
    mill.task(name="add")(lambda a, b: a + b).enqueue(2, 3)
    return mill


@pytest.fixture(scope="module")
def site(mill: Mill) -> ASGIApp:
    return dashboard(mill.app, auth=TOKENS)


@pytest.fixture
def stranger(site: ASGIApp) -> Browser:
    """Somebody without a token."""
    return Browser(site)


def signed_in(site: ASGIApp, role: Role) -> Browser:
    browser = Browser(site)
    browser.cookies = {TOKENS.cookie: TOKENS.pass_for(role), "taskmill-csrf": "f" * 32}
    return browser


@pytest.fixture
def operator(site: ASGIApp) -> Browser:
    return signed_in(site, "operate")


@pytest.fixture
def viewer(site: ASGIApp) -> Browser:
    return signed_in(site, "view")


def test_the_matrix_is_of_all_routes() -> None:
    assert set(READING) == {*PAGES, "/live", DOCUMENT, *(table.ROOT + path for path in table.READING)}
    assert set(ACTING) == {*ACTIONS, *(table.ROOT + path for path in table.ACTING)}
    assert set(OPEN) <= set(ROUTES)


class TestWhoIsLetIn:
    @pytest.mark.parametrize("path", PAGES_READ)
    def test_nobody_sees_a_page_without_signing_in(self, path: str, stranger: Browser) -> None:
        answer = stranger.get(at(path))

        assert (answer.status, answer["location"]) == (303, "/login")
        assert stranger.get(at(path), accept="*/*").status == 401

    @pytest.mark.parametrize("path", sorted(FOR_PROGRAMS & {*READING}))
    def test_no_program_reads_without_a_token(self, path: str, stranger: Browser) -> None:
        answer = stranger.get(at(path))

        assert (answer.status, answer["content-type"]) == (401, "application/problem+json")

    @pytest.mark.parametrize("path", ACTING)
    def test_nobody_acts_without_signing_in(self, path: str, stranger: Browser) -> None:
        stranger.get("/login")

        assert act(stranger, path).status == 401

    @pytest.mark.parametrize("path", READING)
    def test_who_may_look_sees_every_page(self, path: str, viewer: Browser) -> None:
        assert viewer.get(at(path)).status == (404 if "{job_id}" in path else 200)

    @pytest.mark.parametrize("path", ACTING)
    def test_who_may_look_cannot_act(self, path: str, viewer: Browser) -> None:
        assert act(viewer, path).status == 403

    @pytest.mark.parametrize("path", READING)
    def test_who_may_look_is_offered_no_act(self, path: str, viewer: Browser) -> None:
        assert 'method="post"' not in viewer.get(at(path)).body

    @pytest.mark.parametrize("path", ACTING)
    def test_who_may_operate_can_act(self, path: str, operator: Browser) -> None:
        assert act(operator, path).status in {200, 201, 303, 404, 409}

    @pytest.mark.parametrize("token, role", [(TOKEN, "operate"), (VIEW_TOKEN, "view")])
    def test_a_token_lets_in_who_has_it(self, token: str, role: Role, stranger: Browser) -> None:
        stranger.get("/login")

        answer = stranger.post("/login", {"token": token})

        assert (answer.status, answer["location"]) == (303, "/")
        assert stranger.cookies[TOKENS.cookie] == TOKENS.pass_for(role)
        assert stranger.get("/").status == 200

    @pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "x", "ü" * 20, TOKEN.upper()])
    def test_a_wrong_token_is_refused(
        self, token: str, stranger: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("taskmill._web.access.DELAY", 0)
        stranger.get("/login")

        answer = stranger.post("/login", {"token": token})

        assert answer.status == 403
        assert stranger.get("/").status == 303

    def test_who_guesses_wrong_has_to_wait(self, stranger: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("taskmill._web.access.DELAY", 0.05)
        stranger.get("/login")
        wrong = {"authorization": f"Bearer {TOKEN}x"}

        for guess in (
            lambda: stranger.post("/login", {"token": "x"}),
            lambda: stranger.send("GET", "/api/v1/jobs", headers=wrong),
            lambda: stranger.send("GET", "/", headers=wrong),
        ):
            began_at = time.monotonic()
            guess()
            assert time.monotonic() - began_at >= 0.05

    def test_who_may_look_has_not_the_token_of_who_may_act(self) -> None:
        with pytest.raises(ConfigurationError, match="make another one"):
            Tokens({"operate": TOKEN, "view": TOKEN})

    @pytest.mark.parametrize("value", ["", "x", TOKEN, TOKENS.pass_for("view")[:-1], "ü"])
    def test_nobody_makes_the_cookie_himself(self, value: str, stranger: Browser) -> None:
        stranger.cookies[TOKENS.cookie] = value

        assert stranger.get("/").status == 303

    def test_the_cookies_are_for_no_script_and_no_other_site(self, stranger: Browser) -> None:
        first = stranger.get("/login")
        second = stranger.post("/login", {"token": TOKEN})

        cookies = [
            value for answer in (first, second) for name, value in answer.headers if name == "set-cookie"
        ]
        assert len(cookies) >= 2
        for cookie in cookies:
            assert {"httponly", "samesite=strict", "path=/"} <= {
                part.strip().lower() for part in cookie.split(";")
            }
        assert TOKEN not in "".join(cookies)

    def test_the_function_of_an_application_says_who_is_let_in(self, mill: Mill) -> None:
        async def auth(request: Any) -> Visitor | None:
            name = request.headers.get("x-user")
            return Visitor(name, "operate" if name == "ann" else "view") if name else None

        browser = Browser(mill.dashboard(auth=auth))

        assert browser.get("/").status == 401
        assert browser.get("/", x_user="bob").status == 200
        assert browser.post("/schedules/run", x_user="bob").status == 403
        assert browser.post("/schedules/run", x_user="ann").status == 303

    def test_who_fails_to_say_who_it_is_lets_nobody_in(self, mill: Mill) -> None:
        def auth(request: Any) -> Visitor:
            raise LookupError("no such session")

        for path in ("/", "/api/v1/jobs", "/live"):
            with pytest.raises(LookupError):
                Browser(mill.dashboard(auth=auth)).get(path)

    @pytest.mark.parametrize("answer", [True, "operate", ("ann", "operate"), {"role": "operate"}])
    def test_what_is_no_visitor_is_nobody(self, answer: Any, mill: Mill) -> None:
        assert Browser(mill.dashboard(auth=lambda request: answer)).get("/").status == 401


class TestWhereItIsSentTo:
    @pytest.mark.parametrize("method, path", ROUTES)
    @pytest.mark.parametrize(
        "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::2]", None]
    )
    def test_under_a_foreign_name_nothing_is_answered(
        self, method: str, path: str, host: str | None, operator: Browser
    ) -> None:
        headers = {"host": host, "origin": ORIGIN, "sec-fetch-site": "same-origin"}

        assert operator.send(method, at(path), headers=headers).status == 421

    @pytest.mark.parametrize(
        "host", ["localhost", "LOCALHOST:8765", "127.0.0.1:1", "[::1]:99", "[::1]", "localhost."]
    )
    def test_under_its_own_names_it_is(self, host: str, operator: Browser) -> None:
        assert operator.get("/", host=host).status == 200

    def test_a_name_that_was_given_is_one_of_them(self, mill: Mill) -> None:
        browser = Browser(mill.dashboard(auth=None, hosts=["Jobs.example.org"]))

        assert browser.get("/", host="jobs.example.org").status == 200
        assert browser.get("/", host="localhost").status == 421


FOREIGN: dict[str, Mapping[str, str | None]] = {
    "of another site": {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    "of another port": {"origin": "http://localhost:1", "sec-fetch-site": "same-site"},
    "of another site, by an old browser": {"origin": "https://evil.example", "sec-fetch-site": None},
    "of a sandbox": {"origin": "null", "sec-fetch-site": "cross-site"},
    "of nobody": {"origin": None, "sec-fetch-site": None},
    "of a sandbox, by an old browser": {"origin": "null", "sec-fetch-site": None},
    "that somebody typed": {"origin": None, "sec-fetch-site": "none"},
    "of no address": {"origin": "http://[", "sec-fetch-site": "same-origin"},
    "that contradicts itself": {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
}


class TestWhoSentTheForm:
    @pytest.mark.parametrize("path", [*ACTING, "/login"])
    @pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
    def test_a_form_from_elsewhere_is_refused(
        self, path: str, headers: Mapping[str, str | None], operator: Browser
    ) -> None:
        assert act(operator, path, **headers).status == 403

    @pytest.mark.parametrize("path", [*ACTING, "/login"])
    @pytest.mark.parametrize("token", ["", "0" * 32, "ü"])
    def test_a_form_without_our_mark_is_refused(self, path: str, token: str, operator: Browser) -> None:
        assert act(operator, path, token).status == 403

    @pytest.mark.parametrize("path", [*ACTING, "/login"])
    def test_no_mark_and_no_cookie_are_not_the_same_mark(self, path: str, operator: Browser) -> None:
        operator.token()
        del operator.cookies["taskmill-csrf"]
        headers = {"origin": ORIGIN, "sec-fetch-site": "same-origin"}

        assert operator.send("POST", at(path), headers=headers, body=b"csrf=").status == 403
        assert operator.send("POST", at(path), headers=headers, body=b"").status == 403

    @pytest.mark.parametrize("headers", [{"sec_fetch_site": None}, {"origin": None}])
    def test_one_of_the_two_signs_of_browsers_is_enough(self, headers: Any, operator: Browser) -> None:
        assert operator.post("/schedules/run", **headers).status == 303


ACTING_PROGRAMS = [path for path in ACTING if path in FOR_PROGRAMS]


class TestPrograms:
    """A token in a header lets in, and stands for the mark of forms, which no page of another site can do."""

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("taskmill._web.access.DELAY", 0)

    def send(self, site: ASGIApp, path: str, token: str, method: str = "POST", **headers: Any) -> Answer:
        given = {"authorization": f"Bearer {token}", **headers}
        return Browser(site).send(method, at(path), headers=given, body=json.dumps(BODIES.get(path)).encode())

    @pytest.mark.parametrize("path", sorted(FOR_PROGRAMS & {*READING}))
    @pytest.mark.parametrize(
        "token, status", [(VIEW_TOKEN, 200), (TOKEN, 200), (TOKEN + "x", 401), ("", 401)]
    )
    def test_a_token_reads(self, path: str, token: str, status: int, site: ASGIApp) -> None:
        is_missing = status == 200 and "{job_id}" in path

        assert self.send(site, path, token, "GET").status == (404 if is_missing else status)

    @pytest.mark.parametrize("path", ACTING_PROGRAMS)
    @pytest.mark.parametrize(
        "token, statuses", [(TOKEN, {200, 201, 404, 409}), (VIEW_TOKEN, {403}), (TOKEN + "x", {401})]
    )
    def test_a_token_acts(self, path: str, token: str, statuses: set[int], site: ASGIApp) -> None:
        assert self.send(site, path, token).status in statuses

    @pytest.mark.parametrize("path", ACTING_PROGRAMS)
    @pytest.mark.parametrize("headers", [each for each in FOREIGN.values() if any(each.values())])
    def test_with_a_token_too_nothing_is_taken_from_another_site(
        self, path: str, headers: Mapping[str, Any], site: ASGIApp
    ) -> None:
        assert self.send(site, path, TOKEN, **headers).status == 403

    @pytest.mark.parametrize("path", [path for path in ACTING if path not in FOR_PROGRAMS])
    def test_it_is_no_mark_for_forms(self, path: str, site: ASGIApp) -> None:
        headers = {"origin": ORIGIN, "sec_fetch_site": "same-origin"}

        assert self.send(site, path, TOKEN).status == 403
        assert self.send(site, path, TOKEN, **headers).status == 403

    def test_a_wrong_token_is_not_helped_by_a_cookie(self, operator: Browser) -> None:
        answer = operator.send("GET", "/api/v1/jobs", headers={"authorization": "Bearer wrong"})

        assert answer.status == 401

    @pytest.mark.parametrize("scheme", ["Basic", "Digest", ""])
    def test_what_browsers_send_by_themselves_is_no_token(self, scheme: str, mill: Mill) -> None:
        browser = Browser(mill.dashboard(auth=None))

        answer = browser.send(
            "POST", "/api/v1/queues/default/pause", headers={"authorization": f"{scheme} x"}, body=b""
        )

        assert answer.status == 403


class TestWhatIsAskedFor:
    @pytest.mark.parametrize("path", ACTING)
    def test_a_link_does_nothing(self, path: str, mill: Mill, operator: Browser) -> None:
        version = mill.app.storage.version()

        answer = operator.get(at(path))

        # What stands behind the name of a queue can belong to the name of another one; and jobs can be read there.
        assert answer.status in ({200} if path in READING or "{queue" in path else {404, 405})
        assert mill.app.storage.version() == version

    @pytest.mark.parametrize("method, path", ROUTES)
    @pytest.mark.parametrize("verb", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
    def test_other_verbs_are_refused(self, method: str, path: str, verb: str, operator: Browser) -> None:
        headers = {"origin": ORIGIN, "sec-fetch-site": "same-origin"}

        assert operator.send(verb, at(path), headers=headers).status == 405

    @pytest.mark.parametrize("path", ACTING)
    def test_what_is_too_long_is_not_read(self, path: str, operator: Browser) -> None:
        assert operator.post(at(path), {"id": "x" * LONGEST_BODY}).status == 413

    @pytest.mark.parametrize("path", ACTING)
    def test_what_comes_too_slowly_is_not_waited_for(
        self, path: str, operator: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(guard, "LONGEST_WAIT", 0.001)
        operator.holds_back = True

        assert operator.post(at(path)).status == 408

    @pytest.mark.parametrize("after", ["x", "-1", "9" * 40, "9" * 5_000, "٣", "1e3", "0"])
    @pytest.mark.parametrize("path", ["/jobs", "/audit"])
    def test_a_place_in_a_list_that_is_none_is_its_beginning(
        self, path: str, after: str, tmp_path: Path
    ) -> None:
        mill = Mill(f"sqlite:///{tmp_path / 'jobs.db'}?durability=normal")
        mill.app.storage.jobs.add([])

        assert Browser(mill.dashboard(auth=None)).get(f"{path}?{urlencode({'after': after})}").status == 200
        mill.close()

    def test_no_more_pages_are_kept_told_than_the_server_can_bear(
        self, operator: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(live, "_MOST_STREAMS", 0)

        assert operator.get("/live").status == 503

    @pytest.mark.parametrize("path", ["/jobs/act", "/api/v1/jobs"])
    def test_what_was_sent_can_be_read_again_within(self, path: str, mill: Mill, operator: Browser) -> None:
        async def inner(scope: Scope, receive: Receive, send: Send) -> None:
            read = await Request(scope, receive).body()
            await PlainTextResponse(read)(scope, receive, send)

        operator.token()
        operator.site = Guard(inner, auth=TOKENS, hosts=["localhost"])

        assert operator.post(path, {"said": "once"}, **{CSRF_HEADER: operator.token()}).body.endswith(
            "said=once"
        )

    @pytest.mark.parametrize("body", [b"\xff\xfe", b"a=1&" * 20_000])
    def test_what_is_no_form_is_refused(self, body: bytes, operator: Browser) -> None:
        headers = {"origin": ORIGIN, "sec-fetch-site": "same-origin"}

        assert operator.send("POST", "/jobs/act", headers=headers, body=body).status == 400

    @pytest.mark.parametrize(
        "path", ["/nowhere", "/assets/../site.py", "/assets/%2e%2e%2fsite.py", "/assets/", "/jobs/a/b/c"]
    )
    def test_what_there_is_not_is_not_found(self, path: str, operator: Browser) -> None:
        assert operator.get(path).status == 404

    @pytest.mark.parametrize(
        "to", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
    )
    def test_no_form_leads_elsewhere(self, to: str, operator: Browser) -> None:
        assert operator.post("/jobs/act", {"back": to})["location"] == "/"

    def test_a_web_socket_is_closed(self, mill: Mill) -> None:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        asyncio.run(
            Browser(mill.dashboard(auth=None)).site({"type": "websocket", "path": "/"}, receive, send)
        )

        assert [message["type"] for message in sent] == ["websocket.close"]


class TestWhatIsSaidToBrowsers:
    @pytest.mark.parametrize("method, path", ROUTES)
    @pytest.mark.parametrize(
        "make",
        [lambda site: signed_in(site, "operate"), Browser],
        ids=["operator", "stranger"],
    )
    def test_every_answer_has_all_headers(
        self, method: str, path: str, make: Callable[[ASGIApp], Browser], site: ASGIApp
    ) -> None:
        answer = getattr(make(site), method.lower())(at(path))

        assert {name: answer[name] for name in HEADERS} == HEADERS
        assert "access-control-allow-origin" not in dict(answer.headers)
        assert answer["cache-control"] == "no-store" or path == "/assets/{name}"

    def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere(self) -> None:
        policy = HEADERS["content-security-policy"]

        assert "unsafe" not in policy
        assert "http" not in policy
        assert {
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        } <= set(policy.split("; "))


class TestWhereItIsMounted:
    @pytest.mark.parametrize("path", sorted(PAGES))
    def test_all_addresses_lie_below_that(self, path: str, mill: Mill) -> None:
        browser = Browser(mill.dashboard(auth=None), root="/ops/jobs")

        body = browser.get(at(path)).body

        addresses = [
            part.partition('"')[0]
            for name in ("href=", "src=", "action=", "data-live=")
            for part in body.split(f'{name}"')[1:]
        ]
        assert addresses
        assert all(
            address.startswith(("/ops/jobs/", "#")) or address == "/ops/jobs" for address in addresses
        ), addresses
        assert browser.post("/schedules/run")["location"] == "/ops/jobs/schedules"
