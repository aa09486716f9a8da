"""What stores need of a caller's connection to put jobs into its transaction, whatever library it is of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

Parameters = Sequence[Any] | Mapping[str, Any]


class Found(Protocol):
    """The rows that a statement returns, each a sequence of its values."""

    def fetchone(self) -> Any:
        """The next one, or None."""

    def fetchall(self) -> Any:
        """All that are left."""


class Statements(Protocol):
    """What executes statements; a connection of `sqlite3` as it is."""

    def execute(self, statement: str, parameters: Any = ..., /) -> Found:
        """Execute one."""


class Caller(ABC):
    """Somebody else's connection: statements go into the transaction that it has open.

    It is never committed, rolled back or set in any way here. `driver` is the connection of the driver that lies
    under it, of which its state is asked.
    """

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    @abstractmethod
    def execute(self, statement: str, parameters: Parameters = (), /) -> Found:
        """Execute *statement*; what it raises are the errors of the driver."""

    @abstractmethod
    def after_commit(self, call: Callable[[], None]) -> None:
        """Call *call* after the commit, where the library tells when that is.

        With some libraries a rollback is followed by it as well, so *call* has to look what has become of it.
        """


class AsyncCaller(ABC):
    """The same, of a connection whose statements are awaited; none such tells of its commit."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    @abstractmethod
    async def rows(self, statement: str, parameters: Parameters) -> Sequence[Sequence[Any]]:
        """What *statement* returns."""


class Entry(ABC):
    """New jobs, ready to be stored by somebody else's transaction.

    Raises:
        CannotJoin: the connection leads to another database, or has no transaction that could be committed.
        StoreError: as `JobStore.add`. What else the transaction holds may be lost with it, as after any error there.
    """

    @abstractmethod
    def through(self, caller: Caller) -> Sequence[str]:
        """Store them, all or none; the ids as `JobStore.add` returns them. They exist once it is committed."""

    @abstractmethod
    async def athrough(self, caller: AsyncCaller) -> Sequence[str]:
        """The same."""
