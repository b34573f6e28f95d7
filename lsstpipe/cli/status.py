"""``lsstpipe status``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from lsstpipe.execute.status import StageStatus
    from lsstpipe.execute.usage import TaskUsage


_TABLE_WIDTH = 110


@click.command()
@click.argument("campaign", required=False)
@click.option(
    "--repo",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a repository, instead of a campaign.",
)
@click.option("--resources", is_flag=True, help="Tell what each task took instead.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(campaign: str | None, repo: Path | None, resources: bool, as_json: bool) -> None:
    """Tell what of CAMPAIGN is done, stale, failed, flagged or not run.

    A chunk is stale if its settings or inputs are no longer those that it was made with.

    \b
    Example:
      lsstpipe status config/campaigns/demo.yaml
      lsstpipe status --repo runs/demo --json
      lsstpipe status --repo runs/demo --resources
    """
    from lsstpipe.config import load_campaign
    from lsstpipe.errors import UserError
    from lsstpipe.execute.ingest import read_ingest_manifest
    from lsstpipe.execute.status import campaign_status
    from lsstpipe.execute.usage import measure_usage
    from lsstpipe.plan.layout import plan_folder
    from lsstpipe.plan.read import open_plan

    if (campaign is None) == (repo is None):
        raise UserError("Give either a campaign or --repo, not both and not neither.")
    settings = load_campaign(campaign) if campaign is not None else None
    folder = Path(settings.repo if settings is not None else str(repo))
    plan = open_plan(plan_folder(folder))
    if repo is not None:
        # The campaign names its repository from the folder where it was planned.
        plan = replace(plan, campaign=plan.campaign.model_copy(update={"repo": str(repo)}))
    if resources:
        _tell_usage(measure_usage(plan), as_json)
        return
    is_current = settings is None or settings.plain() == plan.campaign.plain()
    stages = campaign_status(plan)
    refused = read_ingest_manifest(folder)["refused"]
    if as_json:
        plain = {name: _plain(status) for name, status in stages.items()}
        answer = {"plan_is_current": is_current, "refused": refused, "stages": plain}
        click.echo(json.dumps(answer, indent=1))
        return
    if not is_current:
        click.echo("The settings have changed since the plan was made: `lsstpipe plan` renews it.")
    _print(stages, refused)


def _plain(status: StageStatus | TaskUsage) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(status)


def _tell_usage(tasks: list[TaskUsage], as_json: bool) -> None:
    """Print what each task took."""
    from rich.console import Console
    from rich.table import Table

    if as_json:
        click.echo(json.dumps([_plain(usage) for usage in tasks], indent=1))
        return
    table = Table(box=None)
    columns = ("quanta", "CPU s", "median", "longest", "span s", "peak MB", "written MB")
    for column in ("stage", "task", *columns):
        is_name = column in ("stage", "task")
        table.add_column(column, justify="left" if is_name else "right", no_wrap=True)
    for usage in tasks:
        seconds = (usage.cpu_s, usage.median_cpu_s, usage.max_cpu_s, usage.span_s)
        table.add_row(
            usage.stage,
            usage.task,
            str(usage.n_quanta),
            *(f"{value:.1f}" for value in seconds),
            f"{usage.max_rss_mb:.0f}",
            f"{usage.written_mb:.1f}",
        )
    total = sum(usage.cpu_s for usage in tasks)
    table.add_row("in all", "", str(sum(usage.n_quanta for usage in tasks)), f"{total:.1f}")
    # A name that is cut off is no name: in a narrow terminal the lines are longer than it.
    Console(width=_TABLE_WIDTH, soft_wrap=True).print(table)


def _print(stages: dict[str, StageStatus], refused: list[dict[str, str]]) -> None:
    """Print a table, and below it why."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    columns = ("done", "stale", "failed", "running", "waiting", "flagged", "no_work")
    for name in ("stage", "chunks", *columns):
        table.add_column(name.replace("_", " "), justify="left" if name == "stage" else "right")
    for name, status in stages.items():
        counts = [len(getattr(status, column)) for column in columns]
        table.add_row(name, str(status.n_chunks), *(str(n) if n else "." for n in counts))
    console = Console(soft_wrap=True)
    console.print(table)
    for item in refused:
        console.print(f"refused: {item['message']}", markup=False)
    for name, status in stages.items():
        for kind, remarks in (("failed", status.errors), ("flagged", status.flagged)):
            for remark in remarks:
                text = f"{kind}: {name}.{remark.task} {remark.data_id}: {remark.message}"
                console.print(text, markup=False)
