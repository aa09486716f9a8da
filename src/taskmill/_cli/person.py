"""Who sits at this terminal, for the audit."""

from __future__ import annotations

import getpass
import os
import socket

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
    actor = audit.Actor(name() or f"user {os.getuid()}", f"terminal of {socket.gethostname()}")
    audit.note(app, actor, what, subject, number=number)
