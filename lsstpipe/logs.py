"""Logs: one line a message, with the data ID bound once; as text, or as JSON for programs."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import TextIO

_NOTHING: Mapping[str, str] = MappingProxyType({})
_BOUND: ContextVar[Mapping[str, str]] = ContextVar("bound", default=_NOTHING)


@contextlib.contextmanager
def bind(**values: object) -> Iterator[None]:
    """Add values to every message that is logged within the block.

    Parameters
    ----------
    values
        Such as ``stage="visit"`` or ``data_id=data_id``.
    """
    token = _BOUND.set({**_BOUND.get(), **{name: str(v) for name, v in values.items()}})
    try:
        yield
    finally:
        _BOUND.reset(token)


class TextFormatter(logging.Formatter):
    """``2026-01-31T12:00:00Z INFO message [stage=visit data_id=...]``."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a message, and the traceback below it."""
        bound = " ".join(f"{name}={value}" for name, value in _BOUND.get().items() if value)
        text = f"{_time(record)} {record.levelname} {record.getMessage()}"
        text += f" [{bound}]" if bound else ""
        return text + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, message and what is bound."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a message with its traceback as one line."""
        entry = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_BOUND.get(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def configure(
    *, level: int = logging.INFO, as_json: bool = False, stream: TextIO | None = None
) -> None:
    """Send the messages of lsstpipe to a stream, once.

    Parameters
    ----------
    level
        Least level.
    as_json
        Whether each line is a JSON object.
    stream
        Where to; the standard error by default.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    logger = logging.getLogger("lsstpipe")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
