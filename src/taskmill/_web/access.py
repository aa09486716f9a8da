"""Who is let in: a function of the application says so, or a token that was handed to the dashboard."""

from __future__ import annotations

import hashlib
import hmac
import inspect
from collections.abc import Awaitable, Callable, Mapping

import anyio
from starlette.requests import HTTPConnection

from taskmill._app.visitor import Role, Visitor
from taskmill.errors import ConfigurationError

Auth = Callable[[HTTPConnection], Visitor | Awaitable[Visitor | None] | None]
"""Says who sends a request; None: nobody who may look."""

SHORTEST_TOKEN = 16
DELAY = 1.0
"""So long, in seconds, somebody waits who has guessed wrong."""


class Tokens:
    """Whoever shows one of these is let in: people once, from then on by a cookie without it; programs each time."""

    def __init__(self, tokens: Mapping[Role, str]) -> None:
        for token in tokens.values():
            if len(token) < SHORTEST_TOKEN:
                raise ConfigurationError(
                    f"a token has {SHORTEST_TOKEN} characters or more, for example of: openssl rand -hex 16"
                )
        if len({*tokens.values()}) < len(tokens):
            raise ConfigurationError("who may look has the token of who may act: make another one")
        self._tokens = {role: token.encode() for role, token in tokens.items()}
        # Two dashboards on one host share their cookies, whatever their ports.
        mark = hashlib.sha256(b"\0".join(self._tokens.values())).hexdigest()[:8]
        self.cookie = f"taskmill-{mark}"

    def role_of(self, token: str) -> Role | None:
        """What somebody with this *token* may do."""
        roles = [
            role
            for role, known in self._tokens.items()
            if hmac.compare_digest(known, token.encode("utf-8", "replace"))
        ]
        return roles[0] if roles else None

    def pass_for(self, role: Role) -> str:
        """The cookie's value; good as long as the token is."""
        return hmac.new(self._tokens[role], b"taskmill dashboard", hashlib.sha256).hexdigest()

    async def __call__(self, connection: HTTPConnection) -> Visitor | None:
        token = token_in(connection)
        if token is not None:
            role = self.role_of(token)
            if role is None:
                await anyio.sleep(DELAY)
            return None if role is None else Visitor("token", role)
        shown = connection.cookies.get(self.cookie, "").encode("utf-8", "replace")
        for role in self._tokens:
            if hmac.compare_digest(self.pass_for(role).encode(), shown):
                return Visitor("token", role)
        return None


def everybody(connection: HTTPConnection) -> Visitor:  # noqa: ARG001  (as all that say who is let in)
    """For ``auth=None``: who else guards the door has let him in."""
    return Visitor("anybody", "operate")


def token_in(connection: HTTPConnection) -> str | None:
    """What a program shows in its header."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def visitor_of(auth: Auth, connection: HTTPConnection) -> Visitor | None:
    """Whom *auth* lets in; anything but a Visitor is nobody."""
    answer = auth(connection)
    visitor = await answer if inspect.isawaitable(answer) else answer
    return visitor if isinstance(visitor, Visitor) else None
