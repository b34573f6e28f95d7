"""``lsstpipe export``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from lsstpipe.butler import Butler
from lsstpipe.cli.options import LocalFolder, jobs_option, repo_option
from lsstpipe.cli.progress import progress_bar


@click.command("export")
@click.argument("collection")
@click.argument("folder", type=LocalFolder())
@repo_option
@jobs_option(4)
@click.option("--dry-run", is_flag=True, help="Say what would be copied, change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    collection: str, folder: Path, repo: Path, jobs: int, dry_run: bool, as_json: bool
) -> None:
    """Copy the products of COLLECTION into FOLDER, with all that `lsstpipe import` needs.

    The folder stands for itself: an index, the files, how they were made. Raws are left out.

    \b
    Example:
      lsstpipe export main /media/disk/main --repo runs/demo
    """
    from lsstpipe.execute.export import export, plan_export
    from lsstpipe.execute.publish import select_products

    with Butler(repo) as butler:
        if dry_run:
            done = plan_export(butler, collection, folder)
        else:
            n_files = len(select_products(butler, collection)[0])
            with progress_bar("exporting", n_files) as advance:
                done = export(butler, collection, folder, jobs=jobs, advance=advance)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(done), indent=1))
    else:
        click.echo(done.describe("would be" if dry_run else "were"))
