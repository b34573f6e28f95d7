"""``lsstpipe cluster``: nodes that come and go."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsstpipe.cli import cluster_head
from lsstpipe.cli.finite_range import FiniteRange
from lsstpipe.cli.options import seconds_option

if TYPE_CHECKING:
    from lsstpipe.cluster.head import Head
    from lsstpipe.cluster.prices import PriceTable
    from lsstpipe.execute.usage import TaskUsage

_LOG = logging.getLogger(__name__)
_WATCH_S = 5.0

_config = click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="LSSTPIPE_CLUSTER_CONFIG",
    default="/etc/lsstpipe/pools.json",
    help="The pools.  [default: $LSSTPIPE_CLUSTER_CONFIG, else /etc/lsstpipe/pools.json]",
)
_state = cluster_head.state_option("Folder of state and events.")


@click.group("cluster")
def command() -> None:
    """Launch and end the nodes of an elastic Slurm cluster, and tell what they cost.

    Slurm calls `resume` and `suspend`, a service runs `reconcile`, each node runs `node`; people
    look at `status` and close a breaker.

    \b
    Example:
      lsstpipe cluster status --watch
      lsstpipe cluster close-breaker spot
    """


def _open(config: Path, state: Path) -> Head:
    from lsstpipe.cluster.head import open_head

    return open_head(config, state)


@command.command("resume")
@click.argument("nodes")
@click.option(
    "--jobs",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Copy of the resume file of Slurm: which jobs the nodes are for. It is removed.",
)
@click.option("--event", required=True, help="Name of this call; repeated, it launches once.")
@_config
@_state
def resume_nodes(nodes: str, jobs: Path | None, event: str, config: Path, state: Path) -> None:
    """Launch instances for NODES; those that get none are set down at once.

    \b
    Example:
      lsstpipe cluster resume "spot-[1-3]" --jobs resume.json --event 17
    """
    from lsstpipe.cluster.resume import resume
    from lsstpipe.cluster.slurm import read_resume_file
    from lsstpipe.errors import UserError

    try:
        wanted = [] if jobs is None else read_resume_file(jobs.read_bytes())
    except UserError as error:
        # Nodes without tags of their jobs are better than none.
        _LOG.warning("%s", error)
        wanted = []
    resume(_open(config, state), nodes, wanted, event)
    if jobs is not None:
        jobs.unlink()


@command.command("suspend")
@click.argument("nodes")
@_config
@_state
def suspend_nodes(nodes: str, config: Path, state: Path) -> None:
    """End the instances of NODES.

    \b
    Example:
      lsstpipe cluster suspend "spot-[1-3]"
    """
    from lsstpipe.cluster.suspend import suspend

    for key in suspend(_open(config, state), nodes):
        click.echo(key)


@command.command("reconcile")
@click.option(
    "--every",
    type=FiniteRange(min=0.1),
    help="Go on for ever, with so many seconds from begin to begin.",
)
@click.option("--share", help="Path or URL where nodes find its sign of life.")
@click.option(
    "--share-every",
    type=FiniteRange(min=0.0),
    help="Share none for so many seconds after one: each costs a request.  [default: 120]",
)
@_config
@_state
def reconcile_all(
    every: float | None, share: str | None, share_every: float | None, config: Path, state: Path
) -> None:
    """Make Slurm and EC2 agree.

    While it is silent, nothing is launched: there would be nobody to end it. Nodes that listen to
    what it shares end themselves then.

    \b
    Example:
      lsstpipe cluster reconcile --every 30
    """
    from lsstpipe.cluster.heartbeat import SHARE_EVERY_S, SharedHeartbeat
    from lsstpipe.cluster.reconcile import reconcile
    from lsstpipe.errors import TemporaryError

    head = _open(config, state)
    pause = SHARE_EVERY_S if share_every is None else share_every
    shared = SharedHeartbeat(share, pause) if share else None
    while True:
        begun = time.monotonic()
        try:
            for decision in reconcile(head):
                what = decision.node or decision.instance
                _LOG.info("%s: %s: %s", what, decision.action.act.value, decision.action.why)
            if shared is not None:
                shared.give(f"{head.now()}\n")
        except TemporaryError as error:
            # No sign of life was given: where this lasts, launches stop.
            if every is None:
                raise
            _LOG.warning("%s", error)
        if every is None:
            return
        time.sleep(max(0.0, begun + every - time.monotonic()))


@command.command("status")
@click.option("--watch", is_flag=True, help="Show it again and again.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@_config
@_state
def tell_status(watch: bool, as_json: bool, config: Path, state: Path) -> None:
    """Tell which nodes, instances and jobs there are, and what they cost.

    \b
    Example:
      lsstpipe cluster status
      lsstpipe cluster status --watch
    """
    from lsstpipe.cli.cluster_tables import print_status, status_as_json
    from lsstpipe.cluster.status import look

    head = _open(config, state)
    while True:
        status = look(head)
        if watch:
            click.clear()
        if as_json:
            click.echo(status_as_json(status))
        else:
            print_status(status)
        _warn_of_old(head.prices)
        if not watch:
            return
        time.sleep(_WATCH_S)


@command.command("cost")
@click.option(
    "--repo",
    "repos",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help="Repository of a campaign, whose manifests tell what was used; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@_config
@_state
def tell_cost(repos: tuple[Path, ...], as_json: bool, config: Path, state: Path) -> None:
    """Tell what each stage asked for, used and cost, at list prices, and what was idle.

    What was used is left empty where several users have jobs of one campaign: manifests do not say
    whose job wrote them.

    \b
    Example:
      lsstpipe cluster cost --repo runs/demo
      lsstpipe cluster cost --repo runs/dr1 --repo runs/deep
    """
    from lsstpipe.cli.cluster_tables import costs_as_rows, print_costs
    from lsstpipe.cluster.status import measure_costs
    from lsstpipe.execute.usage import measure_usage
    from lsstpipe.plan.layout import plan_folder
    from lsstpipe.plan.read import open_plan

    usage: dict[str, list[TaskUsage]] = {}
    for repo in {path.resolve(): path for path in repos}.values():
        plan = open_plan(plan_folder(repo))
        usage.setdefault(plan.campaign.name, []).extend(measure_usage(plan))
    head = _open(config, state)
    costs = measure_costs(head)
    _warn_of_old(head.prices)
    if as_json:
        click.echo(json.dumps(costs_as_rows(costs, usage), indent=1))
    else:
        print_costs(costs, usage)


@command.command("prices")
@click.option("--refresh", is_flag=True, help="Ask AWS, and keep what it says beside the state.")
@click.option("--dry-run", is_flag=True, help="Ask, but keep nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@_config
@_state
def show_prices(refresh: bool, dry_run: bool, as_json: bool, config: Path, state: Path) -> None:
    """Show what the instances of the pools cost an hour, as launches are judged by.

    To refresh them takes the rights pricing:GetProducts and ec2:DescribeSpotPriceHistory, and a way
    to us-east-1. A price that AWS does not have is an error.

    \b
    Example:
      lsstpipe cluster prices
      lsstpipe cluster prices --refresh
    """
    import datetime

    from lsstpipe.cli.cluster_tables import print_prices
    from lsstpipe.cluster import price_refresh
    from lsstpipe.cluster.config import read_cluster
    from lsstpipe.cluster.head import find_prices
    from lsstpipe.cluster.prices import read_prices, write_prices
    from lsstpipe.datastore.atomic import write_atomically

    cluster = read_cluster(config)
    table = read_prices(cluster.region, find_prices(state))
    types = sorted({name for pool in cluster.pools for name in pool.instance_types})
    if refresh:
        now = datetime.datetime.now(datetime.UTC)
        table = price_refresh.refresh(
            table, price_refresh.open_price_lists(cluster.region), types, now
        )
        if not dry_run:
            write_atomically(state / "prices.json", write_prices(table).encode())
    print_prices(table, types, as_json)
    _warn_of_old(table)


def _warn_of_old(prices: PriceTable) -> None:
    import datetime

    if warning := prices.warn(datetime.datetime.now(datetime.UTC).date()):
        click.echo(warning, err=True)


@command.command("close-breaker")
@click.argument("pool")
@_config
@_state
def close(pool: str, config: Path, state: Path) -> None:
    """Let POOL launch again, once what broke it is mended.

    \b
    Example:
      lsstpipe cluster close-breaker spot
    """
    from lsstpipe.cluster.reconcile import close_breaker

    close_breaker(_open_pool(config, state, pool), pool)


@command.command("drain")
@click.argument("pool")
@click.option("--undo", is_flag=True, help="Let it take jobs again.")
@_config
@_state
def drain_pool(pool: str, undo: bool, config: Path, state: Path) -> None:
    """Let POOL run empty: its jobs come to their end, nothing new begins, its nodes go.

    \b
    Example:
      lsstpipe cluster drain spot
      lsstpipe cluster drain spot --undo
    """
    from lsstpipe.cluster.drain import drain, open_again

    head = _open_pool(config, state, pool)
    if undo:
        open_again(head, pool)
    else:
        drain(head, pool)


def _open_pool(config: Path, state: Path, pool: str) -> Head:
    """Open the head node; refuse a pool that there is not."""
    from lsstpipe.errors import UserError

    head = _open(config, state)
    names = [item.name for item in head.cluster.pools]
    if pool not in names:
        raise UserError(f"There is no pool '{pool}'; there are {', '.join(names)}.")
    return head


@command.command("node")
@click.option("--conf-server", required=True, help="Host[:port] of slurmctld.")
@click.option(
    "--events",
    type=click.Path(path_type=Path),
    default="/var/log/lsstpipe/node.jsonl",
    show_default=True,
    help="File of its events.",
)
@click.option("--heartbeat", default="", help="Path or URL of what `reconcile` shares.")
@cluster_head.imds_option
@click.option("--slurmd", default="slurmd", show_default=True, help="Command of slurmd.")
@click.option("--on-notice", default="", help="Command before Spot takes it, such as an umount.")
@click.option("--shutdown", default="shutdown -h now", show_default=True, help="Ends the instance.")
@seconds_option("--name-timeout", 300.0, "Seconds until it has a name.")
@seconds_option("--silence", 600.0, "Seconds of silence it bears.")
@seconds_option("--poll", 5.0, "Seconds between looks for a notice.", least=0.1)
@seconds_option("--listen", 60.0, "Seconds between calls to the head.", least=0.1)
def run_this_node(**options: Any) -> None:
    """Run this instance as a node: name, slurmd, Spot notice, and its end.

    \b
    Example:
      lsstpipe cluster node --conf-server 10.0.0.5 --heartbeat s3://config/heartbeat
    """
    from lsstpipe.cluster.node_agent import NodeSettings, run_node

    for name in ("name_timeout", "silence", "poll", "listen"):
        options[f"{name}_s"] = options.pop(name)
    click.echo(run_node(NodeSettings(**options)))


for _own in cluster_head.COMMANDS:
    command.add_command(_own)
