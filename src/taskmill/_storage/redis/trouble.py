"""What a server answers instead of a reply, and what that means for the caller."""

from __future__ import annotations

from redis import exceptions

from taskmill._storage.redis.address import Address
from taskmill.errors import NotAStore, StoreError, StoreRefused, StoreUnavailable

# It is not known whether the server carried it out.
LOST = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)
# An address that answers like this is asked no more for what it was asked.
MOVED = exceptions.MovedError
# The server is on its way up, or hands its place over to another: it did nothing, and soon will. Of a mill that moves
# to another node of a cluster (AskError), a part is here and a part there.
PASSING = (
    exceptions.AskError,
    exceptions.BusyLoadingError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.TryAgainError,
)
NO_SCRIPT = exceptions.NoScriptError
# Nothing that waiting for it would change.
REFUSED = (exceptions.AuthenticationError, exceptions.NoPermissionError)
ANSWERED = exceptions.ResponseError


def unavailable(address: Address, error: Exception, waited: float) -> StoreUnavailable:
    """The server could not be reached, did not answer, or was not ready, for so long."""
    found = "was not ready" if isinstance(error, PASSING) else "did not answer"
    return StoreUnavailable(
        f"the Redis server at {address} {found} for {waited:.1f} s ({_told(error)}): "
        "see that it runs and can be reached from here; the call can safely be repeated"
    )


def translate(address: Address, error: Exception) -> StoreError:
    """What the server said, as an error of taskmill."""
    said = _told(error)
    if isinstance(error, exceptions.OutOfMemoryError):
        return StoreUnavailable(
            f"the Redis server at {address} is full ({said}): raise its maxmemory, or remove ended jobs with "
            "`taskmill purge --ended`; jobs that it holds go on"
        )
    if isinstance(error, REFUSED):
        return StoreUnavailable(
            f"the Redis server at {address} refuses this user ({said}): give user and password in the URL, "
            "with the right to all commands on its keys; where they are there, see that the server still knows them "
            "(ACL LIST; one that was restarted knows what ACL SAVE or its configuration kept)"
        )
    if isinstance(error, exceptions.DataError):
        return StoreRefused(f"Redis cannot hold a value of this call: {said}")
    if "WRONGTYPE" in said:
        return NotAStore(
            f"keys of another program lie where this mill's would, at {address} ({said}): give this one another "
            "name, with ?name=..."
        )
    if "DB index" in said:
        return StoreUnavailable(
            f"the Redis server at {address} has no database of that number ({said}): take one below its `databases` "
            "setting, and tell several mills apart by ?name=..."
        )
    return StoreUnavailable(f"the Redis server at {address} refused a call: {said}")


def _told(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
