"""Where a worker stands: by itself in a program, or as the child of a supervisor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from taskmill._core.lifecycle import Settlement
from taskmill._worker.messages import Pulse

Replace = Callable[[str, Settlement | None], None]


@dataclass(slots=True, kw_only=True)
class Place:
    """By default that of a worker in a program.

    - `serves`: "others" leaves suspects of a crash alone, "suspects" takes only these, one at a time.
    - `replace` asks the supervisor for another process in the place of this one (see `WantsReplacement`); None
      where there is no supervisor. `pulse` is how that hears that the loop goes round.
    - `parent`: the supervisor's session. `max_jobs`: after so many a replacement is asked for; 0: never.
    """

    serves: Literal["all", "others", "suspects"] = "all"
    replace: Replace | None = None
    pulse: Callable[[Pulse], None] | None = None
    parent: int | None = None
    max_jobs: int = 0
