"""What is wrong with a URL where one of the two speaks TLS and the other does not, or they do not trust each other.

A server says nothing of that: it waits for more, or hangs up. So one that was never reached is asked in the other way.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from taskmill._storage.redis.address import Address

# Seconds for an answer, which comes at once or not at all.
_PATIENCE = 2.0


def mistake(address: Address, error: BaseException) -> str | None:
    """In words, with what to write instead; None where it is something else that failed by *error*."""
    causes = list(_causes(error))
    if any(isinstance(cause, ConnectionRefusedError | socket.gaierror) for cause in causes):
        return None
    if address.is_encrypted:
        return _of_encrypted(address, causes)
    if _speaks_tls(address):
        return f"the Redis server at {address} speaks TLS, and the URL does not: begin it with rediss:// (or valkeys://)"
    return None


def _of_encrypted(address: Address, causes: list[BaseException]) -> str | None:
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate of the Redis server at {address} is not trusted ({cause.verify_message}): name the "
                "file with whom to trust in the URL, ?ca_certs=/path, and the server as its certificate does"
            )
        if isinstance(cause, ssl.SSLError) and "CERTIFICATE_REQUIRED" in str(cause):
            return (
                f"the Redis server at {address} wants a certificate of its clients, and taskmill has none to show: set "
                "`tls-auth-clients optional` there, and let user and password say who comes"
            )
        if address.ca_certs and isinstance(cause, FileNotFoundError | PermissionError):
            return (
                f"the file {address.ca_certs}, named by ca_certs in the URL, cannot be read: {cause.strerror}"
            )
    if _speaks_plainly(address):
        return (
            f"the Redis server at {address} does not speak TLS, which the URL asks for: begin it with redis:// (or "
            "valkey://), or name the port on which it does (`tls-port`)"
        )
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _speaks_tls(address: Address) -> bool:
    # It is shown no secret, so that it does not matter who it is.
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address.host, address.port), _PATIENCE) as plain,
            anybody.wrap_socket(plain),
        ):
            return True
    except OSError:
        return False


def _speaks_plainly(address: Address) -> bool:
    try:
        with socket.create_connection((address.host, address.port), _PATIENCE) as plain:
            plain.sendall(b"PING\r\n")
            # A password that it wants, or its trouble at the moment, it says in the same way.
            return plain.recv(1) in {b"+", b"-"}
    except OSError:
        return False
