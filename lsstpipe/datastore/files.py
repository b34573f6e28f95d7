"""What a datastore needs of a file system, and the file system of a path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from lsstpipe.datastore.local import LocalFiles
from lsstpipe.datastore.remote import RemoteFiles
from lsstpipe.datastore.s3 import S3Files
from lsstpipe.datastore.stored import Found


class Files(Protocol):
    """What a datastore needs of a file system.

    Where a file is absent that must be there, they raise FileNotFoundError.
    """

    def write(self, path: str, content: bytes) -> None:
        """Write a file so that it is there as a whole or not at all."""

    def create(self, path: str, content: bytes) -> None:
        """Write a file; ConflictError where there is one with other content."""

    def holds(self, path: str, size: int, checksum: str) -> bool:
        """Tell whether a file is there with this size and checksum."""

    def read(self, path: str) -> bytes:
        """Read a file; OSError where it cannot be read."""

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read parts of a file, from a first byte to before a last."""

    def size(self, path: str) -> int | None:
        """Give its bytes; None where there is none."""

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens where there is none."""

    def scan(self, root: str) -> Iterator[Found]:
        """Find all files below a folder."""


_LOCAL = LocalFiles()
_REMOTE = RemoteFiles()
_S3 = S3Files()


def files_of(path: str) -> Files:
    """Choose the file system of an absolute path or URL.

    Parameters
    ----------
    path
        Such as ``/data/a`` or ``s3://bucket/a``.
    """
    if "://" not in path:
        return _LOCAL
    return _S3 if path.startswith("s3://") else _REMOTE
