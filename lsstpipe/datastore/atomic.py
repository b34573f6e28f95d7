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
        temporary.replace(path)
        _sync_folder(path.parent)


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
        _sync_folder(path.parent)


def _rename_to_new(temporary: Path, path: Path) -> None:
    """Rename a file unless there is one of the new name, at once where the disk can."""
    try:
        path.hardlink_to(temporary)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A stick of FAT: two that write at the same instant do not see each other.
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from error
        temporary.replace(path)
    else:
        temporary.unlink()


@contextlib.contextmanager
def _temporary(path: Path, content: bytes) -> Iterator[Path]:
    """Write a file under a temporary name beside its place; none is left when something fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


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


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
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
