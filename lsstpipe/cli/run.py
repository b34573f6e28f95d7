"""``lsstpipe run``."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lsstpipe.execute.manifest import Manifest
    from lsstpipe.plan.read import Plan


@click.command()
@click.argument("stage")
@click.option(
    "--plan", "folder", required=True, type=click.Path(path_type=Path), help="Folder of the plan."
)
@click.option("--chunk", help="The chunk to run; without it, all of the stage.")
@click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    help="Manifest to write; its place in the repository by default.",
)
@click.option(
    "--jobs", default=1, show_default=True, type=click.IntRange(1), help="Chunks at a time."
)
@click.option("--json", "as_json", is_flag=True, help="Print how the quanta ended as JSON.")
def command(
    stage: str,
    folder: Path,
    chunk: str | None,
    manifest: Path | None,
    jobs: int,
    as_json: bool,
) -> None:
    """Run STAGE, or one chunk of it; what was done before and still fits is not done again.

    \b
    Example:
      lsstpipe run visit --plan runs/demo/plan --jobs 2
      lsstpipe run coadd --plan runs/demo/plan --chunk tres1_0_0_clear
    """
    from lsstpipe.execute.memory import rare_search_for_cycles
    from lsstpipe.execute.start import without_pandas

    # From before the modules of the tasks are imported.
    with rare_search_for_cycles(), without_pandas():
        manifests = _run(stage, folder, chunk, manifest, jobs)
    counts = Counter(entry.record.status for item in manifests for entry in item.quanta)
    if as_json:
        click.echo(json.dumps(counts))
    else:
        text = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
        click.echo(f"{stage}: {len(manifests)} chunks, {text}")


def _run(
    stage: str, folder: Path, chunk: str | None, manifest: Path | None, jobs: int
) -> list[Manifest]:
    """Run what was asked for."""
    from lsstpipe.errors import UserError
    from lsstpipe.plan.read import open_plan

    plan = open_plan(folder, only=stage)
    if stage not in plan.chunks:
        raise UserError(f"The plan has no stage '{stage}'; it has {', '.join(plan.chunks)}.")
    if manifest is not None and chunk is None:
        raise UserError("--manifest names the manifest of one chunk: give --chunk with it.")
    if chunk is None:
        return _run_all(plan, stage, jobs)
    return [_run_one(plan, stage, chunk, manifest)]


def _run_all(plan: Plan, stage: str, jobs: int) -> list[Manifest]:
    from lsstpipe.cli.progress import progress_bar
    from lsstpipe.execute.stage import run_stage

    with progress_bar(stage, len(plan.chunks[stage])) as advance:
        return run_stage(plan, stage, jobs, advance)


def _run_one(plan: Plan, stage: str, chunk: str, manifest: Path | None) -> Manifest:
    from lsstpipe.cli.progress import progress_bar
    from lsstpipe.execute.chunk import run_chunk
    from lsstpipe.plan.layout import manifest_path

    path = manifest or manifest_path(plan.campaign.repo, stage, chunk)
    with progress_bar(f"{stage} {chunk}", plan.find_chunk(stage, chunk).n_quanta) as advance:
        return run_chunk(
            plan,
            stage,
            chunk,
            path,
            on_quantum=lambda entry: advance(f"{entry.record.task} {entry.record.status}"),
        )
