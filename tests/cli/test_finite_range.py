"""Numbers on the command line are finite."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from lsstpipe.cli.finite_range import FiniteRange
from lsstpipe.cli.main import cli


def _walk(command: click.Command) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _walk(below)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999"])
def test_what_is_not_finite_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        FiniteRange().convert(text, None, None)
    with pytest.raises(click.BadParameter):
        FiniteRange(min=0.1).convert(text, None, None)


def test_bounds_hold_as_for_any_range() -> None:
    assert FiniteRange(min=0.1).convert("0.1", None, None) == 0.1
    with pytest.raises(click.BadParameter, match=r"0.05 is not in the range x>=0.1"):
        FiniteRange(min=0.1).convert("0.05", None, None)


def test_every_float_of_the_command_line_is_finite() -> None:
    floats = [
        (command.name, parameter.opts, parameter.type)
        for command in _walk(cli)
        for parameter in command.params
        if isinstance(parameter.type, click.FLOAT.__class__)
    ]
    assert len(floats) >= 11
    assert [item for item in floats if not isinstance(item[2], FiniteRange)] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("collect --plan . --follow --interval nan", "'nan' is not a finite number."),
        ("site cost --work nan 5 --json", "'nan' is not a finite number."),
        ("cluster ship-logs head --cluster c --every 0", "0.0 is not in the range x>=0.1."),
        ("cluster ship-logs head --cluster c --every nan", "'nan' is not a finite number."),
    ],
)
def test_a_command_refuses_it_before_it_does_anything(arguments: str, said: str) -> None:
    result = CliRunner().invoke(cli, arguments.split())
    assert result.exit_code == 2
    assert said in result.output
