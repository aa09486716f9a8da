"""The connections of a process to its server, and patience with it.

Each call has a connection for itself, so that threads do not wait for each other. One that fails is closed, and the
call repeated on a new one, with full jitter, until the URL's timeout is over: a server that was away is not met by a
crowd. Only what does nothing twice is repeated after it was sent.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis
from hiredis import pack_command

from taskmill._storage import forks
from taskmill._storage.redis import encryption, trouble
from taskmill._storage.redis.address import Address
from taskmill._storage.redis.opening import Opening
from taskmill._storage.redis.scripts import script
from taskmill.errors import StoreRefused, StoreUnavailable

T = TypeVar("T")

_SHORTEST, _LONGEST = 0.01, 0.5
# The timeout of a last try, which must leave the server a chance.
_LEAST = 0.05
_MOST_IDLE = 16
_NO_RETRY: Any = redis.retry.Retry(redis.backoff.NoBackoff(), 0)


class Link:
    """Calls to the server of one mill."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._base = address.base
        self._opening = Opening(address)
        self._is_reached = False
        self._idle: deque[Any] = deque()
        # A cluster says where the keys of this mill are; all are in one place. Where that is lost, the server of the
        # URL knows the next one, unless it is away itself.
        self._place = self._elsewhere = (address.host, address.port)
        forks.watch(self)

    def run(
        self,
        name: str,
        *arguments: str | bytes | float,
        clock: str = "",
        once: bool = False,
        peeks: bool = False,
    ) -> Any:
        """Run the script of that name; *once*: it is not repeated when its reply was lost.

        *peeks*: nothing is made where there is no store yet.
        """
        operation = script(name)
        told = (1, self._base, clock, *arguments)
        # Packed here: redis-py looks at each argument again, and a bulk has thousands.
        command: Any = ("EVALSHA", operation.digest, *told)

        def exchange(connection: Any) -> Any:
            connection.send_packed_command([pack_command(command)])
            try:
                return connection.read_response()
            except trouble.NO_SCRIPT:
                connection.send_command("EVAL", operation.text, *told)
                return connection.read_response()

        return self._do(exchange, once=once, peeks=peeks)

    def ask(self, command: str, *arguments: str | float, peeks: bool = False) -> Any:
        """Give a plain command that only reads."""

        def exchange(connection: Any) -> Any:
            connection.send_command(command, *arguments)
            return connection.read_response()

        return self._do(exchange, peeks=peeks)

    def check(self) -> None:
        """Look at the store's mark once more; SchemaTooNew if this taskmill must not go on."""
        self._do(self._opening.mark)

    def look_at(self, look: Callable[[Any, str], T]) -> T:
        """Have *look* ask some things that only read, on one connection; it is told what keys begin with."""
        return self._do(lambda connection: look(connection, self._base), peeks=True)

    def key(self, name: str) -> str:
        return self._base + name

    def connect(self, timeout: float) -> Any:
        """A connection of one's own, for who listens."""
        connection = self._make(timeout)
        connection.connect()
        return connection

    def close(self) -> None:
        """Close the connections that nobody uses; the next call opens others."""
        while self._idle:
            self._idle.pop().disconnect()

    # --- one call

    def _do(self, exchange: Callable[[Any], T], *, once: bool = False, peeks: bool = False) -> T:
        begun = time.monotonic()
        tries = 0
        while True:
            is_sent = False
            connection = None
            place = self._place
            try:
                connection = self._take(begun, peeks=peeks, is_first=not tries, once=once)
                is_sent = True
                reply = exchange(connection)
            except trouble.MOVED as error:
                self._drop(connection)
                self._place = (error.host or self.address.host, error.port)
                self._elsewhere = (self.address.host, self.address.port)
                self._rest(begun, tries, error, is_over=False)
            except (*trouble.LOST, *trouble.PASSING) as error:
                self._drop(connection)
                if isinstance(error, trouble.REFUSED):
                    raise trouble.translate(self.address, error) from error
                is_passing = isinstance(error, trouble.PASSING)
                if is_passing:
                    self._is_reached = True
                else:
                    self._leave(place)
                self._rest(begun, tries, error, is_over=once and is_sent and not is_passing)
            except trouble.ANSWERED as error:
                self._give_back(connection, is_first=not tries)
                raise trouble.translate(self.address, error) from error
            except UnicodeEncodeError as error:
                self._give_back(connection, is_first=not tries)
                raise StoreRefused(f"Redis keeps text as UTF-8, which cannot hold it: {error}") from error
            except BaseException:
                # Interrupted (Ctrl-C): a reply may be under way that is nobody's.
                self._drop(connection)
                raise
            else:
                self._is_reached = True
                self._give_back(connection, is_first=not tries)
                return reply
            tries += 1

    def _leave(self, place: tuple[str, int]) -> None:
        """Go elsewhere from a *place* that is lost, if nobody has done so meanwhile."""
        if self._place == place != self._elsewhere:
            self._place, self._elsewhere = self._elsewhere, place
            self.close()

    def _rest(self, begun: float, tries: int, error: Exception, *, is_over: bool) -> None:
        """Wait for the next try, or say that there is none."""
        waited = time.monotonic() - begun
        rest = random.uniform(0, min(_LONGEST, _SHORTEST * 2**tries))  # noqa: S311  (spreads retries, no secret)
        is_last = is_over or waited + rest >= self.address.timeout
        # One that was reached before is away: its URL is right. What a server says to TLS, only TLS is told.
        if not self._is_reached and (is_last or self.address.is_encrypted):
            mistake = encryption.mistake(self.address, error)
            if mistake is not None:
                raise StoreUnavailable(mistake) from error
        if is_last:
            # The other connections are most likely no better.
            self.close()
            raise trouble.unavailable(self.address, error, waited) from error
        time.sleep(rest)

    def _take(self, begun: float, *, peeks: bool, is_first: bool, once: bool) -> Any:
        connection = self._pop(once=once) if is_first else None
        if connection is None:
            remaining = self.address.timeout - (time.monotonic() - begun)
            connection = self.connect(max(_LEAST, remaining))
        if not peeks:
            try:
                self._opening.check(connection)
            except BaseException:
                connection.disconnect()
                raise
        return connection

    def _pop(self, *, once: bool) -> Any:
        """A connection that nobody uses, if there is one; for a call that is not repeated, one that was not closed."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not once or not _is_closed(connection):
                return connection
            self._drop(connection)

    def _make(self, timeout: float) -> Any:
        address = self.address
        host, port = self._place
        options: dict[str, Any] = {
            "host": host,
            "port": port,
            "db": address.database,
            "username": address.user,
            "password": address.password,
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "socket_keepalive": True,
            "retry": _NO_RETRY,
            "protocol": 2,
        }
        if address.is_encrypted:
            return redis.SSLConnection(**options, ssl_ca_certs=address.ca_certs)
        return redis.Connection(**options)

    def _give_back(self, connection: Any, *, is_first: bool) -> None:
        # None was refused while it was opened. One of a later try has a shorter timeout.
        if connection is not None and is_first and len(self._idle) < _MOST_IDLE:
            self._idle.append(connection)
        else:
            self._drop(connection)

    @staticmethod
    def _drop(connection: Any) -> None:
        if connection is not None:
            connection.disconnect()

    # --- forks: no connection crosses one

    @property
    def mutexes(self) -> Sequence[forks.Mutex]:
        return ()

    def before_fork(self) -> None:
        self.close()

    def after_fork_in_child(self) -> None:
        """Nothing: what other threads use stays theirs, in the parent."""


def _is_closed(connection: Any) -> bool:
    """Whether the server has closed it: on one that is well, nothing is to be read between two calls."""
    try:
        return bool(connection.can_read(timeout=0))
    except trouble.LOST:
        return True
