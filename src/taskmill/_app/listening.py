"""Where a server of taskmill's listens."""

from __future__ import annotations

import socket

from taskmill.errors import ConfigurationError


def listen(host: str, port: int) -> socket.socket:
    """A socket on which who comes before its server is ready waits for it; ConfigurationError if it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # Named, since asyncio sends small packets at once only where it knows the protocol: else a page takes 40 ms
        # more.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen()
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host} port {port}: {error.strerror or error}") from None
    except UnicodeError:
        raise ConfigurationError(f"cannot listen on {host} port {port}: no host has such a name") from None
    return listener
