"""The log of a worker: on standard error, unless the application has set up its own."""

from __future__ import annotations

import logging
import sys

from taskmill._core.wording import clean, clean_lines

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")
DEFAULT_LEVEL = "info"

_FORM = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure(level: str | None, form: str = "text") -> None:
    """Log to standard error from *level* on; where the application logs already, only a given *level* is set.

    Asked for JSON, all that the process logs is such, whatever the application has set up.
    """
    ours = logging.getLogger("taskmill")
    if form == "json":
        from taskmill._cli.json_log import JsonFormatter  # noqa: PLC0415  (only who asks for it pays for it)

        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonFormatter())
        logging.basicConfig(level=(level or DEFAULT_LEVEL).upper(), handlers=[handler], force=True)
        return
    if ours.hasHandlers():
        if level is not None:
            ours.setLevel(level.upper())
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(CleanFormatter(_FORM))
    logging.basicConfig(level=(level or DEFAULT_LEVEL).upper(), handlers=[handler])


class CleanFormatter(logging.Formatter):
    """Writes what taskmill says, which has text from the store in it, so that it cannot pose as other lines.

    The records of the application are its own business.
    """

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if not record.name.startswith("taskmill"):
            return text
        detail = clean_lines(record.exc_text) if record.exc_text else []
        return "\n    ".join([clean(self.formatMessage(record)), *detail])
