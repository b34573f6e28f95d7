"""Conditions mean what Python's own operators mean, and wrong ones are told what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from lsstpipe.errors import UserError
from lsstpipe.registry.query import parse_where

TABLE = sa.Table(
    "t", sa.MetaData(), sa.Column("visit", sa.BigInteger), sa.Column("band", sa.String),
    sa.Column("airmass", sa.Double),
)  # fmt: skip
COLUMNS = dict(TABLE.c)
ROWS = [
    {"visit": visit, "band": band, "airmass": airmass}
    for visit in (-1, 0, 3, 20)
    for band in ("r", "g", "O'Neil")
    for airmass in (1.0, 1.5)
]
Row = dict[str, object]


@pytest.fixture(scope="module")
def connection() -> sa.Connection:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    connection = engine.connect()
    TABLE.create(connection)
    connection.execute(sa.insert(TABLE), ROWS)
    return connection


def select(connection: sa.Connection, where: str) -> list[Row]:
    rows = connection.execute(sa.select(TABLE).where(parse_where(where, COLUMNS))).mappings()
    return [dict(row) for row in rows]


@dataclass(frozen=True)
class Condition:
    """A condition as text and as Python."""

    text: str
    holds: Callable[[Row], bool]


def compare(name: str, sign: str, value: int | float | str) -> Condition:
    quoted = value if not isinstance(value, str) else f'"{value}"'
    meaning: dict[str, Callable[[object], bool]] = {
        "=": lambda v: v == value, "!=": lambda v: v != value, "<": lambda v: v < value,  # type: ignore[operator]
        ">=": lambda v: v >= value,  # type: ignore[operator]
    }  # fmt: skip
    return Condition(f"{name} {sign} {quoted}", lambda row: meaning[sign](row[name]))


SIGNS = st.sampled_from(["=", "!=", "<", ">="])
COMPARISONS = (
    st.builds(compare, st.just("visit"), SIGNS, st.integers(-2, 21))
    | st.builds(compare, st.just("band"), SIGNS, st.sampled_from(["r", "g", "O'Neil", ""]))
    | st.builds(compare, st.just("airmass"), SIGNS, st.sampled_from([1.0, 1.25, -3e-2]))
    | st.builds(
        lambda a, b, c: Condition(
            f"visit IN ({a}..{b},{c})", lambda row: a <= row["visit"] <= b or row["visit"] == c  # type: ignore[operator]
        ),
        st.integers(-2, 21), st.integers(-2, 21), st.integers(-2, 21),
    )
)  # fmt: skip
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: (
        st.builds(lambda a: Condition(f"NOT ({a.text})", lambda row: not a.holds(row)), inner)
        | st.builds(
            lambda a, b: Condition(
                f"({a.text}) and ({b.text})", lambda row: a.holds(row) and b.holds(row)
            ),
            inner,
            inner,
        )
        | st.builds(
            lambda a, b: Condition(
                f"({a.text})OR({b.text})", lambda row: a.holds(row) or b.holds(row)
            ),
            inner,
            inner,
        )
    ),
    max_leaves=6,
)


@given(condition=CONDITIONS)
def test_a_condition_selects_what_python_would(
    connection: sa.Connection, condition: Condition
) -> None:
    assert select(connection, condition.text) == [r for r in ROWS if condition.holds(r)]


def test_a_time_is_its_mjd_in_tai(connection: sa.Connection) -> None:
    """2012 June 17 is MJD 56095; TAI was 34 s ahead of UTC then."""
    column = sa.column("mid_mjd", sa.Float)

    def bound(text: str) -> float:
        (value,) = parse_where(f"mid_mjd > {text}", {"mid_mjd": column}).compile().params.values()
        return float(value)

    assert bound("T'2012-06-17'") == 56095.0
    assert bound("t'2012-06-17T18:00/tai'") == 56095.75
    # By leap seconds that are not known yet, or were not: there is no warning.
    assert bound("T'9999-12-31/utc'") == pytest.approx(2973483, abs=0.001)
    assert bound("T'1800-01-01/utc'") == pytest.approx(-21504, abs=0.001)
    assert bound("T'2012-06-17 18:00/utc'") == pytest.approx(56095.75 + 34 / 86400, abs=1e-9)
    span = parse_where("mid_mjd IN (T'2012-06-17'..T'2012-06-18')", {"mid_mjd": column})
    assert sorted(span.compile().params.values()) == [56095.0, 56096.0]


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1])
def test_the_largest_integers_of_a_database_are_allowed(
    connection: sa.Connection, value: int
) -> None:
    assert select(connection, f"visit = {value}") == []
    assert select(connection, f"visit IN ({-(2**63)}..{2**63 - 1})") == ROWS


def test_a_list_may_be_as_long_as_a_survey_has_visits(connection: sa.Connection) -> None:
    items = ", ".join(["20..20", *(str(visit) for visit in range(3, 20_000, 5))])
    held = [row for row in ROWS if row["visit"] in (3, 20)]
    assert select(connection, f"visit IN ({items})") == held
    assert select(connection, f"visit NOT IN ({items})") == [r for r in ROWS if r not in held]


def test_and_binds_tighter_than_or_and_not_tighter_than_and(connection: sa.Connection) -> None:
    assert select(connection, "visit = 3 OR visit = 20 AND band = 'r'") == select(
        connection, "visit = 3 OR (visit = 20 AND band = 'r')"
    )
    assert select(connection, "NOT visit = 3 AND band = 'r'") == select(
        connection, "(NOT visit = 3) AND band = 'r'"
    )


def test_text_in_a_condition_is_never_sql(connection: sa.Connection) -> None:
    assert select(connection, 'band = "\'; DROP TABLE t; --"') == []
    assert select(connection, "") == ROWS


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("colour = 1", "'colour' is not a column; allowed are visit, band, airmass"),
        ("band = r", "needs a number or text in quotes, got 'r'"),
        ("band = 3", "band is compared with text in quotes, got 3"),
        ("visit = 'r'", "visit is compared with numbers, got 'r'"),
        ("visit =", "needs a number or text in quotes, got its end"),
        ("band = T'2012-06-17'", "band is compared with text in quotes, got T'2012-06-17'"),
        ("visit > T'noon'", r"'noon' is no time; allowed are such as T'2012-06-17'"),
        ("visit > T'2012-06-17/ut1'", "'2012-06-17/ut1' is no time"),
        ("visit > T'2012-06-17T00:00+01:00'", "is no time"),
        ("visit 3", "needs a comparison such as = or IN, got '3'"),
        ("visit = 3 band = 'r'", "needs AND, OR or the end, got 'band'"),
        ("(visit = 3", r"needs '\)', got its end"),
        ("visit IN 3", r"needs '\(', got '3'"),
        ("visit NOT 3", "needs IN, got '3'"),
        ("AND", "needs a column, got 'AND'"),
        ("visit = 3; DROP TABLE t", "cannot be read from '; DROP TABLE t' on"),
        (
            f"visit = {2**63}",
            rf"visit is compared with integers .* to {2**63 - 1}, got {2**63}",
        ),
        (f"visit IN (1..{10**20})", f"visit is compared with integers .* got {10**20}"),
        (f"visit IN ({-(2**63) - 1}..1)", f"integers from {-(2**63)} to .* got {-(2**63) - 1}"),
        (f"airmass < {10**20}", "airmass is compared with integers"),
        (f"visit = {'9' * 5000}", rf"got {'9' * 50}\.\.\.\."),
        ("(" * 99 + "visit = 3" + ")" * 99, "nested 50 deep at most"),
        ("NOT " * 99 + "visit = 3", "nested 50 deep at most"),
    ],
)
def test_a_wrong_condition_is_told_what_is_wrong(where: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_where(where, COLUMNS)


@pytest.mark.parametrize("text", ["band = '\0'", "band = '\udcff'", "visit = 1\0", "\udc80 = 1"])
def test_text_that_no_database_takes_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="may not have NUL or stray bytes, got ") as refused:
        parse_where(text, COLUMNS)
    assert str(refused.value).isprintable()
