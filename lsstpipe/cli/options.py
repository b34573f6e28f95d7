"""Options that many commands take, spelled once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

repo_option: Decorator = click.option(
    "--repo",
    type=click.Path(path_type=Path),
    envvar="LSSTPIPE_REPO",
    default=".",
    help="Folder of the repository.  [default: $LSSTPIPE_REPO, else this folder]",
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
