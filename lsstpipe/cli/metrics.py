"""``lsstpipe metrics``: the measured quality of a campaign."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click


@click.command("metrics")
@click.argument("repo", type=click.Path(path_type=Path))
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    help="Folder that `lsstpipe simulate` wrote: judge the products against its truth too.",
)
@click.option(
    "--jobs", type=click.IntRange(1),
    help="Processes that judge against the truth; as many as there are CPUs for it if not given.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
@click.option("--check", is_flag=True, help="End with exit code 1 if a metric misses its bound.")
def command(repo: Path, truth: Path | None, jobs: int | None, as_json: bool, check: bool) -> None:
    """Print the metrics of REPO with their bounds; REPO is the folder of the repository.

    A metric whose sample is too small to judge has no verdict: it neither passes nor fails.

    \b
    Example:
      lsstpipe metrics runs/demo
      lsstpipe metrics runs/demo --json
      lsstpipe metrics runs/ci_small/repo --truth runs/ci_small --jobs 4
    """
    from rich.console import Console

    from lsstpipe.errors import UserError
    from lsstpipe.report.manifests import read_records
    from lsstpipe.report.products import load_metrics
    from lsstpipe.report.summary import summarise

    records = read_records(repo)
    measured = load_metrics(repo, records)
    if truth is not None:
        from lsstpipe.execute.judge import judge_truth

        judged = judge_truth(repo, records, truth, n_jobs=jobs or len(os.sched_getaffinity(0)))
        entries = [metric.to_json() for metric in judged]
        measured = {**measured, "metrics": [*measured["metrics"], *entries]}
    if as_json:
        click.echo(json.dumps(measured["metrics"], indent=1))
    else:
        Console().print(summarise(measured))
    missed = [metric["id"] for metric in measured["metrics"] if metric["ok"] is False]
    if check and missed:
        raise UserError(f"{len(missed)} metrics miss their bounds: {', '.join(missed)}.")
