"""Files below a root, local or remote: written as a whole, with their checksums."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lsstpipe.datastore.atomic import find_temporaries
from lsstpipe.datastore.cache import ReadCache
from lsstpipe.datastore.files import files_of
from lsstpipe.datastore.stored import Found, Stored, compute_checksum
from lsstpipe.errors import InputFileError, RepositoryError


class Datastore:
    """Files by paths below a root; absolute paths and URLs mean what they say.

    Parameters
    ----------
    root
        A local folder, or an URL that fsspec knows, such as ``s3://bucket/prefix``.
    cache
        Keeps copies of remote files that are read with their checksums.
    """

    def __init__(self, root: str | Path, cache: ReadCache | None = None) -> None:
        self.root = str(root)
        self._base = f"{self.root.rstrip('/')}/".removeprefix("file://")
        self._cache = cache

    def resolve(self, path: str) -> str:
        """Give the absolute path or URL of a file.

        Parameters
        ----------
        path
            Path below the root, or an absolute path or URL of a file that lies elsewhere.
        """
        if _is_absolute(path):
            return path.removeprefix("file://")
        return self._base + path

    def local_path(self, path: str) -> Path | None:
        """Give the path of a file on a local disk; None for one that lies elsewhere.

        Parameters
        ----------
        path
            As for `resolve`.
        """
        where = self.resolve(path)
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
            If it lies elsewhere, or the folder cannot be written.
        TemporaryError
            If the store does not answer.
        """
        where = self._own(path)
        files_of(where).write(where, content)
        return Stored(path, len(content), compute_checksum(content))

    def create(self, path: str, content: bytes) -> Stored:
        """Put a file in place that is not there, or is there with the same content.

        Of two writers with other contents one succeeds.

        Parameters
        ----------
        path
            Path below the root.
        content
            Its bytes.

        Raises
        ------
        ConflictError
            If it is there with other content.
        RepositoryError, TemporaryError
            As for `write`.
        """
        where = self._own(path)
        files_of(where).create(where, content)
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
        TemporaryError
            If the store does not answer.
        """
        if self._cache is None or not checksum:
            return self._read(self.resolve(path), checksum)
        # First, as to resolve a path may take a request.
        if (copy := self._cache.find(checksum)) is not None:
            return copy
        where = self.resolve(path)
        content = self._read(where, checksum)
        if "://" in where:
            self._cache.keep(checksum, content)
        return content

    def _read(self, where: str, checksum: str) -> bytes:
        content = self._read_once(where)
        if not checksum or compute_checksum(content) == checksum:
            return content
        # A network may have done it; parts of large objects come without a checksum of their own.
        if "://" in where and compute_checksum(content := self._read_once(where)) == checksum:
            return content
        raise InputFileError(f"{where} was changed or damaged since it was written.")

    def _read_once(self, where: str) -> bytes:
        try:
            return files_of(where).read(where)
        except FileNotFoundError as error:
            raise InputFileError(f"{where} is not there.") from error
        except OSError as error:
            raise InputFileError(f"{where} cannot be read: {error.strerror or error}.") from error

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read parts of a file, of a remote one several at once; their checksum is not known.

        Parameters
        ----------
        path
            As for `resolve`.
        ranges
            First byte, and the byte after the last, of each.

        Raises
        ------
        InputFileError
            If it is absent or cannot be read.
        """
        where = self.resolve(path)
        try:
            return files_of(where).read_ranges(where, ranges)
        except FileNotFoundError as error:
            raise InputFileError(f"{where} is not there.") from error
        except OSError as error:
            raise InputFileError(f"{where} cannot be read: {error.strerror or error}.") from error

    def exists(self, path: str) -> bool:
        """Tell whether there is a file.

        Parameters
        ----------
        path
            As for `resolve`.
        """
        return self.size(path) is not None

    def size(self, path: str) -> int | None:
        """Give the bytes of a file; None where there is none.

        Parameters
        ----------
        path
            As for `resolve`.

        Raises
        ------
        InputFileError
            If nobody can tell, as its folder cannot be looked into.
        """
        where = self.resolve(path)
        try:
            return files_of(where).size(where)
        except OSError as error:
            raise InputFileError(f"{where} cannot be read: {error.strerror or error}.") from error

    def holds(self, stored: Stored) -> bool:
        """Tell whether a file is there as it was written, at the least cost.

        Of an object of S3 the checksum is taken that it was written with; `verify` reads it.

        Parameters
        ----------
        stored
            What it should be.
        """
        where = self.resolve(stored.path)
        try:
            return files_of(where).holds(where, stored.size, stored.checksum)
        except OSError:  # what cannot be read is as good as absent
            return False

    def verify(self, stored: Stored) -> bool:
        """Tell whether a file is there and its bytes have the size and the checksum they should.

        Parameters
        ----------
        stored
            What it should be.
        """
        where = self.resolve(stored.path)
        files = files_of(where)
        try:
            if files.size(where) != stored.size:
                return False
            return compute_checksum(files.read(where)) == stored.checksum
        except OSError:  # what cannot be read is as good as absent
            return False

    def remove(self, path: str) -> None:
        """Remove a file below the root; nothing happens if it is not there.

        Parameters
        ----------
        path
            Path below the root.

        Raises
        ------
        RepositoryError
            If it cannot be removed, or lies elsewhere: what was ingested is not ours to remove.
        """
        where = self._own(path)
        try:
            files_of(where).remove(where)
        except OSError as error:
            raise RepositoryError(
                f"{where} cannot be removed: {error.strerror or error}."
            ) from error

    def scan(self) -> Iterator[Found]:
        """Find all files below the root; none that is half written."""
        where = self.resolve("")
        yield from files_of(where).scan(where)

    def sweep(self) -> list[str]:
        """Remove the temporary files that killed processes left, and give their paths.

        Object stores have none: they show a file only when it is whole.
        """
        root = self.local_path("")
        found = [] if root is None else list(find_temporaries(root))
        for path in found:
            path.unlink(missing_ok=True)
        return [str(path) for path in found]

    def _own(self, path: str) -> str:
        """Give the place of a file that may be written."""
        if _is_absolute(path):
            raise RepositoryError(f"{path} lies outside of {self.root}, so it is only read.")
        return self._base + path


def _is_absolute(path: str) -> bool:
    return "://" in path or path.startswith("/")
