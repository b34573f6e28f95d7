"""Slurm's lists of node names: ``spot-[1-3,7],large-2``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lsstpipe.errors import UserError

_PART = re.compile(r"([^,\[\]]+)(?:\[([0-9,\-]+)\])?(?:,|$)")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_NAME = re.compile(r"(.*?)(\d+)")
_MAX_NODES = 100_000


def expand(text: str) -> list[str]:
    """Spell out a list of nodes, in its order.

    Parameters
    ----------
    text
        As Slurm writes it; empty for no node.

    Raises
    ------
    UserError
        If it cannot be read, or names more than 100,000 nodes.
    """
    names: list[str] = []
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            raise UserError(f"'{text}' is no list of nodes such as spot-[1-3,7],large-2.")
        prefix, ranges = match[1], match[2]
        names += [prefix] if ranges is None else [f"{prefix}{n}" for n in _numbers(text, ranges)]
        if len(names) > _MAX_NODES:
            raise UserError(f"'{text}' names more than {_MAX_NODES} nodes.")
        position = match.end()
    return names


def _numbers(text: str, ranges: str) -> Iterable[str]:
    for part in ranges.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise UserError(f"'{text}' has a range '{part}'; ranges are such as 7 and 1-3.")
        first, last = match[1], match[2] or match[1]
        if int(last) - int(first) >= _MAX_NODES:
            raise UserError(f"'{text}' names more than {_MAX_NODES} nodes.")
        for number in range(int(first), int(last) + 1):
            yield str(number).zfill(len(first) if first.startswith("0") else 0)


def compress(names: Iterable[str]) -> str:
    """Write names as a short list: equal beginnings once, numbers in ranges, sorted.

    Parameters
    ----------
    names
        Names of nodes.
    """
    plain: list[str] = []
    numbers: dict[str, set[int]] = {}
    for name in dict.fromkeys(names):
        match = _NAME.fullmatch(name)
        # A number that begins with 0 has a width of its own: it stays as it is.
        if match is None or (match[2].startswith("0") and match[2] != "0"):
            plain.append(name)
        else:
            numbers.setdefault(match[1], set()).add(int(match[2]))
    parts = [f"{prefix}{_ranges(sorted(own))}" for prefix, own in sorted(numbers.items())]
    return ",".join(sorted(plain) + parts)


def _ranges(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return str(numbers[0])
    parts: list[str] = []
    start = previous = numbers[0]
    for number in [*numbers[1:], None]:
        if number is not None and number == previous + 1:
            previous = number
            continue
        parts.append(str(start) if start == previous else f"{start}-{previous}")
        if number is not None:
            start = previous = number
    return f"[{','.join(parts)}]"
