"""``lsstpipe plan``."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("campaign")
@click.option("--explain", is_flag=True, help="List chunks with what they wait for and cost.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(campaign: str, explain: bool, as_json: bool) -> None:
    """Work out what runs for CAMPAIGN, a YAML file, or '-' for the standard input.

    Writes the plan into the folder 'plan' of the repository, and tells what it leaves out and why.

    \b
    Example:
      lsstpipe plan config/campaigns/demo.yaml --explain
    """
    from lsstpipe.config import load_campaign
    from lsstpipe.plan.chunks import read_chunks
    from lsstpipe.plan.layout import plan_folder
    from lsstpipe.plan.select import build_plan
    from lsstpipe.plan.write import count_by_stage, write_plan

    settings = load_campaign(campaign)
    quanta = build_plan(settings)
    folder: Path = plan_folder(settings.repo)
    summary = write_plan(folder, quanta, settings)
    if as_json:
        click.echo(json.dumps(summary, indent=1))
        return
    chunks = [c for group in read_chunks(folder / "chunks.tsv").values() for c in group.values()]
    for stage, (n_chunks, n_quanta) in count_by_stage(chunks).items():
        click.echo(f"{stage:<14} {n_chunks:>6} chunks {n_quanta:>8} quanta")
    for item in quanta.skipped:
        what = f"{item.stage}.{item.task}" if item.task else item.stage
        click.echo(f"left out: {item.n_quanta or 'all'} quanta of {what}: {item.reason}")
    for note in quanta.notes:
        click.echo(f"note: {note.n_quanta} quanta of {note.stage}.{note.task}: {note.text}")
    if explain:
        for chunk in chunks:
            upstream = ", ".join("/".join(other) for other in chunk.upstream) or "the ingest"
            click.echo(
                f"{chunk.stage}/{chunk.name}: {chunk.n_quanta} quanta, {chunk.cpu_s:.0f} CPU s, "
                f"{chunk.mem_mb} MB, after {upstream}"
            )
