"""A way to a server that can be broken: replies get lost, or nothing comes through any more and nobody is told."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests.servers import free_port


class Proxy:
    """Listens on a port of its own and hands on what comes in to *port*, both ways."""

    def __init__(self, port: int) -> None:
        self.port = free_port()
        # How many of the next replies are lost, each with its connection.
        self.losses = 0
        self.requests = 0
        self._behind = port
        self._is_silent = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._entrance = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._let_in, daemon=True).start()

    def go_silent(self) -> None:
        """Let nothing through any more on the connections that there are; new ones work."""
        self._is_silent.set()
        self._is_silent = threading.Event()

    def close(self) -> None:
        self._entrance.close()
        for pair in self._pairs:
            for end in pair:
                end.close()

    def _let_in(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._entrance.accept()
                server = socket.create_connection(("127.0.0.1", self._behind))
                self._pairs.append((client, server))
                for work in (self._to_server, self._to_client):
                    threading.Thread(target=work, args=(client, server, self._is_silent), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket, is_silent: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if not is_silent.is_set():
                    self.requests += data.count(b"EVALSHA")
                    server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _to_client(self, client: socket.socket, server: socket.socket, is_silent: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if self.losses:
                    self.losses -= 1
                    break
                if not is_silent.is_set():
                    client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)
