"""The dashboard alone, by a server of its own."""

from __future__ import annotations

import logging
import secrets
import signal
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

import uvicorn

from taskmill._app.application import Application
from taskmill._app.listening import listen
from taskmill._app.visitor import Role
from taskmill._web.access import Tokens
from taskmill._web.guard import LOOPBACK, Guard
from taskmill._web.site import Site
from taskmill.errors import ConfigurationError

_logger = logging.getLogger("taskmill.dashboard")
_LONGEST_WAIT = 5
_ENDING = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Where to listen (port 0: any that is free), and who is let in.

    Without *tokens*, one is made by chance, which lets its owner do what *role* says. *names*: what browsers may call
    the site, beside its host.
    """

    host: str = "127.0.0.1"
    port: int = 0
    tokens: Mapping[Role, str] = field(default_factory=dict)
    role: Role = "operate"
    names: Collection[str] = ()


class Server:
    """Listens from the first moment on; `run` serves until it is told to stop."""

    def __init__(self, app: Application, options: ServerOptions) -> None:
        if not options.tokens and not is_loopback(options.host):
            raise ConfigurationError(
                f"others could reach {options.host}: set TASKMILL_DASHBOARD_TOKEN to a token of your own (such as of "
                "openssl rand -hex 16), so that not everybody who finds it gets in"
            )
        if not options.names and not is_loopback(options.host):
            _logger.warning(
                "%s is served over plain HTTP: whoever is on the way there reads tokens and jobs; put a proxy with TLS "
                "before it, and name it with --allow-host",
                options.host,
            )
        tokens = options.tokens or {options.role: secrets.token_hex(16)}
        auth = Tokens(tokens)
        self._socket = listen(options.host, options.port)
        self.port = int(self._socket.getsockname()[1])
        self._host = options.host
        self._token = None if options.tokens else next(iter(tokens.values()))
        hosts = {*LOOPBACK, *options.names, *_names_of(options.host)}
        self._site = Site(app, auth)
        config = uvicorn.Config(
            Guard(self._site, auth=auth, hosts=hosts),
            lifespan="off",
            # Who has a proxy names it. Else any program of this machine could say that it is another one.
            proxy_headers=bool(options.names),
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            timeout_keep_alive=_LONGEST_WAIT,
            timeout_graceful_shutdown=1,
        )
        self._server = _Uvicorn(config)

    @property
    def url(self) -> str:
        """Where to go with a browser; with the token, where that was made here."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        sign_in = f"/login?token={self._token}" if self._token else "/"
        return f"http://{host}:{self.port}{sign_in}"

    def run(self) -> None:
        """Serve until `stop`; in the main thread, until SIGINT or SIGTERM too."""
        with closing(self._site.reader), closing(self._socket), self._listening():
            self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Let `run` return."""
        self._server.should_exit = True

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """To signals, where Python lets a thread do that."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, lambda *_: self.stop()) for number in _ENDING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Uvicorn(uvicorn.Server):
    """It ends by our signal handlers: by its own it would raise the signal once more, and nothing be tidied up."""

    def install_signal_handlers(self) -> None:
        """None; of uvicorn before 0.29."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _names_of(host: str) -> Iterator[str]:
    """What browsers call it; nobody calls it by an address that stands for all."""
    if host not in {"0.0.0.0", "::"}:  # noqa: S104  (compared, not bound to)
        yield f"[{host}]" if ":" in host else host
