"""Files of object stores, by URL.

fsspec is imported when the first URL is met: local repositories do without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from lsstpipe.datastore.stored import Found, compute_checksum
from lsstpipe.errors import ConflictError, RepositoryError


class RemoteFiles:
    """Files that fsspec reaches: one request writes a whole object."""

    def write(self, path: str, content: bytes) -> None:
        """Write a file so that it is there as a whole or not at all."""
        self._put(path, content, mode="overwrite")

    def create(self, path: str, content: bytes) -> None:
        """Write a file that is not there, or is there with the same content.

        Parameters
        ----------
        path
            Its URL.
        content
            Its bytes.

        Raises
        ------
        ConflictError
            If it is there with other content.
        """
        try:
            self._put(path, content, mode="create")
        except FileExistsError as error:
            # Another attempt may have written it: its answer was lost, or its process was killed.
            if not self.holds(path, len(content), compute_checksum(content)):
                raise ConflictError(f"{path} is there already with other content.") from error

    def holds(self, path: str, size: int, checksum: str) -> bool:
        """Tell whether a file is there with this size and checksum.

        Parameters
        ----------
        path
            Its URL.
        size
            Bytes.
        checksum
            ``algorithm:hexdigest``.
        """
        return self.size(path) == size and compute_checksum(self.read(path)) == checksum

    def read(self, path: str) -> bytes:
        """Read a file."""
        files, where = self._open(path)
        with self._explained(path, "read"):
            content: bytes = files.cat_file(where)
        return content

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read parts of a file, several at once.

        Parameters
        ----------
        path
            Its URL.
        ranges
            First byte, and the byte after the last, of each.
        """
        files, where = self._open(path)
        starts, ends = [start for start, _ in ranges], [end for _, end in ranges]
        with self._explained(path, "read"):
            parts: list[bytes] = files.cat_ranges(
                [where] * len(ranges), starts, ends, on_error="raise"
            )
        return parts

    def size(self, path: str) -> int | None:
        """Give its bytes; None where there is none."""
        files, where = self._open(path)
        try:
            with self._explained(path, "read"):
                return int(files.size(where))
        except FileNotFoundError:
            return None

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens where there is none."""
        files, where = self._open(path)
        with self._explained(path, "removed"):
            if files.exists(where):
                files.rm_file(where)

    def scan(self, root: str) -> Iterator[Found]:
        """Find all files below a folder, with their paths below it.

        Parameters
        ----------
        root
            URL of the folder.
        """
        files, where = self._open(root)
        with self._explained(root, "listed"):
            found = files.find(where, detail=True)
        for name, info in sorted(found.items()):
            modified = info.get("LastModified") or info.get("created")
            yield Found(
                name[len(where) :].lstrip("/"),
                int(info["size"]),
                modified.timestamp() if isinstance(modified, datetime) else 0.0,
            )

    def _open(self, path: str) -> tuple[Any, str]:
        """Give the file system of an URL and the path in it."""
        import fsspec

        try:
            files, where = fsspec.url_to_fs(path)
        except (ValueError, ImportError) as error:
            raise RepositoryError(
                f"{path} has the protocol '{path.partition('://')[0]}', which cannot be used here "
                "(allowed are a local path and s3://BUCKET/PREFIX)."
            ) from error
        return files, where

    def _put(self, path: str, content: bytes, *, mode: str) -> None:
        files, where = self._open(path)
        with self._explained(path, "written"):
            files.pipe_file(where, content, mode=mode)

    @contextmanager
    def _explained(self, path: str, verb: str) -> Iterator[None]:
        """Say in one sentence what failed; whether a file is there is for the caller to judge."""
        try:
            yield
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError as error:
            raise RepositoryError(f"{path} cannot be {verb}: {error}.") from error
