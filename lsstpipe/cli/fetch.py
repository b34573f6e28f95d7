"""``lsstpipe fetch``."""

from __future__ import annotations

from pathlib import Path

import click

from lsstpipe.cli.intake import bring, show
from lsstpipe.cli.options import jobs_option, repo_option


@click.command("fetch")
@click.argument("release")
@repo_option
@click.option("--where", default="", help="Condition, such as: type = 'deep_coadd' AND band = 'r'")
@jobs_option(8)
@click.option("--dry-run", is_flag=True, help="Say what would be copied, change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(release: str, repo: Path, where: str, jobs: int, dry_run: bool, as_json: bool) -> None:
    """Copy datasets of a release into a repository.

    RELEASE is the prefix that `lsstpipe publish` wrote; in a repository of a site releases/RIGHT is
    enough. Every file must have its checksum; the
    datasets get the tag of the release.

    \b
    Example:
      lsstpipe fetch s3://products/releases/dp1 --repo runs/mine --where "type = 'deep_coadd'"
    """
    from lsstpipe.datastore import Datastore
    from lsstpipe.datastore.layout import locate
    from lsstpipe.execute.fetch import select
    from lsstpipe.execute.index import read_index
    from lsstpipe.repository import read_repository

    source = Datastore(locate(release, read_repository(repo).products))
    index = read_index(source)
    show(bring(repo, source, index, select(index, where), jobs, dry_run), dry_run, as_json)
