"""``lsstpipe report``: draw the page of a campaign and print its summary."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click


@click.command("report")
@click.argument("repo", type=click.Path(path_type=Path))
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    help="Folder that `lsstpipe simulate` wrote: show the metrics against its truth too.",
)
@click.option(
    "--jobs", type=click.IntRange(1),
    help="Processes that judge against the truth; as many as there are CPUs for it if not given.",
)  # fmt: skip
@click.option("--summary", is_flag=True, help="Print the summary only; draw nothing.")
def command(repo: Path, truth: Path | None, jobs: int | None, summary: bool) -> None:
    """Draw REPO/report.html, copy the light curve to REPO/lightcurve.csv, print the summary.

    The page is one file that needs no network. REPO is the folder of the repository, whose stage
    'report' must have run.

    \b
    Example:
      lsstpipe report runs/demo
      lsstpipe report --summary runs/demo
      lsstpipe report runs/ci_small/repo --truth runs/ci_small
    """
    from rich.console import Console

    from lsstpipe.datastore.atomic import write_atomically
    from lsstpipe.report.manifests import read_records
    from lsstpipe.report.products import load_lightcurve, load_metrics
    from lsstpipe.report.summary import summarise

    records = read_records(repo)
    measured = load_metrics(repo, records)
    if truth is not None:
        from lsstpipe.execute.judge import judge_truth

        judged = judge_truth(repo, records, truth, n_jobs=jobs or len(os.sched_getaffinity(0)))
        entries = [metric.to_json() for metric in judged]
        measured = {**measured, "metrics": [*measured["metrics"], *entries]}
    page_path, curve_path = repo / "report.html", repo / "lightcurve.csv"
    if not summary:
        from lsstpipe.report.load import load_page
        from lsstpipe.report.render import render

        page = replace(load_page(repo, records), metrics=tuple(measured["metrics"]))
        write_atomically(page_path, render(page).encode())
        write_atomically(curve_path, load_lightcurve(repo, records).encode())
    console = Console()
    console.print(summarise(measured))
    for path in (page_path, curve_path):
        if path.exists():
            console.print(f"[dim]{path}[/dim]", soft_wrap=True)
