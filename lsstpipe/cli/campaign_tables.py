"""What ``lsstpipe campaign status`` prints."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lsstpipe.cluster.campaign import Own, StageProgress, measure_progress
from lsstpipe.cluster.lock import Holder, find_holder
from lsstpipe.cluster.slurm import SlurmCommands
from lsstpipe.plan.chunks import Chunk, read_chunks
from lsstpipe.plan.layout import plan_folder

_WIDTH = 110
_STATES = ("pending", "held", "running")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a campaign costs.

    Attributes
    ----------
    hourly_usd
        All that runs in the cluster now, US dollars an hour.
    usd
        What the campaign has cost so far.
    usd_by_stage
        The same, stage by stage.
    """

    hourly_usd: float
    usd: float
    usd_by_stage: dict[str, float]


@dataclass(frozen=True, slots=True)
class CampaignState:
    """A campaign now.

    Attributes
    ----------
    campaign, repo
        Which.
    holder
        Its Snakemake; None where none runs.
    stages
        How far each stage is.
    nodes
        Where its jobs run.
    spent
        What it costs; None where no price is known, as on a cluster without ``pools.json``.
    """

    campaign: str
    repo: str
    holder: Holder | None
    stages: dict[str, StageProgress]
    nodes: list[str]
    spent: Spent | None


def look(own: Own, config: Path, folder: Path) -> CampaignState:
    """Look at a campaign.

    Parameters
    ----------
    own
        The campaign.
    config, folder
        Pools, and state of the cluster; where the first is absent nothing is said of costs.
    """
    path = plan_folder(own.repo) / "chunks.tsv"
    chunks: dict[str, dict[str, Chunk]] = read_chunks(path) if path.exists() else {}
    jobs = own.jobs(SlurmCommands())
    return CampaignState(
        own.campaign,
        str(own.repo),
        find_holder(own.repo),
        measure_progress(own, chunks, jobs),
        sorted({job.nodes for job in jobs if job.nodes}),
        _measure_spent(own.campaign, config, folder) if config.exists() else None,
    )


def _measure_spent(campaign: str, config: Path, folder: Path) -> Spent:
    from lsstpipe.cluster.head import open_head
    from lsstpipe.cluster.status import measure_costs

    head = open_head(config, folder)
    by_stage: dict[str, float] = {}
    for (name, _, stage), cost in measure_costs(head).items():
        if name == campaign:
            by_stage[stage] = by_stage.get(stage, 0.0) + cost.usd
    hourly_usd = head.spending(head.ec2.instances()).total
    return Spent(hourly_usd, sum(by_stage.values()), by_stage)


def state_as_json(state: CampaignState) -> str:
    """Write a state as JSON.

    Parameters
    ----------
    state
        The state.
    """
    return json.dumps(asdict(state), indent=1)


def print_state(state: CampaignState) -> None:
    """Print a state.

    Parameters
    ----------
    state
        The state.
    """
    console = Console(width=_WIDTH, soft_wrap=True)
    spent = state.spent
    table = Table(box=None)
    for name in ("stage", "chunks", "made", *_STATES, "other", *(["USD"] if spent else []), ""):
        is_text = name in ("stage", "")
        table.add_column(name, justify="left" if is_text else "right", no_wrap=True)
    for stage, progress in state.stages.items():
        jobs = [progress.jobs.get(name, 0) for name in _STATES]
        other = sum(progress.jobs.values()) - sum(jobs)
        counts = [progress.n_chunks, progress.n_made, *jobs, other]
        usd = [f"{spent.usd_by_stage.get(stage, 0.0):.3f}"] if spent else []
        note = "paused" if progress.is_paused else ""
        table.add_row(stage, *(str(n) if n else "." for n in counts), *usd, note)
    console.print(table)
    console.print(f"nodes: {', '.join(state.nodes) or 'none'}", markup=False)
    if spent is not None:
        console.print(f"{spent.hourly_usd:.3f} USD an hour now; {spent.usd:.3f} USD so far")
    holder = state.holder
    if holder is None:
        console.print("no snakemake runs; `lsstpipe campaign start` goes on")
    else:
        console.print(f"snakemake {holder.phase}: process {holder.pid} on {holder.host}")
