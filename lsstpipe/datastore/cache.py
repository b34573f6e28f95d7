"""Copies of remote files on a local disk, up to a size; who was not read for longest goes first.

A copy is named by the checksum of its bytes. So it never is out of date, the same file under two
URLs is kept once, and a damaged copy is recognised when it is read. When it was last read is its
time of modification. A lock lets one process at a time put in and throw out; reading needs none.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from lsstpipe.datastore.stored import compute_checksum

_LOCK = ".lock"
_HALF_WRITTEN = ".new"


class ReadCache:
    """Copies of files by their checksums.

    Parameters
    ----------
    folder
        Where, for the cache alone; several processes and users of one host may share it.
    max_bytes
        How much it may hold; a file larger than that is not kept.
    """

    def __init__(self, folder: str | Path, max_bytes: int) -> None:
        self._folder = Path(folder)
        self._max_bytes = max_bytes

    def find(self, checksum: str) -> bytes | None:
        """Give the bytes that have a checksum; None where there is no good copy.

        Parameters
        ----------
        checksum
            ``algorithm:hexdigest``.
        """
        copy = self._place(checksum)
        try:
            content = copy.read_bytes()
        except OSError:
            return None
        if compute_checksum(content) != checksum:
            return None
        with contextlib.suppress(OSError):  # it may have been thrown out just now
            os.utime(copy)
        return content

    def keep(self, checksum: str, content: bytes) -> None:
        """Keep a copy, instead of a damaged one if there is one.

        A disk that is full or cannot be written makes the next reading slower, nothing else.

        Parameters
        ----------
        checksum
            That of the bytes.
        content
            The bytes.
        """
        if len(content) > self._max_bytes:
            return
        with contextlib.suppress(OSError), self._locked():
            copy = self._place(checksum)
            self._make_room(copy, len(content))
            new = self._folder / _HALF_WRITTEN
            try:
                new.write_bytes(content)
                new.replace(copy)
            except OSError:
                new.unlink(missing_ok=True)
                raise

    def _place(self, checksum: str) -> Path:
        return self._folder / checksum.replace(":", "-")

    def _make_room(self, copy: Path, needed: int) -> None:
        """Throw out what was not read for longest, until there is room for a copy.

        The old state of the copy, and what a killed process had half written, go in any case.
        """
        (self._folder / _HALF_WRITTEN).unlink(missing_ok=True)
        copy.unlink(missing_ok=True)
        kept = sorted(self._copies(), key=lambda entry: entry[1])
        total = sum(size for _, _, size in kept) + needed
        for path, _, size in kept:
            if total <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _copies(self) -> Iterator[tuple[Path, int, int]]:
        """Give the path, time of the last reading, and size of each copy."""
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    state = entry.stat()
                    yield Path(entry.path), state.st_mtime_ns, state.st_size

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Be alone with the folder; the kernel lets go of the lock of a process that dies."""
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
