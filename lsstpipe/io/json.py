"""JSON that keeps every float, NaN and infinities included, and stays JSON for everybody else.

Floats are written with the fewest digits that read back as the same float. Numbers that JSON does
not have are objects with one key: ``{"$float": "nan"}``, ``"inf"`` or ``"-inf"``. Keys are sorted,
so that equal values give equal bytes. Tuples become lists, numpy scalars become numbers.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from typing import Any

from lsstpipe.errors import InputFileError

_MARK = "$float"
_TEXT = frozenset({str})
_SCALARS = frozenset({str, int, float, bool, type(None)})
# A line a value, so that two files can be compared by eye; an indent would take the encoder that is
# written in Python, which needs six times as long.
_ENCODER = json.JSONEncoder(sort_keys=True, allow_nan=False, separators=(",\n", ": "))


def write_json(value: object) -> bytes:
    """Turn a JSON value into UTF-8 bytes.

    Parameters
    ----------
    value
        Dictionaries with text keys, lists, tuples, text, numbers, booleans, None.

    Raises
    ------
    TypeError
        If there is anything else in it.
    """
    if not _is_plain(value):
        return _encode(_to_plain(value))
    try:
        return _encode(value)
    except ValueError:  # a float that JSON does not have
        return _encode(_to_plain(value))


def _encode(value: object) -> bytes:
    return f"{_ENCODER.encode(value)}\n".encode()


def read_json(content: bytes, name: str) -> Any:
    """Turn bytes into the JSON value that was written.

    Parameters
    ----------
    content
        Content of the file.
    name
        What error messages call it.

    Raises
    ------
    InputFileError
        If it is not JSON.
    """
    try:
        return json.loads(content, object_hook=_from_object)
    except ValueError as error:
        raise InputFileError(f"{name} is not JSON: {error}.") from error


def _is_plain(value: object) -> bool:
    """Tell whether there is nothing that the encoder does not know, or knows as something else."""
    deepest = sys.getrecursionlimit()  # the encoder goes no deeper, and a circle has no end
    pending = [(value, 0)]
    # A stack instead of calls, whose frames would run out at half of the encoder's own depth.
    while pending:
        value, depth = pending.pop()
        if type(value) is dict:
            if not _TEXT.issuperset(map(type, value)) or _MARK in value:
                return False
            items: Iterable[object] = value.values()
        elif type(value) is list or type(value) is tuple:
            items = value
        elif type(value) in _SCALARS:
            continue
        else:
            return False
        if depth > deepest:
            return False
        # Numbers of an array are looked at all at once.
        if not _SCALARS.issuperset(map(type, items)):
            pending += [(item, depth + 1) for item in items if type(item) not in _SCALARS]
    return True


def _to_plain(value: object) -> object:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {_MARK: repr(float(value))}
    if isinstance(value, (list, tuple)):
        return [_to_plain(item) for item in value]
    if isinstance(value, dict):
        if bad := [key for key in value if not isinstance(key, str) or key == _MARK]:
            raise TypeError(f"JSON keys are text other than {_MARK}, got {bad[0]!r}.")
        return {key: _to_plain(item) for key, item in value.items()}
    # Where numpy is not in memory nothing is of it, and to import it takes longer than most JSON.
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        return _to_plain(value.item())
    raise TypeError(f"JSON cannot keep a {type(value).__name__}.")


def _from_object(value: dict[str, Any]) -> object:
    return float(value[_MARK]) if value.keys() == {_MARK} else value
