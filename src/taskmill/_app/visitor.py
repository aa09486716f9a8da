"""Who looks at a dashboard, and what he may do there."""

from __future__ import annotations

from typing import Literal, NamedTuple

Role = Literal["view", "operate"]


class Visitor(NamedTuple):
    """Somebody who was let in; *name* is written into the log beside what he does.

    "view" sees everything, "operate" may also retry, cancel, delete and the like.
    """

    name: str
    role: Role

    @property
    def may_operate(self) -> bool:
        """Whether he may change anything."""
        return self.role == "operate"
