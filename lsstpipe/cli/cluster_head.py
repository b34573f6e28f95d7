"""``lsstpipe cluster``: what the services of the head node call, and the key that nodes take."""

from __future__ import annotations

import datetime
import logging
import time
from pathlib import Path

import click

_LOG = logging.getLogger(__name__)
_PAUSE_S = 30.0


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
@click.option("--region", envvar="AWS_REGION", required=True, help="[default: $AWS_REGION]")
@click.option("--follow", is_flag=True, help="Go on for ever.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    envvar="LSSTPIPE_CLUSTER_STATE",
    default="/var/lib/lsstpipe",
    help="Folder of the flag.  [default: $LSSTPIPE_CLUSTER_STATE, else /var/lib/lsstpipe]",
)
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


COMMANDS = (write_conf, bring_key, heed, dump, make_user)
"""What `lsstpipe.cli.cluster` adds to its group."""
