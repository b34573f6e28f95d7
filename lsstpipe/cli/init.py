"""``lsstpipe init``."""

from __future__ import annotations

from pathlib import Path

import click

from lsstpipe.cli.finite_range import FiniteRange


@click.command()
@click.argument("repo", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--site",
    type=click.Path(dir_okay=False, path_type=Path),
    help="What Terraform tells of a site, such as config/site.json: its registry and its buckets.",
)
@click.option(
    "--registry",
    default="",
    help="URL of an empty database on a server that is the registry; a file in REPO by default.",
)
@click.option(
    "--also-read",
    multiple=True,
    help="Where to look for files that REPO has not, such as s3://products/releases/dp1, or "
    "releases/dp1 in the site's own bucket.",
)
@click.option(
    "--cache-gb",
    type=FiniteRange(min=0),
    default=0.0,
    help="Keep so much of remote files that were read in REPO/cache; the oldest go first.",
)
def command(
    repo: Path, site: Path | None, registry: str, also_read: tuple[str, ...], cache_gb: float
) -> None:
    """Make an empty repository in the folder REPO.

    Ingesting does it too; a repository that is there is left as it is. With --site it has the
    site's registry, signed in to by IAM over TLS, and `publish` and `fetch` know the site's bucket
    of products; on a head node that is /etc/lsstpipe/site.json.

    \b
    Example:
      lsstpipe init runs/demo
      lsstpipe init /lustre/dr1 --registry "postgresql://drp@db.example.org/dr1?auth=iam"
      lsstpipe init /lustre/dr1 --site config/site.json
      lsstpipe init mine --also-read s3://products/releases/dp1 --cache-gb 50
    """
    from lsstpipe.butler import Butler
    from lsstpipe.errors import ConfigError
    from lsstpipe.repository import Repository

    settings = Repository(registry, also_read, cache_gb)
    if site is not None:
        from lsstpipe.site.site_file import read_site, site_repository

        if registry:
            raise ConfigError(f"{site} says where the registry is; leave out --registry.")
        settings = site_repository(read_site(site), also_read, cache_gb)
    is_plain = settings == Repository()
    Butler.create(repo, settings=None if is_plain else settings, exist_ok=True)
    click.echo(f"There is a repository in {repo}.")
    if site is not None:
        click.echo(f"Its registry is {settings.registry}, its products go to {settings.products}.")
