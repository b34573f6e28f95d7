"""``lsstpipe plan``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from lsstpipe.errors import ConflictError

if TYPE_CHECKING:
    from lsstpipe.config import Campaign
    from lsstpipe.plan.cost import CostModel


@click.command()
@click.argument("campaign")
@click.option(
    "--explain",
    metavar="WHAT",
    help="Say why quanta are there or not, and write nothing: a task, dimensions with values, or "
    "both, such as 'warp visit=24'; 'chunks' lists what each chunk waits for and costs.",
)
@click.option(
    "--shards",
    type=click.IntRange(1),
    help="Plan visits, tracts and detectors in so many blocks each, not as the campaign says.",
)
@click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Blocks planned at once."
)
@click.option(
    "--learn",
    is_flag=True,
    help="First learn what quanta take from those in the registry; chunks may change in size.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(
    campaign: str,
    explain: str | None,
    shards: int | None,
    jobs: int,
    learn: bool,
    as_json: bool,
) -> None:
    """Work out what runs for CAMPAIGN, a YAML file, or '-' for the standard input.

    Writes the plan into the folder 'plan' of the repository, and tells what it leaves out and why.

    \b
    Example:
      lsstpipe plan config/campaigns/demo.yaml --explain 'forced visit=24'
    """
    from lsstpipe.config import load_campaign
    from lsstpipe.plan.cost import fit_to_pixels, read_costs

    if explain is not None and as_json:
        raise click.UsageError("--explain prints text only: leave out --json.")

    settings = load_campaign(campaign)
    _check_target(settings)
    model = fit_to_pixels(_learn(settings) if learn else read_costs(settings.repo), settings)
    if explain is not None:
        _explain(settings, model, explain)
        return
    summary = _plan(settings, model, shards or settings.plan_shards, jobs)
    if as_json:
        click.echo(json.dumps(summary, indent=1))
        return
    _report(settings, model)


def _check_target(settings: Campaign) -> None:
    """Refuse a prefix in a bucket that the repository does not know, long before it is needed."""
    from lsstpipe.datastore.layout import locate, parse_prefix
    from lsstpipe.repository import read_repository

    if settings.publish:
        parse_prefix(locate(settings.publish, read_repository(settings.repo).products))


def _learn(settings: Campaign) -> CostModel:
    """Learn what quanta take, and keep it."""
    from lsstpipe.plan.cost import learn_costs, write_costs
    from lsstpipe.repository import registry_url

    model = learn_costs(registry_url(settings.repo), settings.instrument)
    write_costs(settings.repo, model)
    for name, cost in model.tasks.items():
        click.echo(
            f"learnt: {name} takes {cost.cpu_s:.2f} CPU s, {cost.memory_mb:.0f} MB and writes "
            f"{cost.written_mb:.1f} MB ({cost.n_quanta} quanta)"
        )
    return model


def _plan(settings: Campaign, model: CostModel, n_blocks: int, n_jobs: int) -> dict[str, object]:
    """Write the plan."""
    from lsstpipe.plan.build import Builder
    from lsstpipe.plan.select import build_plan, select
    from lsstpipe.plan.sharding import SelectionSource, make_shards, plan_shards
    from lsstpipe.plan.write import write_plan
    from lsstpipe.stages import STAGES

    if n_blocks == 1:
        quanta = build_plan(settings)
        return _write(settings, lambda folder: write_plan(folder, quanta, settings, model))
    source = SelectionSource(select(settings))
    shards = make_shards(source, settings, STAGES, n_blocks, model)
    return _write(
        settings,
        lambda folder: plan_shards(
            folder,
            source,
            shards,
            lambda selection, shard: Builder(settings, selection, shard=shard).build(),
            (settings, model),
            n_jobs,
        ),
    )


def _write(settings: Campaign, write: Callable[[Path], dict[str, object]]) -> dict[str, object]:
    """Write the plan into its folder; refuse another one than is there of a run that is closed.

    Jobs, which know no registry, would write over its files before `collect` could refuse them. A
    plan that is there stays as it is, so a damaged file can still be made again.
    """
    from lsstpipe.plan.layout import plan_folder
    from lsstpipe.plan.write import mark_planned

    folder = plan_folder(settings.repo)
    refusal = _find_refusal(settings)
    if refusal is None:
        return write(folder)
    # Elsewhere: killed halfway, it would take away a plan that nothing could make again.
    with TemporaryDirectory() as other:
        wanted = write(Path(other))
    path = folder / "plan.json"
    known: dict[str, object] = json.loads(path.read_bytes()) if path.exists() else {}
    if known.get("digest") != wanted["digest"]:
        raise refusal
    mark_planned(folder)
    return known


def _find_refusal(settings: Campaign) -> ConflictError | None:
    """Say that the run of a campaign is closed; None where it is open."""
    from lsstpipe.registry.registry import Registry
    from lsstpipe.repository import registry_url

    with Registry.open(registry_url(settings.repo)) as registry:
        try:
            registry.require_open(settings.run)
        except ConflictError as error:
            return ConflictError(f"{error} Give the campaign another `run`.")
    return None


def _explain(settings: Campaign, model: CostModel, text: str) -> None:
    """Answer a question about quanta."""
    from lsstpipe.plan.explain import explain, list_chunks, parse_question
    from lsstpipe.plan.select import build_plan

    if text == "chunks":
        lines = list_chunks(build_plan(settings), settings, model)
    else:
        question = parse_question(text)
        lines = explain(build_plan(settings), settings, model, question)
    for line in lines:
        click.echo(line)


def _report(settings: Campaign, model: CostModel) -> None:
    """Say what the plan on disk holds."""
    from lsstpipe.plan.chunks import read_chunks
    from lsstpipe.plan.layout import plan_folder
    from lsstpipe.plan.write import count_by_stage

    folder: Path = plan_folder(settings.repo)
    by_stage = read_chunks(folder / "chunks.tsv")
    chunks = [chunk for group in by_stage.values() for chunk in group.values()]
    for stage, (n_chunks, n_quanta) in count_by_stage(chunks).items():
        cpu_h = sum(chunk.cpu_s for chunk in by_stage[stage].values()) / 3600
        click.echo(f"{stage:<14} {n_chunks:>6} chunks {n_quanta:>8} quanta {cpu_h:>10.2f} CPU h")
    cpu_s = sum(chunk.cpu_s for chunk in chunks)
    click.echo(
        f"expected: {cpu_s / 3600:.2f} CPU h, ${model.usd(cpu_s):.2f} at "
        f"${model.usd_per_cpu_h:.3f} a CPU h"
    )
    for item in json.loads((folder / "skipped.json").read_text()):
        what = f"{item['stage']}.{item['task']}" if item["task"] else item["stage"]
        click.echo(f"left out: {item['n_quanta'] or 'all'} quanta of {what}: {item['reason']}")
    for note in json.loads((folder / "plan.json").read_text())["notes"]:
        where = f"{note['stage']}.{note['task']}"
        click.echo(f"note: {note['n_quanta']} quanta of {where}: {note['text']}")
