"""Where a mill lies: from the URL to the server, what to say to get in, and the name that its keys begin with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from taskmill._storage.urls import check_options
from taskmill.errors import InvalidURL

DEFAULT_TIMEOUT = 5.0
_PORT = 6379
_OPTIONS = ("name", "timeout", "ca_certs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A mill in a server.

    - `name`: what its keys begin with, in braces, so that a cluster keeps them together; several mills can lie in one
      server.
    - `timeout`: seconds within which a call returns or raises.
    - `ca_certs`: the file with whom to trust, for TLS; None: whom the system trusts.
    """

    host: str
    port: int
    database: int
    user: str | None
    password: str | None
    is_encrypted: bool
    name: str
    timeout: float
    ca_certs: str | None

    @property
    def base(self) -> str:
        return f"{{{self.name}}}:"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"


def address(url: str, shown: str) -> Address:
    """What *url* says; InvalidURL where it says what cannot be."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORT
    except ValueError:
        # Its text, and a traceback with it, would quote the password.
        raise InvalidURL(
            shown,
            "its host and port cannot be read: a port is a number, other characters are percent-encoded",
        ) from None
    check_options(shown, parts.query, _OPTIONS, ", ".join(_OPTIONS))
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Address(
        host=parts.hostname or "localhost",
        port=port,
        database=_database(shown, parts),
        user=unquote(parts.username or "") or None,
        password=unquote(parts.password or "") or None,
        is_encrypted=parts.scheme.lower() in {"rediss", "valkeys"},
        name=_name(shown, options.get("name", "taskmill")),
        timeout=_timeout(shown, options.get("timeout", str(DEFAULT_TIMEOUT))),
        ca_certs=options.get("ca_certs"),
    )


def _database(shown: str, parts: SplitResult) -> int:
    text = parts.path.strip("/") or "0"
    if not (text.isascii() and text.isdecimal()):
        raise InvalidURL(shown, f"a database of Redis has a number, and {text!r} is none")
    return int(text)


def _name(shown: str, name: str) -> str:
    if not name or not name.isprintable() or set(name) & set("{}"):
        raise InvalidURL(shown, f"name={name} is no name of a mill: printable text without braces is one")
    return name


def _timeout(shown: str, text: str) -> float:
    try:
        timeout = float(text)
    except ValueError:
        timeout = math.nan
    if not 0 <= timeout < math.inf:
        raise InvalidURL(shown, f"timeout={text} is no number of seconds")
    return timeout
