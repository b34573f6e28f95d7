"""Write a local file so that a kill at any instant leaves the old file, the new one, or none."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from lsstpipe.errors import RepositoryError

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)\.tmp")


def write_atomically(path: Path, content: bytes) -> None:
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
    with _explained(path), _temporary(path, content) as temporary:
        os.replace(temporary, path)  # noqa: PTH105
        _sync_folder(path)


def create_atomically(path: Path, content: bytes) -> None:
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
    with _explained(path), _temporary(path, content) as temporary:
        _rename_to_new(temporary, path)
        _sync_folder(path)


def _rename_to_new(temporary: str, path: Path) -> None:
    """Rename a file unless there is one of the new name, at once where the disk can."""
    try:
        path.hardlink_to(temporary)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A stick of FAT: two that write at the same instant do not see each other.
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from error
        os.replace(temporary, path)  # noqa: PTH105
    else:
        os.unlink(temporary)  # noqa: PTH108


@contextlib.contextmanager
def _temporary(path: Path, content: bytes) -> Iterator[str]:
    """Write a file under a temporary name beside its place; none is left when something fails."""
    # Text and descriptors: services write thousands of small files a second, and pathlib and
    # buffers would take as long as the disk.
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.tmp")  # noqa: PTH118
    try:
        descriptor = _open_new(temporary)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield temporary
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _open_new(path: str) -> int:
    """Open a file for writing; its folder is made when it is found missing."""
    try:
        return os.open(path, _WRITE, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        return os.open(path, _WRITE, 0o666)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        if not path.is_file():  # a file stands where a folder should be
            raise _not_written(path, "File exists") from None
        raise
    except OSError as error:
        raise _not_written(path, str(error.strerror)) from error


def _not_written(path: Path, reason: str) -> RepositoryError:
    return RepositoryError(
        f"{path.name} cannot be written into the folder {path.parent}: {reason}."
    )


def _sync_folder(path: Path) -> None:
    """Make the rename of a file last through a power cut."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def find_temporaries(root: Path) -> Iterator[Path]:
    """Find the temporary files that killed processes left below a folder.

    Those of processes that run on this host now are left out. Call it when no other host writes
    below the folder.

    Parameters
    ----------
    root
        The folder.
    """
    for path in sorted(root.rglob(".*.tmp")):
        match = _TEMPORARY.fullmatch(path.name)
        if match and not _is_alive(int(match["pid"])):
            yield path


def is_temporary(path: Path) -> bool:
    """Tell whether a file is one that is being written, or was when its process was killed.

    Parameters
    ----------
    path
        The file.
    """
    return _TEMPORARY.fullmatch(path.name) is not None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
