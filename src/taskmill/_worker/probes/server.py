"""The server behind which a worker answers those who watch it: Python's own, in threads of its own."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

logger = logging.getLogger("taskmill.supervisor")

# Of more, each is sent away: those who should ask are few, and nobody else may use up this process.
_MOST_AT_ONCE = 32
# For each part of a request.
_PATIENCE = 5.0


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the name is that of its base)
        logger.debug(format, *args)


class Server(ThreadingMixIn, WSGIServer):
    """Serves *site* on a socket that listens already, until it is closed."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, site: WSGIApplication) -> None:
        host, port = listener.getsockname()[:2]
        super().__init__((host, port), _Handler, bind_and_activate=False)
        # The one that its base has made; to bind that asks for a name of the host, too, which can take long.
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = host, port
        self.setup_environ()
        self.set_app(site)
        self._room = threading.BoundedSemaphore(_MOST_AT_ONCE)

    def start(self) -> None:
        """Serve in a thread."""
        threading.Thread(target=self.serve_forever, name="taskmill-http", daemon=True).start()

    def stop(self) -> None:
        """Listen no more; what is being answered may still be."""
        self.shutdown()
        self.server_close()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002  (as its base has it)
        """Whether there is room for one more."""
        return self._room.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  (as its base has it)
        """Who goes away, or never says what he wants, is no news."""
        logger.debug("a request was not answered", exc_info=sys.exc_info())
