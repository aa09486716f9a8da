"""Who sits at this terminal, for the audit."""

from __future__ import annotations

import getpass
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskmill._app.application import Application
    from taskmill._app.audit import Actor


def note(app: Application, what: str, subject: str, *, number: int) -> None:
    """As `audit.note`, of the user of this process on this machine."""
    from taskmill._app import audit  # noqa: PLC0415  (logging, for those that do something)

    audit.note(app, _here(), what, subject, number=number)


def _here() -> Actor:
    from taskmill._app.audit import Actor  # noqa: PLC0415  (as above)

    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # of a container whose user has no name
        name = f"user {os.getuid()}"
    return Actor(name, f"terminal of {socket.gethostname()}")
