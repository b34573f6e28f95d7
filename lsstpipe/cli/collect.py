"""``lsstpipe collect``."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.option(
    "--plan", "folder", required=True, type=click.Path(path_type=Path), help="Folder of the plan."
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def command(folder: Path, as_json: bool) -> None:
    """Load the manifests that the jobs of a plan wrote into the registry, certify calibrations.

    Doing it again changes nothing.

    \b
    Example:
      lsstpipe collect --plan runs/demo/plan
    """
    from lsstpipe.execute.collect import collect
    from lsstpipe.plan.read import open_plan

    n_manifests, n_datasets = collect(open_plan(folder, only=""))
    if as_json:
        click.echo(json.dumps({"n_manifests": n_manifests, "n_datasets": n_datasets}))
    else:
        click.echo(f"{n_manifests} manifests with {n_datasets} datasets are in the registry.")
