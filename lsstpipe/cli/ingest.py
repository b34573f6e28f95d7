"""``lsstpipe ingest``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click


@click.command()
@click.argument("campaign")
@click.option("--strict", is_flag=True, help="Fail if any file is refused.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Processes that read files.  [default: one a core that may be used]",
)
@click.option("--json", "as_json", is_flag=True, help="Print what became of the files as JSON.")
def command(campaign: str, strict: bool, jobs: int | None, as_json: bool) -> None:
    """Register the raw frames of CAMPAIGN, a YAML file, or '-' for the standard input.

    Makes the repository if there is none. A file that cannot be used is refused in one sentence and
    the rest goes on; a file that is registered already stays as it is.

    \b
    Example:
      lsstpipe ingest config/campaigns/demo.yaml
    """
    from lsstpipe.cli.progress import progress_bar
    from lsstpipe.config import load_campaign
    from lsstpipe.errors import InputFileError
    from lsstpipe.execute.ingest import find_raws, ingest

    settings = load_campaign(campaign)
    paths = find_raws(settings)
    with progress_bar("ingest", len(paths)) as advance:
        result = ingest(
            settings,
            paths,
            lambda path: advance(Path(path).name),
            n_jobs=jobs or len(os.sched_getaffinity(0)),
        )
    if as_json:
        refused = [{"path": item.path, "message": item.message} for item in result.refused]
        plain = {"n_raws": len(result.records), "n_new": result.n_new, "refused": refused}
        click.echo(json.dumps(plain, indent=1))
    else:
        click.echo(f"{len(result.records)} raws in {settings.repo}, {result.n_new} of them new.")
        for item in result.refused:
            click.echo(f"refused: {item.message}", err=True)
    if strict and result.refused:
        raise InputFileError(
            f"{len(result.refused)} of {len(paths)} files were refused; --strict allows none."
        )
