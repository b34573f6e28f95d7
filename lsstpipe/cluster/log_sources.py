"""Where logs are read from, line by line, and how to go on where one stopped: files, the journal.

A file is known by its inode and by how it begins, so that one that logrotate has renamed is read to
its end, and one that was emptied or made anew is read from its beginning.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

Position = Any
"""How far a log was read, as plain JSON; None for not at all."""

_LONGEST = 64 * 2**10
"""Bytes of a line; what is longer becomes several. Each may become three where it is not UTF-8, and
CloudWatch Logs took 256 KiB before it took 1 MiB (CloudWatch Logs API, PutLogEvents)."""

_HEAD = 256
"""Bytes at its beginning by which a file is known."""

_ROTATED = re.compile(r"([.-]\d+)*")
"""What logrotate adds to a name, unless it compresses: that is done one rotation later (its option
``delaycompress``), so that nothing is read twice."""

_SLURM_TIME = re.compile(r"\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)\]")
_JOURNAL_FIELDS = {
    "_SYSTEMD_UNIT": "unit",
    "SYSLOG_IDENTIFIER": "identifier",
    "PRIORITY": "priority",
    "MESSAGE": "message",
}
"""What is taken of the journal, by its own names."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a log.

    Attributes
    ----------
    time
        When it was written, seconds since 1970.
    text
        The line.
    """

    time: float
    text: str


class Source(Protocol):
    """A log."""

    @property
    def name(self) -> str:
        """Its name, unique on a machine."""

    def read(self, position: Position) -> Iterator[tuple[Line, Position]]:
        """Read on; with each line comes how far the log was then read."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log in a file that may be rotated.

    Attributes
    ----------
    name
        Its name on the machine.
    path
        The file that is written to; those of before have names that begin alike.
    """

    name: str
    path: Path

    def read(self, position: Position) -> Iterator[tuple[Line, Position]]:
        """Read all whole lines that were not read before.

        Parameters
        ----------
        position
            What came with the last line that was dealt with.

        Yields
        ------
        tuple
            A line, and the position after it: offset and checksum of the beginning, by inode.
        """
        marks: dict[str, list[int]] = dict(position or {})
        found = self._find()
        if position is None:  # what was rotated before the first look is of another life
            marks = {key: _mark_end(path) for key, path in found.items() if path != self.path}
        marks = {key: marks[key] for key in found if key in marks}
        for key, path in found.items():
            with suppress(FileNotFoundError), path.open("rb") as file:
                if str(os.fstat(file.fileno()).st_ino) != key:
                    return  # it was rotated just now: the next look finds both
                for line, mark in _read_file(file, marks.get(key), is_whole=path != self.path):
                    marks[key] = mark
                    yield line, dict(marks)

    def _find(self) -> dict[str, Path]:
        """Find the file and those that were rotated, by inode, the oldest first."""
        found = []
        for path in self.path.parent.glob(f"{self.path.name}*"):
            if _ROTATED.fullmatch(path.name.removeprefix(self.path.name)):
                with suppress(FileNotFoundError):
                    status = path.stat()
                    found.append((path == self.path, status.st_mtime, str(status.st_ino), path))
        return {key: path for *_, key, path in sorted(found)}


def _mark_end(path: Path) -> list[int]:
    with path.open("rb") as file:
        head = file.read(_HEAD)
        offset = file.seek(0, 2)
    return [offset, zlib.crc32(head[:offset])]


def _read_file(
    file: BinaryIO, mark: list[int] | None, *, is_whole: bool
) -> Iterator[tuple[Line, list[int]]]:
    """Read a file on from a mark; with `is_whole` its last line needs no end."""
    head = file.read(_HEAD)
    offset = 0
    if mark is not None and zlib.crc32(head[: mark[0]]) == mark[1]:
        offset = mark[0] if file.seek(0, 2) >= mark[0] else 0
    file.seek(offset)
    at = time.time()
    while raw := file.readline(_LONGEST):
        if not raw.endswith(b"\n") and len(raw) < _LONGEST and not is_whole:
            return
        offset += len(raw)
        if len(head) < _HEAD:  # it may have grown since it was opened
            head = (head[: offset - len(raw)] + raw)[:_HEAD]
        if text := raw.decode(errors="replace").rstrip("\r\n"):
            at = _time_of(text, at)
            yield Line(at, text), [offset, zlib.crc32(head[:offset])]


def _time_of(text: str, otherwise: float) -> float:
    """Find when a line was written: an event of ours, or a line of Slurm's daemons."""
    told: object = None
    if text.startswith("{"):
        with suppress(ValueError):
            told = json.loads(text).get("time")
    elif match := _SLURM_TIME.match(text):
        told = match[1]
    try:
        # Slurm's daemons write the time of the machine's own zone.
        return datetime.datetime.fromisoformat(str(told)).timestamp()
    except ValueError:
        return otherwise


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of systemd, as journalctl shows it.

    Attributes
    ----------
    name
        Its name on the machine.
    command
        The program.
    """

    name: str = "journal"
    command: str = "journalctl"

    def read(self, position: Position) -> Iterator[tuple[Line, Position]]:
        """Read all entries that were not read before, each as one JSON object.

        Parameters
        ----------
        position
            Cursor of the last entry that was dealt with.

        Yields
        ------
        tuple
            An entry, and its cursor.
        """
        fields = f"--output-fields={','.join(_JOURNAL_FIELDS)}"
        asked = [self.command, "--all", "--no-pager", "--output=json", fields]
        if position is not None:
            asked.append(f"--after-cursor={position}")
        try:
            shown = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        except FileNotFoundError:
            return  # a machine without systemd
        assert shown.stdout is not None
        try:
            for raw in shown.stdout:
                entry = json.loads(raw)
                at = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
                yield Line(at, _entry_text(entry)), entry["__CURSOR"]
        finally:
            shown.stdout.close()
            shown.terminate()
            shown.wait()


def _entry_text(entry: dict[str, Any]) -> str:
    """Write an entry of the journal as a line."""
    told = {}
    for field, name in _JOURNAL_FIELDS.items():
        value = entry.get(field)
        # What is not text comes as numbers (systemd, "Journal Export Formats", JSON).
        if isinstance(value, list) and all(isinstance(item, int) for item in value):
            value = bytes(value).decode(errors="replace")
        if value is not None:
            told[name] = value[:_LONGEST] if isinstance(value, str) else value
    return json.dumps(told, ensure_ascii=False)
