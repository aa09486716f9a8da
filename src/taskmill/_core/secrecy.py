"""What is secret by its name, and how it is taken out of texts before they are stored: pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final

HIDDEN: Final = "••••••"

_NAMES = (
    r"passw(or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|auth(orization)?$|credential"
    r"|cookie|^pwd$|^pin$|session[_-]?id"
)
# One of these is in each such name.
_SIGNS = (
    "passw",
    "passphrase",
    "secret",
    "token",
    "key",
    "auth",
    "credential",
    "cookie",
    "pwd",
    "pin",
    "session",
)
# What nobody takes for a word that happens to stand in the text.
_SHORTEST = 4
_DEEPEST = 12

# In this order: what one of them leaves, the next one reads. None starts in the middle of a word, or gives back what it
# has taken of one: a long text without a secret is read once.
_KEYS = re.compile(r"-----BEGIN ([A-Z ]{0,40}PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)
_IN_URLS = re.compile(r"(?P<before>://[^\s/:@'\"]*+:)[^\s/'\"]+(?P<after>@)")
_COOKIES = re.compile(r"(?P<before>\bCookie: ?)[^\n'\"]+", re.IGNORECASE)
_SCHEMES = re.compile(r"(?P<before>\b(?:Bearer|Basic|Digest) +)[\w.~+/=-]{8,}+", re.IGNORECASE)
_TOKENS = re.compile(
    r"(?<![\w-])(?:eyJ[\w-]{8,}+\.[\w-]{8,}+\.[\w-]*+"  # JSON web tokens
    r"|gh[pousr]_\w{20,}+|github_pat_\w{20,}+|glpat-[\w-]{16,}+"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}(?!\w)|xox[a-z]-[\w-]{10,}+|[sr]k_(?:live|test)_\w{10,}+|sk-[\w-]{20,}+)"
)
# ``password=x``, ``"password": "x"``, ``Password: x``; of a text that was cut, the second quote may be missing.
_NAME = re.compile(r"(?<![\w-])(?P<name>[A-Za-z_][\w-]*+)[\"']?\s?[=:]\s?")
_LITERAL = re.compile(r"[bruf]{0,2}(?:\"(?:[^\"\\\n]|\\.)*+\"?|'(?:[^'\\\n]|\\.)*+'?)")
_VALUE = re.compile(rf"{_LITERAL.pattern}|[^\s\"',;&()\[\]{{}}]+")
_STARTS = (
    *("eyj", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "akia", "asia", "xox"),
    *("k_live_", "k_test_", "sk-"),
)
_PUT = rf"\g<before>{HIDDEN}"
# With what stands in its place, and what is in every text in which there is one: to look for that first is quick.
_FORMS = (
    (_KEYS, HIDDEN, ("private key-",)),
    (_IN_URLS, rf"{_PUT}\g<after>", ("://",)),
    (_COOKIES, _PUT, ("cookie:",)),
    (_SCHEMES, _PUT, ("bearer ", "basic ", "digest ")),
    (_TOKENS, HIDDEN, _STARTS),
)
_FRAME = re.compile(r'\s*(?:\| *)?File "')


class Secrecy:
    """Which names say that what goes by them is secret: those that usually do, and *more* words; with None, no name is.

    Then nothing is hidden at all.
    """

    def __init__(self, more: Iterable[str] | None = ()) -> None:
        words = () if more is None else tuple(more)
        self._signs = (*_SIGNS, *(word.lower() for word in words))
        self._names = (
            None if more is None else re.compile("|".join([_NAMES, *map(re.escape, words)]), re.IGNORECASE)
        )

    def is_secret(self, name: object) -> bool:
        """Whether what goes by that name is not to be shown."""
        return self._names is not None and isinstance(name, str) and self._names.search(name) is not None

    def values_of_call(self, text: str, parameters: Sequence[str], *, given: str | None = None) -> set[str]:
        """As `values_in`, of the arguments of a stored call; none of what cannot be read.

        *given* is the result of the step before, which is its first argument.
        """
        try:
            args, kwargs = json.loads(text)
            args = args if given is None else [json.loads(given), *args]
            # What has no name of its own may have names inside.
            named = [{name: value} for name, value in zip_longest(parameters[: len(args)], args)]
            return self.values_in([named, kwargs])
        except (ValueError, TypeError, RecursionError):
            return set()

    def values_in(self, named: Any) -> set[str]:
        """The texts that go by secret names in *named*, however deep; not those that are too short to be told apart.

        They are there as they are, and as they stand between quotes in what `repr` and JSON write.
        """
        texts = (text for text in self._values(named, is_hidden=False, depth=0) if len(text) >= _SHORTEST)
        return {spelling for text in texts for spelling in _spellings(text)}

    def scrubbed(self, text: str, values: Iterable[str] = ()) -> str:
        """*text*, which may be a traceback, without these *values* and without what looks like a secret.

        That is: passwords in URLs, what stands behind a secret name (``password=x``, ``"token": "x"``), cookies, what
        follows ``Bearer``, private keys, and tokens that are known by how they begin. In lines of code, behind a name,
        it is literals only.
        """
        if self._names is None:
            return text
        # The longest first: one may be a part of another one.
        for value in sorted(values, key=len, reverse=True):
            text = text.replace(value, HIDDEN)
        for pattern, put, signs in _FORMS:
            if _has_one_of(text, signs):
                text = pattern.sub(put, text)
        return "\n".join(self._lines(text.split("\n"))) if _has_one_of(text, self._signs) else text

    def _lines(self, lines: Iterable[str]) -> Iterator[str]:
        is_code = False
        for line in lines:
            has_name = _has_one_of(line, self._signs)
            yield "".join(self._parts(line, _LITERAL if is_code else _VALUE)) if has_name else line
            is_code = _FRAME.match(line) is not None

    def _parts(self, line: str, value: re.Pattern[str]) -> Iterator[str]:
        """The line without the values of secret names."""
        at = 0
        while (named := _NAME.search(line, at)) is not None:
            yield line[at : named.end()]
            at = named.end()
            found = value.match(line, at) if self.is_secret(named["name"]) else None
            if found is not None:
                # Of a quoted text the quotes stay, so that what it stands in can still be read.
                quote = next((char for char in found[0] if char in "\"'"), "")
                yield f"{quote}{HIDDEN}{quote}"
                at = found.end()
        yield line[at:]

    def _values(self, value: Any, *, is_hidden: bool, depth: int) -> Iterator[str]:
        if depth > _DEEPEST:
            return
        match value:
            case str() if is_hidden:
                yield value
            case Mapping():
                for name, inner in value.items():
                    hides = is_hidden or self.is_secret(name)
                    yield from self._values(inner, is_hidden=hides, depth=depth + 1)
            case list() | tuple() | set() | frozenset():
                for inner in value:
                    yield from self._values(inner, is_hidden=is_hidden, depth=depth + 1)


def _spellings(text: str) -> Iterator[str]:
    yield text
    yield repr(text)[1:-1]
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]


def _has_one_of(text: str, signs: Iterable[str]) -> bool:
    lowered = text.lower()
    return any(sign in lowered for sign in signs)
