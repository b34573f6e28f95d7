"""Write a local file so that a kill at any instant leaves the old file, the new one, or none."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lsstpipe.errors import RepositoryError

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
_HOST = os.uname().nodename.partition(".")[0]
_TEMPORARY = re.compile(
    r"\.(?P<name>.+?)(?:\.(?P<host>[^.@]*)@(?P<thread>\d+))?\.(?P<pid>\d+)\.tmp"
)
_ABANDONED_S = 24 * 3600
"""Age from which a temporary file of another host is a dead one's: no write takes a day."""


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file: under a temporary name in the same folder, synced, then renamed.

    Parameters
    ----------
    path
        Where; folders above it are made.
    content
        What.

    Raises
    ------
    RepositoryError
        If the folder cannot be written or is full.
    """
    _put_in_place(os.fspath(path), content, os.replace)


def create_atomically(path: str | Path, content: bytes) -> None:
    """Write a file that is not there; of two that do so at once one succeeds.

    Parameters
    ----------
    path
        Where; folders above it are made.
    content
        What.

    Raises
    ------
    FileExistsError
        If there is a file.
    RepositoryError
        If the folder cannot be written or is full.
    """
    _put_in_place(os.fspath(path), content, _rename_to_new)


def _put_in_place(path: str, content: bytes, rename: Callable[[str, str], None]) -> None:
    """Write a file beside its place and rename it; nothing is left when something fails."""
    # Text and descriptors: services write thousands of small files a second, and pathlib and
    # buffers would take as long as the disk.
    name = path.rpartition("/")[2]
    folder = path[: len(path) - len(name)]
    # Threads, or containers that have one pid, may write one file at once: with one name for both,
    # the second would empty what the first is about to rename.
    temporary = f"{folder}.{name}.{_HOST}@{threading.get_native_id()}.{os.getpid()}.tmp"
    try:
        _write_synced(temporary, content)
        rename(temporary, path)
        _sync(folder or ".")
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        if not isinstance(error, OSError):
            raise
        if isinstance(error, FileExistsError) and os.path.isfile(path):  # noqa: PTH113
            raise
        # What exists otherwise is a file that stands where a folder should be.
        raise _not_written(Path(path), str(error.strerror)) from error


def _rename_to_new(temporary: str, path: str) -> None:
    """Rename a file unless there is one of the new name, at once where the disk can."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A stick of FAT: two that write at the same instant do not see each other.
        if os.path.exists(path):  # noqa: PTH110
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from error
        os.replace(temporary, path)  # noqa: PTH105
    else:
        os.unlink(temporary)  # noqa: PTH108


def _write_synced(path: str, content: bytes) -> None:
    """Write a file to the disk; its folder is made when it is found missing."""
    try:
        descriptor = os.open(path, _WRITE, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        descriptor = os.open(path, _WRITE, 0o666)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(folder: str) -> None:
    """Make the rename of a file in it last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_written(path: Path, reason: str) -> RepositoryError:
    return RepositoryError(
        f"{path.name} cannot be written into the folder {path.parent}: {reason}."
    )


def find_temporaries(root: Path) -> Iterator[Path]:
    """Find the temporary files that killed processes left below a folder.

    Those of processes that run on this host now are left out, and of those of other hosts all that
    were written to within a day.

    Parameters
    ----------
    root
        The folder.
    """
    for path in sorted(root.rglob(".*.tmp")):
        match = _TEMPORARY.fullmatch(path.name)
        if match and not _is_written(path, match):
            yield path


def is_temporary(path: Path) -> bool:
    """Tell whether a file is one that is being written, or was when its process was killed.

    Parameters
    ----------
    path
        The file.
    """
    return _TEMPORARY.fullmatch(path.name) is not None


def _is_written(path: Path, match: re.Match[str]) -> bool:
    """Tell whether a process may be writing a temporary file."""
    if match["host"] in (None, _HOST):
        return _is_alive(int(match["pid"]))
    with contextlib.suppress(FileNotFoundError):
        return time.time() < path.stat().st_mtime + _ABANDONED_S
    return True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
