"""A small language of conditions: ``band = 'r' AND visit IN (1..20, 24) AND NOT airmass > 2``.

::

    condition   = conjunction ("OR" conjunction)*
    conjunction = term ("AND" term)*
    term        = "NOT" term | "(" condition ")" | column comparison
    comparison  = ("=" | "!=" | "<" | "<=" | ">" | ">=") value
                | ["NOT"] "IN" "(" item ("," item)* ")"
    item        = value | value ".." value            both ends included
    value       = number | 'text' | "text" | time
    time        = T'2012-06-17 05:30' | T'2012-06-17 05:30/utc'

A time, written as in Rubin's queries, is TAI where it does not say UTC and stands for its MJD.
Words may be written in lower case. Values reach the database as bound parameters only.
"""

from __future__ import annotations

import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from lsstpipe.data_model import UNSTORABLE
from lsstpipe.errors import UserError

Condition = sa.ColumnElement[bool]
Columns = Mapping[str, sa.ColumnElement[Any]]
Value = int | float | str

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[+-]?(?:\d+\.(?!\.)\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)
    | (?P<time>[Tt]'[^']*')
    | (?P<text>'[^']*'|"[^"]*")
    | (?P<sign>\.\.|<=|>=|!=|<>|==|[=<>(),])
    | (?P<word>\w+)
    )""",
    re.VERBOSE,
)
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "==": operator.eq, "!=": operator.ne, "<>": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_WORDS = {"AND", "OR", "NOT", "IN"}
_MAX_DEPTH = 50
_END = 2**63
"""Integers of a database are less, and not less than its negative."""

_MAX_DIGITS = 1000
"""Python refuses to read some thousands of them."""

_WIDEST = 50
"""Digits that a message shows."""

_MJD_ZERO = datetime(1858, 11, 17)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def parse_where(text: str, columns: Columns) -> Condition:
    """Turn a condition into SQL.

    Parameters
    ----------
    text
        The condition; an empty one is true of everything.
    columns
        What a name in it stands for.

    Raises
    ------
    UserError
        If it is not a condition of this language, names another column, compares a number with
        text, or has text that no database takes.
    """
    if UNSTORABLE.search(text):
        raise UserError(f"A condition may not have NUL or stray bytes, got {text!r}.")
    tokens = _split(text)
    if not tokens:
        return sa.true()
    parser = _Parser(text, tokens, columns)
    condition = parser.parse_condition(0)
    parser.expect_end()
    return condition


def _split(text: str) -> list[_Token]:
    tokens, position = [], 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise UserError(
                f"The condition \"{text}\" cannot be read from '{text[position:].strip()}' on."
            )
        kind = str(match.lastgroup)
        tokens.append(_Token(kind, match[kind]))
        position = match.end()
    return tokens


def _read_time(text: str) -> float:
    """Turn a time of a condition into its TAI MJD."""
    moment, _, scale = text.partition("/")
    try:
        time = datetime.fromisoformat(moment)
        is_known = time.tzinfo is None and scale.lower() in {"", "tai", "utc"}
    except ValueError:
        is_known = False
    if not is_known:
        raise UserError(
            f"'{text}' is no time; allowed are such as T'2012-06-17', T'2012-06-17 05:30:00' (TAI) "
            "and T'2012-06-17 05:30/utc'."
        )
    if scale.lower() == "utc":
        from astropy.time import Time  # knows the leap seconds, and takes long to import

        with warnings.catch_warnings():
            # Nobody knows the leap seconds of such a year.
            warnings.filterwarnings("ignore", ".*dubious year")
            return float(Time(time, scale="utc").tai.mjd)
    return (time - _MJD_ZERO) / timedelta(days=1)


def _read_integer(name: str, text: str) -> int:
    """Read an integer of a condition, if a database can compare with it."""
    if len(text) > _MAX_DIGITS or not -_END <= int(text) < _END:
        given = text if len(text) <= _WIDEST else f"{text[:_WIDEST]}..."
        raise UserError(
            f"{name} is compared with integers from {-_END} to {_END - 1}, got {given}."
        )
    return int(text)


class _Parser:
    """Recursive descent over the tokens of one condition."""

    def __init__(self, text: str, tokens: list[_Token], columns: Columns) -> None:
        self._text = text
        self._tokens = tokens
        self._columns = columns
        self._next = 0

    def parse_condition(self, depth: int) -> Condition:
        """Read terms joined by OR."""
        if depth > _MAX_DEPTH:
            raise UserError(f"A condition may be nested {_MAX_DEPTH} deep at most.")
        parts = [self._parse_conjunction(depth)]
        while self._take_word("OR"):
            parts.append(self._parse_conjunction(depth))
        return sa.or_(*parts) if len(parts) > 1 else parts[0]

    def expect_end(self) -> None:
        """Refuse what follows a whole condition."""
        if self._next < len(self._tokens):
            raise self._error("AND, OR or the end")

    def _parse_conjunction(self, depth: int) -> Condition:
        parts = [self._parse_term(depth)]
        while self._take_word("AND"):
            parts.append(self._parse_term(depth))
        return sa.and_(*parts) if len(parts) > 1 else parts[0]

    def _parse_term(self, depth: int) -> Condition:
        if depth > _MAX_DEPTH:
            raise UserError(f"A condition may be nested {_MAX_DEPTH} deep at most.")
        if self._take_word("NOT"):
            return sa.not_(self._parse_term(depth + 1))
        if self._take_sign("("):
            condition = self.parse_condition(depth + 1)
            self._expect_sign(")")
            return condition
        return self._parse_comparison()

    def _parse_comparison(self) -> Condition:
        token = self._peek()
        if token is None or token.kind != "word" or token.text.upper() in _WORDS:
            raise self._error("a column")
        name = token.text
        if name not in self._columns:
            raise UserError(
                f"'{name}' is not a column; allowed are {', '.join(self._columns)}, "
                "and text is put in quotes."
            )
        self._next += 1
        column = self._columns[name]
        if self._take_word("NOT"):
            if not self._take_word("IN"):
                raise self._error("IN")
            return sa.not_(self._parse_items(name, column))
        if self._take_word("IN"):
            return self._parse_items(name, column)
        sign = self._peek()
        if sign is None or sign.text not in _COMPARISONS:
            raise self._error("a comparison such as = or IN")
        self._next += 1
        result: Condition = _COMPARISONS[sign.text](column, self._parse_value(name, column))
        return result

    def _parse_items(self, name: str, column: sa.ColumnElement[Any]) -> Condition:
        self._expect_sign("(")
        values: list[Value] = []
        parts: list[Condition] = []
        while True:
            value = self._parse_value(name, column)
            if self._take_sign(".."):
                parts.append(column.between(value, self._parse_value(name, column)))
            else:
                values.append(value)
            if not self._take_sign(","):
                break
        self._expect_sign(")")
        if values:
            # One term: SQLite refuses a thousand that are joined by OR.
            parts.append(column.in_(values))
        return sa.or_(*parts)

    def _parse_value(self, name: str, column: sa.ColumnElement[Any]) -> Value:
        token = self._peek()
        if token is None or token.kind not in {"number", "text", "time"}:
            raise self._error("a number or text in quotes")
        self._next += 1
        is_text = isinstance(column.type, sa.String)
        if is_text != (token.kind == "text"):
            raise UserError(
                f"{name} is compared with {'text in quotes' if is_text else 'numbers'}, "
                f"got {token.text}."
            )
        if is_text:
            return token.text[1:-1]
        if token.kind == "time":
            return _read_time(token.text[2:-1])
        if re.fullmatch(r"[+-]?\d+", token.text):
            return _read_integer(name, token.text)
        return float(token.text)

    def _peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _take_word(self, word: str) -> bool:
        token = self._peek()
        found = token is not None and token.kind == "word" and token.text.upper() == word
        self._next += found
        return found

    def _take_sign(self, sign: str) -> bool:
        token = self._peek()
        found = token is not None and token.kind == "sign" and token.text == sign
        self._next += found
        return found

    def _expect_sign(self, sign: str) -> None:
        if not self._take_sign(sign):
            raise self._error(f"'{sign}'")

    def _error(self, wanted: str) -> UserError:
        token = self._peek()
        got = "its end" if token is None else f"'{token.text}'"
        return UserError(f'The condition "{self._text}" needs {wanted}, got {got}.')
