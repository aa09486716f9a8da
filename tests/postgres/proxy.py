"""What stands between a client and its server, and can lose an answer on the way, or all that follows."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.servers import free_port

_FIELDS = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
_STARTING = b"E" + (len(_FIELDS) + 4).to_bytes(4, "big") + _FIELDS


class Proxy:
    """Forwards connections of its *port* to *target*; *lose_answers*: how many of the next answers never arrive.

    The connection breaks with it, as when a network fails: the server has done what it was asked for. *not_ready*: how
    many of the next connections are told that the server is starting.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.lose_answers = 0
        self.lost = 0
        self.not_ready = 0
        self._target = target
        self._opened = 0
        self._silenced = 0
        self._listener = socket.create_server(("127.0.0.1", self.port))

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def fall_silent(self) -> None:
        """Let nothing more through on the connections that are open, either way, and close none of them."""
        self._silenced = self._opened

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.not_ready:
                    self.not_ready -= 1
                    client.recv(65536)
                    client.sendall(_STARTING)
                    client.close()
                    continue
                self._opened += 1
                server = socket.create_connection(("127.0.0.1", self._target))
                for source, sink, is_answer in ((client, server, False), (server, client, True)):
                    threading.Thread(
                        target=self._forward, args=(source, sink, is_answer, self._opened), daemon=True
                    ).start()

    def _forward(self, source: socket.socket, sink: socket.socket, is_answer: bool, number: int) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if number <= self._silenced:
                    continue
                if is_answer and self.lose_answers:
                    self.lose_answers -= 1
                    self.lost += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        # The other one is closed by who reads from it.
        source.close()
