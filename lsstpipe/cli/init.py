"""``lsstpipe init``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("repo", type=click.Path(file_okay=False, path_type=Path))
def command(repo: Path) -> None:
    """Make an empty repository in the folder REPO.

    Ingesting does it too; a repository that is there is left as it is.

    \b
    Example:
      lsstpipe init runs/demo
    """
    from lsstpipe.butler import Butler

    Butler.create(repo, exist_ok=True)
    click.echo(f"There is a repository in {repo}.")
