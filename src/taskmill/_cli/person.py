"""Who sits at this terminal, for the audit."""

from __future__ import annotations

import getpass
import os
import socket

from taskmill._app import audit
from taskmill._app.application import Application


def note(app: Application, what: str, subject: str, *, number: int) -> None:
    """As `audit.note`, of the user of this process on this machine."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # of a container whose user has no name
        name = f"user {os.getuid()}"
    actor = audit.Actor(name, f"terminal of {socket.gethostname()}")
    audit.note(app, actor, what, subject, number=number)
