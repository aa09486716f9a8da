"""Who sits at this terminal, for the audit."""

from __future__ import annotations

import getpass
import os
import socket
from contextlib import AbstractContextManager

from taskmill._app import audit
from taskmill._app.application import Application


def note(app: Application, what: str, subject: str, *, number: int) -> None:
    """As `audit.note`, of the user of this process on this machine."""
    audit.note(app, _actor(), what, subject, number=number)


def noting(app: Application, what: str, subject: str) -> AbstractContextManager[audit.Count]:
    """As `audit.noting`, likewise."""
    return audit.noting(app, _actor(), what, subject)


def _actor() -> audit.Actor:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # of a container whose user has no name
        name = f"user {os.getuid()}"
    return audit.Actor(name, f"terminal of {socket.gethostname()}")
