"""A browser's requests without a browser: an ASGI application is called as a server calls it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from starlette.types import ASGIApp, Message

ORIGIN = "http://localhost"


class Answer(NamedTuple):
    """What came back; `body` is only its beginning where it does not end by itself."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: str

    def __getitem__(self, name: Any) -> Any:
        return next((value for key, value in self.headers if key == name), None)

    def cookies(self) -> dict[str, str]:
        return dict(
            value.partition(";")[0].split("=", 1) for name, value in self.headers if name == "set-cookie"
        )


class Browser:
    """Keeps its cookies, and sends what browsers send along; one that *holds_back* never comes to an end of it."""

    def __init__(self, site: ASGIApp, *, root: str = "") -> None:
        self.site = site
        self.root = root
        self.cookies: dict[str, str] = {}
        self.holds_back = False

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, headers={"accept": "text/html", **headers})

    def post(self, path: str, form: Mapping[str, Any] | None = None, **headers: str) -> Answer:
        """Send a form as a page of the site does."""
        fields = {"csrf": self.token(), **(form or {})}
        return self.send(
            "POST",
            path,
            headers={"origin": ORIGIN, "sec-fetch-site": "same-origin", **headers},
            body=urlencode(fields, doseq=True).encode(),
        )

    def token(self) -> str:
        """What the forms of the site hold."""
        if "taskmill-csrf" not in self.cookies:
            self.get("/")
        return self.cookies.get("taskmill-csrf", "")

    def send(self, method: str, path: str, *, headers: Mapping[str, str | None], body: bytes = b"") -> Answer:
        parts = urlsplit(path)
        given: dict[str, str | None] = {"host": "localhost"}
        if self.cookies:
            given["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": self.root + re.sub(r"%([0-9A-F]{2})", lambda m: chr(int(m[1], 16)), parts.path),
            "raw_path": parts.path.encode(),
            "root_path": self.root,
            "query_string": parts.query.encode(),
            "headers": [
                (name.encode(), value.encode("latin-1")) for name, value in given.items() if value is not None
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        answer = asyncio.run(_called(self.site, scope, None if self.holds_back else body))
        self.cookies |= answer.cookies()
        return answer


async def _called(site: ASGIApp, scope: dict[str, Any], body: bytes | None) -> Answer:
    """With no body, one that never comes to its end."""
    incoming: list[Message] = [{"type": "http.request", "body": body or b"", "more_body": body is None}]
    status, headers, chunks = 0, [], []
    enough = asyncio.Event()

    async def receive() -> Message:
        if incoming:
            return incoming.pop()
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = [(name.decode(), value.decode("latin-1")) for name, value in message["headers"]]
            return
        chunks.append(message.get("body", b""))
        # A stream of events has no end: its first one is enough.
        if chunks[-1].startswith(b"event:"):
            enough.set()

    await site(scope, receive, send)
    enough.set()
    return Answer(status, headers, b"".join(chunks).decode())
