"""``lsstpipe verify``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from lsstpipe.butler import Butler
from lsstpipe.cli.options import jobs_option, repo_option
from lsstpipe.cli.progress import progress_bar


@click.command("verify")
@click.argument("collection")
@repo_option
@click.option("--at", "root", help="Look there instead, such as s3://products/releases/dp1.")
@click.option("--quick", is_flag=True, help="Read no file: sizes, and what S3 keeps of objects.")
@jobs_option(4)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    collection: str, repo: Path, root: str | None, quick: bool, jobs: int, as_json: bool
) -> None:
    """Find datasets of COLLECTION whose files are absent or not as they were written.

    The exit code is 1 if there is one.

    \b
    Example:
      lsstpipe verify main --repo runs/demo
      lsstpipe verify releases/dp1 --repo runs/demo --at s3://products/releases/dp1 --quick
    """
    from lsstpipe.datastore import Datastore
    from lsstpipe.execute.index import place_of
    from lsstpipe.execute.verify import verify

    with Butler(repo) as butler:
        records = butler.registry.query_datasets(None, "", [collection])
        datastore = butler.store.datastore
    if root is not None:
        datastore = Datastore(root)
        records = [place_of(record) for record in records if record.dataset_type != "raw"]
    with progress_bar("verifying", len(records)) as advance:
        damages = verify(datastore, records, jobs=jobs, quick=quick, advance=advance)
    if as_json:
        content = {
            "n_files": len(records),
            "damages": [
                {"id": str(d.record.id), "path": d.where, "fault": d.fault} for d in damages
            ],
        }
        click.echo(json.dumps(content, indent=1))
    else:
        for damage in damages:
            click.echo(f"{damage.fault:10}  {damage.where}")
        click.echo(f"{len(records)} files were looked at, {len(damages)} are damaged or absent.")
    if damages:
        click.get_current_context().exit(1)
