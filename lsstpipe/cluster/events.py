"""What happened, one JSON object a line: for people, for metric filters, for the tests."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCHEMA: dict[str, tuple[str, ...]] = {
    "launch-requested": ("pool", "market", "nodes", "job"),
    "launched-before": ("pool", "nodes"),
    "launched": ("pool", "market", "nodes", "instances", "hourly_usd"),
    "launch-failed": ("pool", "market", "nodes", "code", "error_class", "message"),
    "launch-refused": ("pool", "nodes", "reason"),
    "fell-back": ("pool", "nodes"),
    "node-action": ("node", "action", "reason", "instance"),
    "action-failed": ("nodes", "action", "message"),
    "orphan-ended": ("instance", "reason"),
    "pool-rests": ("pool", "code", "seconds"),
    "pool-returns": ("pool",),
    "breaker-open": ("pool", "reason"),
    "quota-met": ("pool", "code"),
    "jobs-released": ("jobs",),
    "foreign-node": ("nodes",),
    "reaper-silent": ("nodes", "seconds"),
    "spot-notice": ("node", "until"),
    "node-ready": ("node", "seconds"),
    "node-ended": ("node", "reason"),
    "reconciled": ("nodes", "instances", "actions", "hourly_usd"),
}
"""Every event and the fields that it has besides ``time``, ``cluster`` and ``event``."""


class EventLog:
    """Appends events to a file.

    Parameters
    ----------
    path
        The file; its folder is made.
    cluster
        Name of the cluster.
    now
        Seconds since 1970.
    """

    def __init__(self, path: Path, cluster: str, now: Callable[[], float]) -> None:
        self._path, self._cluster, self._now = path, cluster, now
        path.parent.mkdir(parents=True, exist_ok=True)

    def emit(self, event: str, **fields: Any) -> None:
        """Write an event.

        Parameters
        ----------
        event
            One of `SCHEMA`.
        fields
            Exactly the fields that it has.
        """
        if set(fields) != set(SCHEMA[event]):
            raise ValueError(f"the event {event} has {SCHEMA[event]}, got {tuple(fields)}")
        time = datetime.datetime.fromtimestamp(self._now(), datetime.UTC)
        # JSON has no word for a time without end.
        plain = {name: None if value == math.inf else value for name, value in fields.items()}
        row = {"time": time.isoformat(), "cluster": self._cluster, "event": event} | plain
        line = json.dumps(row, default=list, allow_nan=False) + "\n"
        # One write: lines of several processes do not mix.
        with self._path.open("a") as file:
            file.write(line)
