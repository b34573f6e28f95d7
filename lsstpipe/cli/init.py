"""``lsstpipe init``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("repo", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--registry",
    default="",
    help="URL of an empty database on a server that is the registry; a file in REPO by default.",
)
def command(repo: Path, registry: str) -> None:
    """Make an empty repository in the folder REPO.

    Ingesting does it too; a repository that is there is left as it is.

    \b
    Example:
      lsstpipe init runs/demo
      lsstpipe init /lustre/dr1 --registry "postgresql://drp@db.example.org/dr1?auth=iam"
    """
    from lsstpipe.butler import Butler

    Butler.create(repo, registry=registry, exist_ok=True)
    click.echo(f"There is a repository in {repo}.")
