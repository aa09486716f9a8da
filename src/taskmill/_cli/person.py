"""Who sits at this terminal, for the audit."""

from __future__ import annotations

import getpass
import os
import socket

from taskmill._app.audit import Actor


def here() -> Actor:
    """The user of this process on this machine."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # of a container whose user has no name
        name = f"user {os.getuid()}"
    return Actor(name, f"terminal of {socket.gethostname()}")
