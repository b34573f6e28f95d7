"""``lsstpipe sweep``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from lsstpipe.cli.finite_range import FiniteRange


@click.command()
@click.argument("repo", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--orphans", is_flag=True, help="Also remove products that nothing knows of.")
@click.option(
    "--grace-days",
    type=FiniteRange(0.0),
    default=7.0,
    show_default=True,
    help="Younger orphans stay: a job may be about to record them.",
)
@click.option("--yes", is_flag=True, help="Remove orphans without asking.")
@click.option("--dry-run", is_flag=True, help="Name the files, remove none.")
@click.option("--json", "as_json", is_flag=True, help="Print the paths as JSON.")
def command(
    repo: Path, orphans: bool, grace_days: float, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Remove the temporary files that killed processes left in the repository REPO.

    Files of processes that still run stay, and so do the records of chunks that were stopped.
    Orphans are files named as products that neither the registry names nor a manifest that is not
    collected yet; they are listed before you are asked.

    \b
    Example:
      lsstpipe sweep runs/demo --dry-run
      lsstpipe sweep runs/demo --orphans --grace-days 14
    """
    from lsstpipe.execute.orphans import find_orphans, remove_orphans
    from lsstpipe.execute.sweep import sweep

    found = find_orphans(repo, grace_days) if orphans else []
    if found and not (dry_run or yes):
        for path in found:
            click.echo(path, err=True)
        click.confirm(f"Remove these {len(found)} orphans?", abort=True, err=True)
    paths = sweep(repo, dry_run=dry_run) + found
    if not dry_run:
        remove_orphans(repo, found)
    if as_json:
        click.echo(json.dumps([str(path) for path in paths]))
        return
    for path in paths:
        click.echo(path)
    click.echo(f"{len(paths)} files {'would be' if dry_run else 'were'} removed.")
