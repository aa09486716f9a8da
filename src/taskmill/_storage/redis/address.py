"""Where a mill lies: the server, what to say to get in, and the name under which its keys begin."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """*name*: all keys of the mill begin with it, in braces, so that a cluster keeps them together."""

    host: str
    port: int
    database: int = 0
    user: str | None = None
    password: str | None = None
    name: str = "taskmill"
    is_encrypted: bool = False
    certificates: str | None = None

    @property
    def base(self) -> str:
        """What every key begins with."""
        return f"{{{self.name}}}:"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"
