"""``lsstpipe publish``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from lsstpipe.butler import Butler
from lsstpipe.cli.options import jobs_option, repo_option
from lsstpipe.cli.progress import progress_bar
from lsstpipe.datastore.layout import locate, parse_prefix
from lsstpipe.repository import read_repository


@click.command("publish")
@click.argument("collection")
@click.argument("target")
@repo_option
@jobs_option(8)
@click.option("--dry-run", is_flag=True, help="Say what would be copied, change nothing.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to note in what was published, once it is.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(  # noqa: PLR0913  (click gives each option as a parameter)
    collection: str,
    target: str,
    repo: Path,
    jobs: int,
    dry_run: bool,
    record: Path | None,
    as_json: bool,
) -> None:
    """Copy the products of COLLECTION into a bucket, and let them change no more.

    TARGET is s3://BUCKET/releases/RIGHT, which the holders of the right may read, or
    s3://BUCKET/embargo/NIGHT, which nobody but the pipeline may read yet; in a repository of a site
    releases/RIGHT is enough. The runs are frozen, the
    datasets get the tag releases/RIGHT or embargo/NIGHT. What is there is not copied again, so a
    publication that was stopped goes on when the command is given again. A campaign with the
    setting `publish` does it by itself, as the last stage of its workflow.

    \b
    Example:
      lsstpipe publish main s3://products/releases/dp1 --repo runs/demo --dry-run
      lsstpipe publish main releases/dp1 --repo /lustre/dr1
    """
    from lsstpipe.execute.publish import (
        plan_publication,
        publish,
        select_products,
        write_record,
    )

    target = locate(target, read_repository(repo).products)
    tag = parse_prefix(target)
    with Butler(repo) as butler:
        if dry_run:
            done = plan_publication(butler, collection, target, tag)
        else:
            n_files = len(select_products(butler, collection)[0])
            with progress_bar("publishing", n_files) as advance:
                done = publish(butler, collection, target, tag, jobs=jobs, advance=advance)
            if record is not None:
                write_record(record, collection, done)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(done), indent=1))
    else:
        click.echo(done.describe("would be" if dry_run else "were"))
