"""``lsstpipe collect``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lsstpipe.cli.options import seconds_option

if TYPE_CHECKING:
    from lsstpipe.execute.collect import Collected


@click.command()
@click.option(
    "--plan", "folder", required=True, type=click.Path(path_type=Path), help="Folder of the plan."
)
@click.option("--follow", is_flag=True, help="Wait for manifests until all chunks have one.")
@seconds_option("--interval", 10.0, "Seconds between two looks with --follow.", least=0.1)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def command(folder: Path, follow: bool, interval: float, as_json: bool) -> None:
    """Load the manifests that the jobs of a plan wrote into the registry, certify calibrations.

    Doing it again changes nothing, and several may do it at once. With --follow it keeps up with a
    production that runs; stopped by Ctrl-C, it leaves the registry as whole as before.

    \b
    Example:
      lsstpipe collect --plan runs/demo/plan
      lsstpipe collect --plan runs/demo/plan --follow
    """
    from lsstpipe.execute import collect
    from lsstpipe.plan.read import open_plan

    plan = open_plan(folder, only="")
    result = collect.follow(plan, interval, _report) if follow else collect.collect(plan)
    if as_json:
        click.echo(json.dumps(asdict(result)))
    else:
        click.echo(
            f"{result.n_manifests} manifests with {result.n_datasets} datasets are in the registry."
        )


def _report(result: Collected) -> None:
    click.echo(
        f"{result.n_manifests} manifests loaded, {result.n_missing} chunks have none yet", err=True
    )
