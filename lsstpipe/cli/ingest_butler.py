"""``lsstpipe ingest-butler``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from lsstpipe.butler import Butler
from lsstpipe.cli.options import repo_option


@click.command("ingest-butler")
@click.argument("export", type=click.Path(dir_okay=False, path_type=Path))
@repo_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(export: Path, repo: Path, as_json: bool) -> None:
    """Register what Rubin's Butler exported: EXPORT is its YAML, beside the files it names.

    Raws are taken, and datasets of types and forms that lsstpipe knows; files stay where they are.

    \b
    Example:
      lsstpipe ingest-butler /data/hsc/export.yaml --repo runs/hsc
    """
    from lsstpipe.execute.butler_ingest import ingest_butler

    with Butler(repo) as butler:
        taken = ingest_butler(butler, export)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(taken), indent=1))
        return
    for item in taken.refused:
        click.echo(f"refused  {item.path}: {item.message}")
    click.echo(
        f"{taken.n_raws} raws and {taken.n_datasets} datasets are registered, {taken.n_new} of "
        f"them new; {len(taken.refused)} files were refused."
    )
