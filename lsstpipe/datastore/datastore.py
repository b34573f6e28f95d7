"""Files below a root, local or remote: written as a whole, with their checksums."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import xxhash

from lsstpipe.datastore.atomic import find_temporaries, write_atomically
from lsstpipe.datastore.remote import RemoteFiles
from lsstpipe.errors import InputFileError, RepositoryError

_ALGORITHM = "xxh3_128"


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is in place: its path as it was given, bytes, ``algorithm:hexdigest``."""

    path: str
    size: int
    checksum: str


class Files(Protocol):
    """What a datastore needs of a file system."""

    def write(self, path: str, content: bytes) -> None:
        """Write a file so that it is there as a whole or not at all."""

    def read(self, path: str) -> bytes:
        """Read a file; FileNotFoundError where there is none, OSError where it cannot be read."""

    def size(self, path: str) -> int | None:
        """Give its bytes; None where there is none."""

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens where there is none."""


def compute_checksum(content: bytes) -> str:
    """Give ``xxh3_128:`` and 32 hexadecimal digits.

    It is made against damage and mix-ups, not against forgery, and costs no more than reading.

    Parameters
    ----------
    content
        The bytes of a file.
    """
    return f"{_ALGORITHM}:{xxhash.xxh3_128_hexdigest(content)}"


class Datastore:
    """Files by paths below a root; absolute paths and URLs mean what they say.

    Parameters
    ----------
    root
        A local folder, or an URL that fsspec knows, such as ``s3://bucket/prefix``.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = str(root)
        self._local = LocalFiles()
        self._remote = RemoteFiles()

    def resolve(self, path: str) -> str:
        """Give the absolute path or URL of a file.

        Parameters
        ----------
        path
            Path below the root, or an absolute path or URL of a file that lies elsewhere.
        """
        if _is_absolute(path):
            return path
        return f"{self.root.rstrip('/')}/{path}"

    def local_path(self, path: str) -> Path | None:
        """Give the path of a file on a local disk; None for one that lies elsewhere.

        Parameters
        ----------
        path
            As for `resolve`.
        """
        where = self.resolve(path).removeprefix("file://")
        return None if "://" in where else Path(where)

    def write(self, path: str, content: bytes) -> Stored:
        """Put a file in place, instead of the one that is there, if any.

        Parameters
        ----------
        path
            Path below the root.
        content
            Its bytes.

        Raises
        ------
        RepositoryError
            If the folder cannot be written.
        """
        if _is_absolute(path):
            raise RepositoryError(f"{path} lies outside of {self.root}, so it is only read.")
        files, where = self._find(path)
        files.write(where, content)
        return Stored(path, len(content), compute_checksum(content))

    def describe(self, path: str) -> Stored:
        """Measure a file that is there already, such as one to be ingested.

        Parameters
        ----------
        path
            As for `resolve`.

        Raises
        ------
        InputFileError
            If it is absent or cannot be read.
        """
        content = self.read(path)
        return Stored(path, len(content), compute_checksum(content))

    def read(self, path: str, checksum: str = "") -> bytes:
        """Read a file.

        Parameters
        ----------
        path
            As for `resolve`.
        checksum
            What its bytes must have; empty leaves them unchecked.

        Raises
        ------
        InputFileError
            If it is absent, cannot be read, or does not have the checksum.
        """
        files, where = self._find(path)
        try:
            content = files.read(where)
        except FileNotFoundError as error:
            raise InputFileError(f"{where} is not there.") from error
        except OSError as error:
            raise InputFileError(f"{where} cannot be read: {error.strerror or error}.") from error
        if checksum and compute_checksum(content) != checksum:
            raise InputFileError(f"{where} was changed or damaged since it was written.")
        return content

    def exists(self, path: str) -> bool:
        """Tell whether there is a file.

        Parameters
        ----------
        path
            As for `resolve`.
        """
        files, where = self._find(path)
        return files.size(where) is not None

    def verify(self, stored: Stored) -> bool:
        """Tell whether a file is there and has the size and the checksum that it should.

        Parameters
        ----------
        stored
            What it should be.
        """
        files, where = self._find(stored.path)
        if files.size(where) != stored.size:
            return False
        return compute_checksum(files.read(where)) == stored.checksum

    def remove(self, path: str) -> None:
        """Remove a file below the root; nothing happens if it is not there.

        Parameters
        ----------
        path
            Path below the root.

        Raises
        ------
        RepositoryError
            If it lies elsewhere: what was ingested is not ours to remove.
        """
        if _is_absolute(path):
            raise RepositoryError(f"{path} lies outside of {self.root}, so it is only read.")
        files, where = self._find(path)
        files.remove(where)

    def sweep(self) -> list[str]:
        """Remove the temporary files that killed processes left, and give their paths.

        Object stores have none: they show a file only when it is whole.
        """
        root = self.local_path("")
        found = [] if root is None else list(find_temporaries(root))
        for path in found:
            path.unlink(missing_ok=True)
        return [str(path) for path in found]

    def _find(self, path: str) -> tuple[Files, str]:
        local = self.local_path(path)
        return (self._remote, self.resolve(path)) if local is None else (self._local, str(local))


class LocalFiles:
    """Files on a local or parallel file system."""

    def write(self, path: str, content: bytes) -> None:
        """Write a file so that it is there as a whole or not at all."""
        write_atomically(Path(path), content)

    def read(self, path: str) -> bytes:
        """Read a file."""
        return Path(path).read_bytes()

    def size(self, path: str) -> int | None:
        """Give its bytes; None where there is none."""
        try:
            return Path(path).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens where there is none."""
        Path(path).unlink(missing_ok=True)


def _is_absolute(path: str) -> bool:
    return "://" in path or path.startswith("/")
