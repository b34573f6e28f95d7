"""Options that many commands take, spelled once."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lsstpipe.cli.finite_range import FiniteRange
from lsstpipe.errors import UserError

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

repo_option: Decorator = click.option(
    "--repo",
    type=click.Path(path_type=Path),
    envvar="LSSTPIPE_REPO",
    default=".",
    help="Folder of the repository.  [default: $LSSTPIPE_REPO, else this folder]",
)


class LocalFolder(click.Path):
    """A folder on a local disk to write into: a URL would become a folder of a strange name."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse a URL, and nothing, which would be the folder where one is."""
        if not str(value):
            raise UserError("The folder must have a name, got ''; '.' is the one where you are.")
        if "://" in str(value):
            raise UserError(
                f"{value} is a URL, and only a local folder is allowed here; `lsstpipe publish` "
                "writes to s3://BUCKET/releases/RIGHT."
            )
        return super().convert(value, param, ctx)


class OutputFile(click.Path):
    """A file to write: new, or in the place of a regular one."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is there and no regular file: it would be replaced, not written into."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        try:
            mode = path.lstat().st_mode  # a link would be replaced itself, /dev/stdout among them
        except (FileNotFoundError, NotADirectoryError):
            return path
        except (OSError, ValueError) as error:
            raise UserError(f"{value!r} cannot be written: {error}.") from error
        if stat.S_ISREG(mode):
            return path
        kind = next((told for is_kind, told in _KINDS if is_kind(mode)), "no regular file")
        raise UserError(
            f"{path} is {kind}, which would be replaced; allowed is the path of a file, new or "
            "regular, and what a pipe or a device shall get is printed to standard output "
            "without --to."
        )


def seconds_option(name: str, default: float, told: str, *, least: float = 0.0) -> Decorator:
    """Make an option that says how long something takes.

    Parameters
    ----------
    name
        How it is spelled.
    default
        Seconds where it is not given.
    told
        What its help says.
    least
        Fewest seconds.
    """
    return click.option(
        name, type=FiniteRange(min=least), default=default, show_default=True, help=told
    )


def jobs_option(default: int) -> Decorator:
    """Make the option for the number of files that are handled at the same time.

    Parameters
    ----------
    default
        More for a store that answers late than for a disk.
    """
    return click.option(
        "--jobs",
        type=click.IntRange(1),
        default=default,
        show_default=True,
        help="Files at the same time.",
    )
