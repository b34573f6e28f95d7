"""``lsstpipe profile``: settings of Snakemake for places where campaigns run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

import lsstpipe
from lsstpipe.errors import UserError

SOURCE = Path(lsstpipe.__file__).parents[1] / "workflow" / "profiles"
NAMES = ("slurm", "aws")


@click.group("profile")
def command() -> None:
    """Put the profiles of Snakemake where it looks for them.

    \b
    Example:
      lsstpipe profile install
    """


@command.command("install")
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option("--force", is_flag=True, help="Replace profiles that were changed.")
def install(names: tuple[str, ...], force: bool) -> None:
    """Install the profiles NAMES, or all: `snakemake --profile aws` then finds its own.

    They go to $XDG_CONFIG_HOME/snakemake, else ~/.config/snakemake.

    \b
    Example:
      lsstpipe profile install
      lsstpipe profile install aws --force
    """
    config = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    for name in names or NAMES:
        source = SOURCE / name / "config.yaml"
        if not source.exists():
            raise UserError(f"{source} is absent: profiles are part of a checkout of lsstpipe.")
        target = Path(config) / "snakemake" / name / "config.yaml"
        if target.exists() and target.read_bytes() != source.read_bytes() and not force:
            raise UserError(f"{target} is there and says something else; --force replaces it.")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        click.echo(target)
