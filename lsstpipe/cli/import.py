"""``lsstpipe import``."""  # noqa: N999  (named as its command)

from __future__ import annotations

from pathlib import Path

import click

from lsstpipe.cli.intake import bring, show
from lsstpipe.cli.options import jobs_option, repo_option


@click.command("import")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@repo_option
@jobs_option(4)
@click.option("--dry-run", is_flag=True, help="Say what would be copied, change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(folder: Path, repo: Path, jobs: int, dry_run: bool, as_json: bool) -> None:
    """Copy what `lsstpipe export` wrote into FOLDER into a repository, as often as you like.

    Every file must have its checksum. What contradicts the repository is refused, and leaves it as
    it was.

    \b
    Example:
      lsstpipe import /media/disk/main --repo runs/mine --dry-run
    """
    from lsstpipe.datastore import Datastore
    from lsstpipe.execute.index import read_index

    source = Datastore(folder.absolute())
    index = read_index(source)
    show(bring(repo, source, index, index.datasets, jobs, dry_run), dry_run, as_json)
