r"""The one text form of arguments and results: JSON with tags, so that a value comes back as what it was.

Everyday values are plain JSON: null, true, 7, 1.5, "text", lists, and dicts with text keys. Anything else is
a *tag*: an object with one key, which starts with ``!``. No other object has such a key: a dict that would is
written as ``!dict``. The text is ASCII without white space, holds no NaN literal, and names no code but
``module:qualname`` of classes that the reader must have registered; a script that is run is called what it
is imported as.

=================  ========================================  ==============================================
tag                content                                   value
=================  ========================================  ==============================================
``!int``           "-ff", hexadecimal                        an int that does not fit into 64 bits
``!float``         "nan", "inf", "-inf"                      a float that JSON cannot say
``!complex``       [real, imag]                              complex
``!str``           base64 of UTF-8 with surrogatepass        a str with surrogates (\ud800 to \udfff)
``!bytes``         base64                                    bytes
``!bytearray``     base64                                    bytearray
``!tuple``         [item, ...]                               tuple
``!set``           [item, ...], ordered by their text        set
``!frozenset``     [item, ...], ordered by their text        frozenset
``!dict``          [[key, value], ...]                       a dict with a key that is no str, or is tagged,
                                                             or starts with ``!``
``!range``         [start, stop, step]                       range
``!decimal``       "1.10", "sNaN"                            Decimal
``!fraction``      [numerator, denominator]                  Fraction
``!uuid``          "0190...-..."                             UUID
``!path``          "a/b"                                     Path, of the kind that the reader's system has
``!posixpath``     "a/b"                                     PurePosixPath
``!windowspath``   "a\\b"                                    PureWindowsPath
``!date``          ISO 8601                                  date
``!datetime``      ISO 8601, or [wall clock, zone, fold]     datetime: the first if it is naive or in UTC
``!time``          ISO 8601, or [wall clock, zone, fold]     time: likewise
``!timedelta``     [days, seconds, microseconds]             timedelta
``!timezone``      [microseconds] or [microseconds, name]    timezone
``!zoneinfo``      "Europe/Berlin"                           ZoneInfo
``!object``        ["module:qualname", {field: value, ...}]  a dataclass, NamedTuple or pydantic model
                   (a third item: fields of a model that were left to their defaults)
``!object``        ["module:qualname", "RED"]                an Enum member; combined flags as a number
=================  ========================================  ==============================================

A call is ``[[arg, ...], {name: value, ...}]``. Readers must go on reading every form in this table.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

MAX_DEPTH: Final = 100
"""How many containers may lie inside each other in one argument or result."""


def a_list(content: object) -> list[Any]:
    if type(content) is not list:
        raise TypeError(f"a list was expected, found {type(content).__name__}")
    return content


def a_str(content: object) -> str:
    if type(content) is not str:
        raise TypeError(f"a string was expected, found {type(content).__name__}")
    return content


def an_int(content: object) -> int:
    if type(content) is not int:
        raise TypeError(f"an int was expected, found {type(content).__name__}")
    return content


def a_dict(content: object) -> dict[str, Any]:
    if type(content) is not dict:
        raise TypeError(f"an object was expected, found {type(content).__name__}")
    return content


def _unbase64(content: object) -> bytes:
    return binascii.a2b_base64(a_str(content), strict_mode=True)


def _read_dict(content: object) -> dict[Any, Any]:
    return dict(map(a_list, a_list(content)))


def _read_range(content: object) -> range:
    start, stop, step = a_list(content)
    return range(start, stop, step)


def _read_fraction(content: object) -> Fraction:
    numerator, denominator = a_list(content)
    return Fraction(an_int(numerator), an_int(denominator))


def _read_complex(content: object) -> complex:
    real, imag = a_list(content)
    return complex(real, imag)


def _read_timedelta(content: object) -> timedelta:
    days, seconds, microseconds = a_list(content)
    return timedelta(days, seconds, microseconds)


def _read_timezone(content: object) -> timezone:
    microseconds, *name = a_list(content)
    return timezone(timedelta(microseconds=microseconds), *name)


def _read_datetime(content: object) -> datetime:
    if type(content) is str:
        return datetime.fromisoformat(content)
    wall, zone, fold = a_list(content)
    return datetime.fromisoformat(wall).replace(tzinfo=zone, fold=fold)


def _read_time(content: object) -> time:
    if type(content) is str:
        return time.fromisoformat(content)
    wall, zone, fold = a_list(content)
    return time.fromisoformat(wall).replace(tzinfo=zone, fold=fold)


READERS: Final[Mapping[str, Callable[[Any], Any]]] = MappingProxyType(
    {
        "!int": lambda content: int(a_str(content), 16),
        "!float": lambda content: float(a_str(content)),
        "!complex": _read_complex,
        "!str": lambda content: _unbase64(content).decode("utf-8", "surrogatepass"),
        "!bytes": _unbase64,
        "!bytearray": lambda content: bytearray(_unbase64(content)),
        "!tuple": lambda content: tuple(a_list(content)),
        "!set": lambda content: set(a_list(content)),
        "!frozenset": lambda content: frozenset(a_list(content)),
        "!dict": _read_dict,
        "!range": _read_range,
        "!decimal": lambda content: Decimal(a_str(content)),
        "!fraction": _read_fraction,
        "!uuid": lambda content: UUID(a_str(content)),
        "!path": lambda content: Path(a_str(content)),
        "!posixpath": lambda content: PurePosixPath(a_str(content)),
        "!windowspath": lambda content: PureWindowsPath(a_str(content)),
        "!date": lambda content: date.fromisoformat(a_str(content)),
        "!datetime": _read_datetime,
        "!time": _read_time,
        "!timedelta": _read_timedelta,
        "!timezone": _read_timezone,
        "!zoneinfo": lambda content: ZoneInfo(a_str(content)),
    }
)
