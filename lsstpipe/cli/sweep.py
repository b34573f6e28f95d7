"""``lsstpipe sweep``."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("repo", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Name the files, remove none.")
@click.option("--json", "as_json", is_flag=True, help="Print the paths as JSON.")
def command(repo: Path, dry_run: bool, as_json: bool) -> None:
    """Remove the temporary files that killed processes left in the repository REPO.

    Files of processes that still run stay, and so do the records of chunks that were stopped.

    \b
    Example:
      lsstpipe sweep runs/demo --dry-run
    """
    from lsstpipe.execute.sweep import sweep

    paths = sweep(repo, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps([str(path) for path in paths]))
        return
    for path in paths:
        click.echo(path)
    click.echo(f"{len(paths)} files {'would be' if dry_run else 'were'} removed.")
