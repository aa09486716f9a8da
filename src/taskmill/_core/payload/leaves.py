"""How values that hold no other values are written, type by type."""

from __future__ import annotations

import binascii
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from json.encoder import encode_basestring_ascii as quoted
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from taskmill._core.payload.plain import is_unicode
from taskmill._core.payload.refusal import Refusal


def write_str(value: str) -> str:
    text = quoted(value)
    if "\\ud" in text and not is_unicode(value):
        # Two lone surrogates side by side would be read as one character.
        return f'{{"!str":"{_base64(value.encode("utf-8", "surrogatepass"))}"}}'
    return text


def write_int(value: int) -> str:
    # Decimal digits are quadratic work, and Python refuses to read more than 4300 (or as few as 640) of them.
    if -(2**63) <= value < 2**63:
        return f"{value}"
    return f'{{"!int":"{value:x}"}}'


def _write_float(value: float) -> str:
    return float.__repr__(value) if math.isfinite(value) else f'{{"!float":"{value!r}"}}'


def _base64(value: bytes | bytearray) -> str:
    return binascii.b2a_base64(value, newline=False).decode("ascii")


def _write_clock(value: datetime | time) -> str:
    tag = "!datetime" if type(value) is datetime else "!time"
    if not value.fold and (value.tzinfo is None or value.tzinfo is UTC):
        return f'{{"{tag}":"{value.isoformat()}"}}'
    # The wall clock and the zone, not the offset: the rules of the zone may have changed when this is read.
    wall = value.replace(tzinfo=None, fold=0).isoformat()
    zone = "null" if value.tzinfo is None else _write_zone(value.tzinfo)
    return f'{{"{tag}":["{wall}",{zone},{value.fold}]}}'


def _write_zone(value: tzinfo) -> str:
    if type(value) is ZoneInfo and value.key:
        return f'{{"!zoneinfo":{write_str(value.key)}}}'
    if type(value) is timezone:
        offset, name = value.utcoffset(None), value.tzname(None)
        named = "" if name == timezone(offset).tzname(None) else f",{write_str(name)}"
        return f'{{"!timezone":[{offset // timedelta(microseconds=1)}{named}]}}'
    raise Refusal(value, "use a zoneinfo.ZoneInfo with a key, or a datetime.timezone")


LEAVES: Final[Mapping[type, Callable[[Any], str]]] = MappingProxyType(
    {
        str: write_str,
        int: write_int,
        bool: lambda value: "true" if value else "false",
        type(None): lambda _: "null",
        float: _write_float,
        complex: lambda value: f'{{"!complex":[{_write_float(value.real)},{_write_float(value.imag)}]}}',
        bytes: lambda value: f'{{"!bytes":"{_base64(value)}"}}',
        bytearray: lambda value: f'{{"!bytearray":"{_base64(value)}"}}',
        range: lambda value: (
            f'{{"!range":[{write_int(value.start)},{write_int(value.stop)},{write_int(value.step)}]}}'
        ),
        Decimal: lambda value: f'{{"!decimal":"{value}"}}',
        Fraction: lambda value: (
            f'{{"!fraction":[{write_int(value.numerator)},{write_int(value.denominator)}]}}'
        ),
        UUID: lambda value: f'{{"!uuid":"{value}"}}',
        date: lambda value: f'{{"!date":"{value.isoformat()}"}}',
        datetime: _write_clock,
        time: _write_clock,
        timedelta: lambda value: f'{{"!timedelta":[{value.days},{value.seconds},{value.microseconds}]}}',
        timezone: _write_zone,
        ZoneInfo: _write_zone,
        PosixPath: lambda value: f'{{"!path":{write_str(str(value))}}}',
        WindowsPath: lambda value: f'{{"!path":{write_str(str(value))}}}',
        PurePosixPath: lambda value: f'{{"!posixpath":{write_str(str(value))}}}',
        PureWindowsPath: lambda value: f'{{"!windowspath":{write_str(str(value))}}}',
    }
)

KNOWN: Final = (*LEAVES, list, tuple, dict, set, frozenset)
"""What needs no registering."""
