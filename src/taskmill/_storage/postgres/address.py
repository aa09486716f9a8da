"""Where the store is, and how a connection to it is made: from the URL to what libpq wants."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from taskmill._core.wording import nearest
from taskmill._storage.postgres.connection import Connection
from taskmill._storage.urls import check_options
from taskmill.errors import InvalidURL

DEFAULT_TIMEOUT = 5.0
DEFAULT_CONNECTIONS = 10
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_OPTIONS = ("timeout", "connections", "listen")

# A peer that is gone without a word is noticed within 15 s, where the URL says nothing else: while nothing is under way
# by these probes, and where an answer is due by what was sent and not acknowledged.
_WATCHFUL = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A database, and the options of taskmill's own.

    - `timeout`: seconds to go on trying while the server cannot be reached or is busy.
    - `connections`: the most that this process opens for its operations.
    - `listen`: host and port of a way around a pooler of connections, for notifications.
    """

    url: str
    shown: str
    conninfo: str
    timeout: float = DEFAULT_TIMEOUT
    connections: int = DEFAULT_CONNECTIONS
    listen: str = ""

    def connect(self, conninfo: str = "") -> Connection:
        """A new connection; each statement is a transaction by itself.

        It may be one of a pooler, which gives each transaction another one: no setting is used that would belong to it,
        and no statement is prepared but by `Connection.text`, which gets over it.
        """
        return Connection.connect(conninfo or self.conninfo, autocommit=True, prepare_threshold=None)

    def connect_to_listen(self) -> Connection:
        """A connection that notifications come through, if any do."""
        if not self.listen:
            return self.connect()
        host, _, port = self.listen.rpartition(":")
        return self.connect(make_conninfo(self.conninfo, host=host, port=port))


def address(url: str, shown: str) -> Address:
    """What *url* says; InvalidURL where it says what cannot be."""
    try:
        parts = urlsplit(url)
    except ValueError:
        # Its text, and a traceback with it, would quote the password.
        raise InvalidURL(shown, "its host cannot be read: special characters are percent-encoded") from None
    check_options(
        shown, parts.query, [*_OPTIONS, *_options_of_libpq()], f"{', '.join(_OPTIONS)} and those of libpq"
    )
    options = parse_qsl(parts.query, keep_blank_values=True)
    own = {name: value for name, value in options if name in _OPTIONS}
    # What libpq is told stays as it is written: a + is a plus there.
    rest = "&".join(each for each in parts.query.split("&") if each.partition("=")[0] not in own)
    place = url[len(parts.scheme) :].partition("?")[0]
    try:
        given: dict[str, Any] = conninfo_to_dict(f"{parts.scheme}{place}?{rest}")
    except psycopg.Error as error:
        # It quotes what it cannot read, which may be a part of the password.
        told = re.sub('".*"', '"***"', str(error), flags=re.DOTALL)
        raise InvalidURL(shown, " ".join(told.split())) from None
    if given.get("sslmode", "prefer") not in _SSL_MODES:
        hint = nearest(given["sslmode"], _SSL_MODES)
        raise InvalidURL(shown, f"sslmode={given['sslmode']}{hint} is none of {', '.join(_SSL_MODES)}")
    timeout = _timeout(shown, own)
    fixed = {
        "client_encoding": "UTF8",
        "connect_timeout": max(2, math.ceil(timeout)),
        "application_name": "taskmill",
    }
    return Address(
        url=url,
        shown=shown,
        conninfo=make_conninfo("", **{**fixed, **_WATCHFUL, **given}),
        timeout=timeout,
        connections=_connections(shown, own),
        listen=_listen(shown, own),
    )


def _options_of_libpq() -> list[str]:
    # The last one is that of URLs only, as JDBC has it.
    return [*(option.keyword.decode() for option in Conninfo.get_defaults()), "ssl"]


def _timeout(shown: str, own: dict[str, str]) -> float:
    try:
        timeout = float(own.get("timeout", DEFAULT_TIMEOUT))
    except ValueError:
        timeout = math.nan
    if not 0 <= timeout < math.inf:
        raise InvalidURL(shown, f"timeout={own['timeout']} is no number of seconds")
    return timeout


def _connections(shown: str, own: dict[str, str]) -> int:
    text = own.get("connections", str(DEFAULT_CONNECTIONS))
    if not text.isdecimal() or not int(text):
        raise InvalidURL(shown, f"connections={text} is no number of connections from 1 up")
    return int(text)


def _listen(shown: str, own: dict[str, str]) -> str:
    listen = own.get("listen", "")
    host, _, port = listen.rpartition(":")
    if listen and not (host and port.isdecimal()):
        raise InvalidURL(shown, f"listen={listen} is no host:port")
    return listen
