"""``lsstpipe campaign``: control of a campaign on Slurm."""

from __future__ import annotations

import json
import re
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lsstpipe.cli.options import Decorator, seconds_option

if TYPE_CHECKING:
    from lsstpipe.cluster.campaign import Own

_WATCH_S = 5.0
_ERROR = re.compile(r"\w*(Error|Exception)\b.*:$")


def _stages_option() -> Decorator:
    return click.option(
        "--stage", "stages", multiple=True, help="A stage; may be repeated.  [default: all]"
    )


@click.group("campaign")
def command() -> None:
    """Start a campaign on Slurm, and pause, change, stop or watch it, at any moment.

    CAMPAIGN is its file, or the folder of its repository.

    \b
    Example:
      lsstpipe campaign start config/campaigns/demo.yaml --profile aws
      lsstpipe campaign pause config/campaigns/demo.yaml --stage coadd
      lsstpipe campaign status runs/demo --watch
    """


def _open(campaign: str) -> Own:
    """Find a campaign by its file or its repository."""
    from lsstpipe.cluster.campaign import Own
    from lsstpipe.config import load_campaign
    from lsstpipe.plan.layout import plan_folder
    from lsstpipe.plan.read import open_plan

    if Path(campaign).is_dir():
        plan = open_plan(plan_folder(campaign), only="")
        return Own(plan.campaign.name, Path(campaign))
    settings = load_campaign(campaign)
    return Own(settings.name, Path(settings.repo))


def _choose(stages: tuple[str, ...]) -> list[str]:
    """Check names of stages; all where there are none."""
    from lsstpipe.errors import UserError
    from lsstpipe.stages import STAGES

    known = [name for name, stage in STAGES.items() if stage.tasks]
    for name in stages:
        if name not in known:
            raise UserError(f"There is no stage '{name}'; there are {', '.join(known)}.")
    return list(stages) or known


@command.command("start")
@click.argument("campaign", type=click.Path(exists=True, dir_okay=False))
@click.option("--profile", default="slurm", show_default=True, help="Profile of Snakemake.")
@click.option("--until", default="", help="Stage to stop after.")
@seconds_option("--patience", 120.0, "Seconds to wait until it has begun.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def start_campaign(
    campaign: str, profile: str, until: str, patience: float, arguments: tuple[str, ...]
) -> None:
    """Start CAMPAIGN, or what is left of it; it goes on when you log out.

    What comes after ``--`` is for Snakemake. A second start is refused while one runs; jobs that
    a Snakemake left which was killed are ended first.

    \b
    Example:
      lsstpipe campaign start config/campaigns/demo.yaml --profile aws --until visit
      lsstpipe campaign start survey.yaml -- --default-resources slurm_account=drp
    """
    import lsstpipe
    from lsstpipe.cluster.campaign import read_paused
    from lsstpipe.cluster.launch import launch
    from lsstpipe.errors import UserError
    from lsstpipe.plan.layout import log_path

    own = _open(campaign)
    snakefile = Path(lsstpipe.__file__).parents[1] / "Snakefile"
    if not snakefile.exists():
        raise UserError(f"{snakefile} is absent: the workflow is part of a checkout of lsstpipe.")
    log = log_path(own.repo, "campaign", own.campaign)
    targets = _choose((until,)) if until else []
    parts = [
        *(sys.executable, "-m", "snakemake", *targets, "--snakefile", str(snakefile)),
        *("--profile", profile, "--configfile", campaign, *arguments),
    ]
    found = launch(own.repo, parts, log, patience)
    if found.exit_code:
        raise UserError(f"Snakemake ended with exit code {found.exit_code}: {_find_reason(log)}.")
    if paused := read_paused(own.repo):
        click.echo(f"Paused: {', '.join(sorted(paused))}; `lsstpipe campaign resume` goes on.")
    what = "has nothing left to do" if found.exit_code == 0 else f"runs as process {found.pid}"
    click.echo(f"{own.campaign} {what}; its log is {log}.")


def _find_reason(log: Path) -> str:
    """Find in a log of Snakemake why it ended: what follows the name of the last error."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    reasons = [after for line, after in pairwise(lines) if _ERROR.match(line) and after]
    return f"{reasons[-1]} ({log})" if reasons else f"{log} says why"


@command.command("pause")
@click.argument("campaign", type=click.Path(exists=True))
@_stages_option()
def pause_campaign(campaign: str, stages: tuple[str, ...]) -> None:
    """Hold the jobs of CAMPAIGN that wait, and those to come; those that run go on.

    \b
    Example:
      lsstpipe campaign pause runs/demo --stage coadd
    """
    from lsstpipe.cluster.campaign import pause
    from lsstpipe.cluster.slurm import SlurmCommands

    held = pause(_open(campaign), SlurmCommands(), _choose(stages))
    click.echo(f"{len(held)} jobs are held.")


@command.command("resume")
@click.argument("campaign", type=click.Path(exists=True))
@_stages_option()
def resume_campaign(campaign: str, stages: tuple[str, ...]) -> None:
    """Let the jobs of CAMPAIGN run that were held.

    \b
    Example:
      lsstpipe campaign resume runs/demo
    """
    from lsstpipe.cluster.campaign import resume
    from lsstpipe.cluster.slurm import SlurmCommands

    released = resume(_open(campaign), SlurmCommands(), _choose(stages))
    click.echo(f"{len(released)} jobs are released.")


@command.command("change")
@click.argument("campaign", type=click.Path(exists=True))
@_stages_option()
@click.option("--memory", "memory_mb", type=click.IntRange(1), help="Memory, MB.")
@click.option("--pool", help="Pool, or partition, where they may run.")
def change_campaign(
    campaign: str, stages: tuple[str, ...], memory_mb: int | None, pool: str | None
) -> None:
    """Change memory or pool of the jobs of CAMPAIGN that wait.

    \b
    Example:
      lsstpipe campaign change runs/demo --stage coadd --memory 12000 --pool large
    """
    from lsstpipe.cluster.campaign import change
    from lsstpipe.cluster.slurm import SlurmCommands
    from lsstpipe.errors import UserError

    if memory_mb is None and pool is None:
        raise UserError("Give --memory, --pool or both: there is nothing to change.")
    own, names = _open(campaign), _choose(stages)
    changed = change(own, SlurmCommands(), names, memory_mb=memory_mb, pool=pool)
    click.echo(f"{len(changed)} jobs are changed.")


@command.command("stop")
@click.argument("campaign", type=click.Path(exists=True))
@click.option("--now", is_flag=True, help="End the jobs that run, too; they go on at a start.")
def stop_campaign(campaign: str, now: bool) -> None:
    """Begin nothing new of CAMPAIGN; `start` goes on from there.

    Jobs that wait are cancelled, those that run come to their end.

    \b
    Example:
      lsstpipe campaign stop runs/demo
      lsstpipe campaign stop runs/demo --now
    """
    from lsstpipe.cluster.campaign import stop, stop_now
    from lsstpipe.cluster.slurm import SlurmCommands

    own = _open(campaign)
    done = stop_now(own) if now else stop(own, SlurmCommands())
    who = "No snakemake ran" if done.holder is None else f"Process {done.holder.pid} stops"
    click.echo(f"{who}; {done.n_cancelled} jobs are cancelled, {done.n_running} run to their end.")


@command.command("retry")
@click.argument("campaign", type=click.Path(exists=True))
@click.argument("stage")
@click.option("--where", default="", help="Condition, such as: visit IN (1..20) AND task = 'isr'")
@click.option("--done-too", is_flag=True, help="Run again what is done, too.")
@click.option("--dry-run", is_flag=True, help="Tell what would run again, change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def retry_campaign(
    campaign: str, stage: str, where: str, done_too: bool, dry_run: bool, as_json: bool
) -> None:
    """Let quanta of STAGE run again that did not end well: at the next start of CAMPAIGN.

    Nothing is deleted: what is good stands, and a product is there until its better one is.

    \b
    Example:
      lsstpipe campaign retry runs/demo visit --where "visit IN (1..3)" --dry-run
    """
    from lsstpipe.cluster.lock import take_lock
    from lsstpipe.execute.retry import find_retries, reopen
    from lsstpipe.plan.layout import plan_folder
    from lsstpipe.plan.read import open_plan
    from lsstpipe.registry.registry import Registry
    from lsstpipe.repository import registry_url

    own = _open(campaign)
    (name,) = _choose((stage,))
    plan = open_plan(plan_folder(own.repo), only="")
    with Registry.open(registry_url(own.repo)) as registry:
        # Its jobs would write over what was published.
        registry.require_open(plan.campaign.run)
    if dry_run:
        found = find_retries(plan, own.repo, name, where, is_done_too=done_too)
    else:
        # A run would not see it, and jobs after this stage may be reading the manifests.
        with take_lock(own.repo):
            found = find_retries(plan, own.repo, name, where, is_done_too=done_too)
            reopen(plan, own.repo, name, found)
    if as_json:
        click.echo(json.dumps([item.to_json() for item in found], indent=1))
        return
    for item in found:
        record = item.record
        click.echo(f"{record.task} {record.data_id}: {item.status} {record.message}".rstrip())
    verb = "would run again" if dry_run else "run again at the next start"
    n_chunks = len({item.record.chunk for item in found})
    click.echo(f"{len(found)} quanta in {n_chunks} chunks {verb}.")


@command.command("status")
@click.argument("campaign", type=click.Path(exists=True))
@click.option("--watch", is_flag=True, help="Show it again and again.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="LSSTPIPE_CLUSTER_CONFIG",
    default="/etc/lsstpipe/pools.json",
    help="The pools; without it nothing is said of costs.",
)
@click.option(
    "--state", type=click.Path(path_type=Path), envvar="LSSTPIPE_CLUSTER_STATE",
    default="/var/lib/lsstpipe", help="Folder of state and events of the cluster.",
)  # fmt: skip
def tell_status(campaign: str, watch: bool, as_json: bool, config: Path, state: Path) -> None:
    """Tell how far each stage of CAMPAIGN is, on which nodes it runs, and what it costs.

    \b
    Example:
      lsstpipe campaign status runs/demo
      lsstpipe campaign status runs/demo --watch
    """
    from lsstpipe.cli.campaign_tables import look, print_state, state_as_json

    own = _open(campaign)
    while True:
        found = look(own, config, state)
        if watch:
            click.clear()
        if as_json:
            click.echo(state_as_json(found))
        else:
            print_state(found)
        if not watch:
            return
        time.sleep(_WATCH_S)
