"""Files of object stores, by URL.

fsspec is imported when the first URL is met: local repositories do without it.
"""

from __future__ import annotations

from lsstpipe.errors import RepositoryError


class RemoteFiles:
    """Files that fsspec reaches: one request writes a whole object."""

    def write(self, path: str, content: bytes) -> None:
        """Write a file so that it is there as a whole or not at all."""
        import fsspec

        files, where = fsspec.url_to_fs(path)
        try:
            files.pipe_file(where, content)
        except OSError as error:
            raise RepositoryError(f"{path} cannot be written: {error}.") from error

    def read(self, path: str) -> bytes:
        """Read a file."""
        import fsspec

        files, where = fsspec.url_to_fs(path)
        content: bytes = files.cat_file(where)
        return content

    def size(self, path: str) -> int | None:
        """Give its bytes; None where there is none."""
        import fsspec

        files, where = fsspec.url_to_fs(path)
        try:
            return int(files.size(where))
        except FileNotFoundError:
            return None

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens where there is none."""
        import fsspec

        files, where = fsspec.url_to_fs(path)
        if files.exists(where):
            files.rm_file(where)
