"""Sends the logs of a machine to CloudWatch Logs, where they outlive it.

How far each log was sent is kept beside the state, and written down after AWS has taken a batch: a
crash in between sends that batch again, and nothing is lost. Where it cannot be written down, as on
a full disk, the process itself knows it. While AWS does not answer, lines stay in their files.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsstpipe.cluster.fleet import TAG_NODE
from lsstpipe.cluster.imds import Imds
from lsstpipe.cluster.log_sources import Journal, Line, LogFile, Position, Source
from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.errors import LsstpipeError, RepositoryError, TemporaryError

_LOG = logging.getLogger(__name__)

# CloudWatch Logs API, PutLogEvents: what a batch may have, and how old a line may be.
_BATCH_BYTES, _LINE_BYTES, _BATCH_LINES = 1_048_576, 26, 10_000
_BATCH_S = 23.5 * 3600.0  # of 24 hours
_OLDEST_S = 13.5 * 86400.0  # of 14 days

_ALREADY_THERE = "ResourceAlreadyExistsException"
_NOT_THERE = "ResourceNotFoundException"
_NOT_TAKEN = "InvalidParameterException"
_TOLD = 200
"""Letters of a line that AWS does not take."""

Sources = Mapping[str, Sequence[Source]]
"""Logs by the log group that they go to, as Terraform names it: events, slurm, system."""


def head_sources(state: Path, logs: Path = Path("/var/log")) -> Sources:
    """Give the logs of a head node.

    Parameters
    ----------
    state
        Folder of state and events.
    logs
        Where daemons write.
    """
    daemons = ("slurmctld", "slurmdbd")
    return {
        "events": [LogFile("events", state / "events.jsonl")],
        "slurm": [LogFile(name, logs / "slurm" / f"{name}.log") for name in daemons],
        "system": [Journal()],
    }


def node_sources(logs: Path = Path("/var/log")) -> Sources:
    """Give the logs of a node; jobs and their steps write into that of slurmd what befalls them.

    Parameters
    ----------
    logs
        Where daemons write.
    """
    return {
        "events": [LogFile("events", logs / "lsstpipe" / "node.jsonl")],
        "slurm": [LogFile("slurmd", logs / "slurm" / "slurmd.log")],
        "system": [Journal()],
    }


def node_stream(imds: Imds, *, needs_name: bool) -> str | None:
    """Name the streams of this node: by its name, which comes a little after its start, and its id.

    Parameters
    ----------
    imds
        The metadata service.
    needs_name
        Whether to wait for the name; a node that ends without one has logs, too.

    Returns
    -------
    str or None
        Such as ``compute/spot-7/i-0a``; None while the metadata service does not tell.
    """
    try:
        name, key = imds.tag(TAG_NODE), imds.get("meta-data/instance-id")
    except TemporaryError:
        name = key = None
    if needs_name and None in (name, key):
        return None
    return f"compute/{name or 'unnamed'}/{key or 'unknown'}"


@dataclass(slots=True)
class _Batch:
    """Lines that go together."""

    lines: list[Line] = field(default_factory=list)
    n_bytes: int = 0

    def takes(self, line: Line) -> bool:
        """Tell whether one more line is within what AWS allows."""
        times = [item.time for item in self.lines[:1] + self.lines[-1:]] + [line.time]
        return (
            len(self.lines) < _BATCH_LINES
            and self.n_bytes + _size(line) <= _BATCH_BYTES
            and max(times) - min(times) < _BATCH_S
        )

    def add(self, line: Line) -> None:
        self.lines.append(line)
        self.n_bytes += _size(line)


def _size(line: Line) -> int:
    return len(line.text.encode()) + _LINE_BYTES


@dataclass(slots=True)
class Shipper:
    """Sends the logs of one machine.

    Attributes
    ----------
    client
        Of boto3, for CloudWatch Logs.
    group
        What the names of log groups begin with, such as ``/lsstpipe/survey``.
    stream
        What the names of this machine's streams begin with, such as ``head``.
    sources
        Its logs.
    memory
        File that says how far each was sent.
    now
        Seconds since 1970.
    """

    client: Any
    group: str
    stream: str
    sources: Sources
    memory: Path
    now: Callable[[], float] = time.time
    _positions: dict[str, Position] | None = field(default=None, init=False)
    _is_kept: bool = field(default=True, init=False)

    def ship(self) -> int:
        """Send all that is new.

        Returns
        -------
        int
            Lines.

        Raises
        ------
        TemporaryError
            If AWS did not take all; the next call goes on from there.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        if not self._is_kept:
            self._keep()
        n, failures = 0, []
        for kind, sources in self.sources.items():
            for source in sources:
                try:
                    n += self._ship_one(kind, source)
                except (BotoCoreError, ClientError, LsstpipeError, OSError) as error:
                    failures.append(f"{source.name}: {error}")  # the others go on
        if failures:
            raise TemporaryError(f"Logs stay here for now: {'; '.join(failures)}")
        return n

    def _ship_one(self, kind: str, source: Source) -> int:
        """Send what is new of one log, batch by batch."""
        positions = self._recall()
        n, batch, reached = 0, _Batch(), positions.get(source.name)
        for line, position in source.read(reached):
            in_time = Line(min(max(line.time, self.now() - _OLDEST_S), self.now()), line.text)
            if not batch.takes(in_time):
                n += self._deliver(kind, source, batch.lines, reached)
                batch = _Batch()
            batch.add(in_time)
            reached = position
        return n + self._deliver(kind, source, batch.lines, reached)

    def _deliver(self, kind: str, source: Source, lines: Sequence[Line], reached: Position) -> int:
        """Send lines, then write down that they were sent."""
        if lines:
            # Clocks are set now and then, and AWS wants each batch in order.
            ordered = sorted(lines, key=lambda line: line.time)
            self._put(f"{self.group}/{kind}", f"{self.stream}/{source.name}", ordered)
            self._recall()[source.name] = reached
            self._keep()
        return len(lines)

    def _put(
        self, group: str, stream: str, lines: Sequence[Line], *, is_made: bool = False
    ) -> None:
        """Send lines; one that AWS will never take is left out, so that those after it go.

        A stream that was made just now and is still not there is for the next look.
        """
        from botocore.exceptions import ClientError

        where = {"logGroupName": group, "logStreamName": stream}
        rows = [{"timestamp": int(line.time * 1000), "message": line.text} for line in lines]
        try:
            answer = self.client.put_log_events(**where, logEvents=rows)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == _NOT_THERE and not is_made:
                self._make_stream(where)
                self._put(group, stream, lines, is_made=True)
            elif code == _NOT_TAKEN and len(lines) > 1:
                half = len(lines) // 2
                self._put(group, stream, lines[:half])
                self._put(group, stream, lines[half:])
            elif code == _NOT_TAKEN:
                _LOG.warning("%s takes no line like %s", group, lines[0].text[:_TOLD])
            else:
                raise
        else:
            if refused := answer.get("rejectedLogEventsInfo"):
                _LOG.warning("%s has refused lines for their times: %s", group, refused)

    def _make_stream(self, where: Mapping[str, str]) -> None:
        from botocore.exceptions import ClientError

        try:
            self.client.create_log_stream(**where)
        except ClientError as error:
            if error.response["Error"]["Code"] != _ALREADY_THERE:
                raise

    def _recall(self) -> dict[str, Position]:
        """Give how far each log was sent; what was written down is read once."""
        if self._positions is None:
            self._positions = {}
            try:
                kept = json.loads(self.memory.read_bytes())
                self._positions.update(kept)
            except FileNotFoundError:
                pass  # the first start
            except (OSError, ValueError, TypeError) as error:
                _LOG.warning(
                    "%s does not say what was sent, so logs are sent from their beginning: %s",
                    self.memory, error,
                )  # fmt: skip
        return self._positions

    def _keep(self) -> None:
        """Write down how far each log was sent; where that fails it is said once."""
        try:
            write_atomically(self.memory, json.dumps(self._positions).encode())
        except RepositoryError as error:
            if self._is_kept:
                _LOG.warning("what was sent now would be sent again after a restart: %s", error)
            self._is_kept = False
        else:
            self._is_kept = True


def open_logs(region: str) -> Any:
    """Give a client for CloudWatch Logs that does not wait long: the next look is soon.

    Parameters
    ----------
    region
        Of the log groups.
    """
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=5.0,
        read_timeout=20.0,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    return boto3.client("logs", region_name=region, config=config)


def ship_until(
    stop: threading.Event, find_shipper: Callable[[bool], Shipper | None], every_s: float
) -> None:
    """Send logs again and again, and once more when it is time to stop.

    Parameters
    ----------
    stop
        Says that it is.
    find_shipper
        Gives who sends; None while the machine has no name yet, unless it is told that this is
        the last call.
    every_s
        Seconds between two looks; where AWS does not answer it becomes longer.
    """
    shipper, pause = None, 0.0
    while True:
        is_last = stop.wait(pause)
        shipper = shipper or find_shipper(is_last)
        try:
            if shipper is not None:
                shipper.ship()
            pause = every_s
        except TemporaryError as error:
            _LOG.warning("%s", error)
            pause = min(2.0 * max(pause, every_s), 30.0 * every_s)
        if is_last:
            return
