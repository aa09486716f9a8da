"""Which taskmill this is."""

from __future__ import annotations


def installed() -> str:
    """The version of the installed package."""
    from importlib.metadata import version  # noqa: PLC0415  (30 ms, for those that ask)

    return version("taskmill")
