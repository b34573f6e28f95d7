"""Files on local disks and parallel file systems such as Lustre."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from lsstpipe.datastore.atomic import create_atomically, is_temporary, write_atomically
from lsstpipe.datastore.stored import Found, compute_checksum
from lsstpipe.errors import ConflictError


class LocalFiles:
    """Files on a local or parallel file system."""

    def write(self, path: str, content: bytes) -> None:
        """Write a file so that it is there as a whole or not at all."""
        write_atomically(path, content)

    def read(self, path: str) -> bytes:
        """Read a file."""
        return Path(path).read_bytes()

    def size(self, path: str) -> int | None:
        """Give its bytes; None where there is none."""
        try:
            return os.stat(path).st_size  # noqa: PTH116 - asked before each write of a service
        except (FileNotFoundError, NotADirectoryError):
            return None

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens where there is none."""
        with suppress(NotADirectoryError):
            Path(path).unlink(missing_ok=True)

    def create(self, path: str, content: bytes) -> None:
        """Write a file that is not there, or is there with the same content.

        Parameters
        ----------
        path
            Where.
        content
            Its bytes.

        Raises
        ------
        ConflictError
            If it is there with other content.
        """
        try:
            create_atomically(path, content)
        except FileExistsError as error:
            if not self.holds(path, len(content), compute_checksum(content)):
                raise ConflictError(f"{path} is there already with other content.") from error

    def holds(self, path: str, size: int, checksum: str) -> bool:
        """Tell whether a file is there with this size and checksum.

        Parameters
        ----------
        path
            Where.
        size
            Bytes.
        checksum
            ``algorithm:hexdigest``.
        """
        return self.size(path) == size and compute_checksum(self.read(path)) == checksum

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read parts of a file.

        Parameters
        ----------
        path
            Where.
        ranges
            First byte, and the byte after the last, of each.
        """
        with Path(path).open("rb") as file:
            parts = []
            for start, end in ranges:
                file.seek(start)
                parts.append(file.read(end - start))
        return parts

    def scan(self, root: str) -> Iterator[Found]:
        """Find all files below a folder, with their paths below it; none that is half written.

        Parameters
        ----------
        root
            The folder.
        """
        for path in sorted(Path(root).rglob("*")):
            if path.is_file() and not is_temporary(path):
                state = path.stat()
                yield Found(str(path.relative_to(root)), state.st_size, state.st_mtime)
