"""``lsstpipe export-butler``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from lsstpipe.butler import Butler
from lsstpipe.cli.options import LocalFolder, jobs_option, repo_option
from lsstpipe.cli.progress import progress_bar


@click.command("export-butler")
@click.argument("collection")
@click.argument("folder", type=LocalFolder())
@repo_option
@jobs_option(4)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(collection: str, folder: Path, repo: Path, jobs: int, as_json: bool) -> None:
    """Copy COLLECTION into FOLDER as Rubin's Butler imports it: files, data IDs, collections.

    Tables and JSON are read there; images too, as arrays, where lsstpipe is installed.

    \b
    Example:
      lsstpipe export-butler main /media/disk/main --repo runs/demo
      butler import REPO /media/disk/main --transfer copy
    """
    from lsstpipe.execute.butler_export import export_butler

    with Butler(repo) as butler:
        n_files = len(butler.registry.query_datasets(names=[collection]))
        with progress_bar("exporting", n_files) as advance:
            done = export_butler(butler, collection, folder, jobs=jobs, advance=advance)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(done), indent=1))
    else:
        click.echo(f"{done.n_datasets} datasets with {done.size / 1e6:,.1f} MB in {done.path}.")
