"""``lsstpipe cluster``: what the services of the head node call, and the key that nodes take."""

from __future__ import annotations

import datetime
import logging
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lsstpipe.cli.options import seconds_option

_LOG = logging.getLogger(__name__)
_PAUSE_S = 30.0

Command = TypeVar("Command", bound=Callable[..., Any])

_region = click.option(
    "--region", envvar="AWS_REGION", required=True, help="[default: $AWS_REGION]"
)
imds_option = click.option("--imds-url", default="http://169.254.169.254", show_default=True)
"""Where the metadata service is."""


def state_option(what: str) -> Callable[[Command], Command]:
    """Make the option that names the folder of the head node's state.

    Parameters
    ----------
    what
        What a command has there, a sentence.
    """
    return click.option(
        "--state",
        type=click.Path(path_type=Path),
        envvar="LSSTPIPE_CLUSTER_STATE",
        default="/var/lib/lsstpipe",
        help=f"{what}  [default: $LSSTPIPE_CLUSTER_STATE, else /var/lib/lsstpipe]",
    )


@click.command("conf")
@click.option("--from", "source", help="Folder or URL with what Terraform rendered; taken first.")
@click.option(
    "--etc",
    type=click.Path(file_okay=False, path_type=Path),
    default="/etc",
    show_default=True,
    help="Below it are lsstpipe/pools.json and slurm/.",
)
def write_conf(source: str | None, etc: Path) -> None:
    """Write slurm/pools.conf from pools.json, and print the files that changed.

    With --from, pools.json, site.json, slurm.conf and cgroup.conf are copied from there before.
    Where pools.json says what cannot be, nothing is changed.

    \b
    Example:
      lsstpipe cluster conf
      lsstpipe cluster conf --from s3://survey-config/clusters/survey
    """
    from lsstpipe.cluster.head_files import configure

    for path in configure(etc, source.rstrip("/") if source else None):
        click.echo(path)


@click.command("key")
@click.argument("shared")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--make", is_flag=True, help="On the head node: make it where there is none.")
def bring_key(shared: str, path: Path, make: bool) -> None:
    """Bring the key by which Slurm's daemons know each other from SHARED to PATH.

    With --make it goes the other way, and is made first where PATH is absent.

    \b
    Example:
      lsstpipe cluster key s3://survey-config/clusters/survey/auth/munge.key /etc/munge/munge.key
    """
    from lsstpipe.cluster.head_files import make_key, take_key

    if make:
        make_key(path, shared)
    else:
        take_key(shared, path)


@click.command("budget")
@click.argument("queue")
@_region
@click.option("--follow", is_flag=True, help="Go on for ever.")
@state_option("Folder of the flag.")
def heed(queue: str, region: str, follow: bool, state: Path) -> None:
    """Put the flag budget-spent when QUEUE, an URL, says so.

    Nothing is launched until a person removes it.

    \b
    Example:
      lsstpipe cluster budget https://sqs.us-east-1.amazonaws.com/123456789012/survey-budget-spent
    """
    from lsstpipe.cluster.budget import heed_budget
    from lsstpipe.errors import TemporaryError

    while True:
        try:
            if heed_budget(queue, region, state):
                _LOG.warning("the budget is spent: nothing more is launched")
        except TemporaryError as error:
            if not follow:
                raise
            _LOG.warning("%s", error)
            time.sleep(_PAUSE_S)
        if not follow:
            return


@click.command("dump-accounts")
@click.argument("folder")
def dump(folder: str) -> None:
    """Dump Slurm's accounts into FOLDER, a path or URL, as <day>.sql.gz.

    \b
    Example:
      lsstpipe cluster dump-accounts s3://survey-config/clusters/survey/accounts
    """
    from lsstpipe.cluster.head_files import dump_accounts

    day = datetime.datetime.now(datetime.UTC).date()
    to = f"{folder.rstrip('/')}/{day}.sql.gz"
    click.echo(f"{to}: {dump_accounts(to)} bytes")


@click.command("ship-logs")
@click.argument("role", type=click.Choice(["head", "compute"]))
@click.option("--cluster", envvar="CLUSTER", required=True, help="Its name.  [default: $CLUSTER]")
@_region
@seconds_option("--every", 10.0, "Seconds between two looks.", least=0.1)
@state_option("It knows what was sent.")
@click.option(
    "--logs",
    type=click.Path(file_okay=False, path_type=Path),
    default="/var/log",
    show_default=True,
    help="Where daemons write.",
)
@imds_option
def ship(role: str, cluster: str, region: str, every: float, **where: Any) -> None:
    """Send the logs of this machine to CloudWatch Logs, until it is told to end; then once more.

    They go to /lsstpipe/CLUSTER/events, /slurm and /system, those of the head node into streams
    head/..., those of a node into compute/NODE/INSTANCE/...

    \b
    Example:
      lsstpipe cluster ship-logs head
      lsstpipe cluster ship-logs compute --every 30
    """
    from lsstpipe.cluster.imds import Imds
    from lsstpipe.cluster.log_shipping import (
        Shipper,
        head_sources,
        node_sources,
        node_stream,
        open_logs,
        ship_until,
    )

    state, logs = where["state"], where["logs"]
    imds, client = Imds(where["imds_url"]), open_logs(region)

    def find_shipper(is_last: bool) -> Shipper | None:
        stream = "head" if role == "head" else node_stream(imds, needs_name=not is_last)
        sources = head_sources(state, logs) if role == "head" else node_sources(logs)
        if stream is None:
            return None
        return Shipper(client, f"/lsstpipe/{cluster}", stream, sources, state / "shipped.json")

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    ship_until(stop, find_shipper, every)


@click.command("registry-user")
@click.option("--secret", required=True, help="ARN of the secret of the database's owner.")
@click.option(
    "--site",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default="/etc/lsstpipe/site.json",
    show_default=True,
    help="What Terraform tells of the site.",
)
def make_user(secret: str, site: Path) -> None:
    """Make the user of the registry who signs in by IAM; a second call changes nothing.

    It reads the owner's secret, which the head node's own role may not: run it there, where the
    database is reached, with the credentials of a person who may.

    \b
    Example:
      lsstpipe cluster registry-user --secret arn:aws:secretsmanager:us-east-1:1234:secret:x
    """
    from lsstpipe.registry.roles import grant_user
    from lsstpipe.site.site_file import read_site, site_registry

    url = site_registry(read_site(site))
    as_owner = url.set(username=None).update_query_dict({"auth": "secret", "secret": secret})
    is_new = grant_user(as_owner, str(url.username))
    click.echo(f"{url.username} {'was made' if is_new else 'was there'} on {url.host}.")


COMMANDS = (write_conf, bring_key, heed, dump, ship, make_user)
"""What `lsstpipe.cli.cluster` adds to its group."""
