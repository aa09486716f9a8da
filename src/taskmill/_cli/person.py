"""Who sits at this terminal, for the audit."""

from __future__ import annotations

import getpass
import os
import socket
from contextlib import AbstractContextManager

from taskmill._app import audit
from taskmill._app.application import Application


def name() -> str:
    """The user's; empty where he has none, as in many a container."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def note(app: Application, what: str, subject: str, *, number: int) -> None:
    """As `audit.note`, of the user of this process on this machine."""
    audit.note(app, _actor(), what, subject, number=number)


def noting(app: Application, what: str, subject: str) -> AbstractContextManager[audit.Count]:
    """As `audit.noting`, likewise."""
    return audit.noting(app, _actor(), what, subject)


def _actor() -> audit.Actor:
    return audit.Actor(name() or f"user {os.getuid()}", f"terminal of {socket.gethostname()}")
