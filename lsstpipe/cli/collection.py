"""``lsstpipe collection``: list, chain, tag, release and freeze collections."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from lsstpipe.butler import Butler
from lsstpipe.cli.options import repo_option
from lsstpipe.errors import RepositoryError

_where = click.option(
    "--where", default="", help="Condition, such as: band = 'r' AND visit IN (1..20)"
)


@click.group("collection")
def command() -> None:
    """List collections and change what they hold.

    A RUN has the datasets that were written into it, a TAGGED collection those that were put into
    it by hand, a CALIBRATION those that hold at a time, and a CHAINED one is searched from its
    first part to its last.

    \b
    Example:
      lsstpipe collection list --repo runs/demo
      lsstpipe collection chain latest night2 night1
      lsstpipe collection tag best visit_image --from main --where "airmass < 1.5"
    """


@command.command("list")
@repo_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_all(repo: Path, as_json: bool) -> None:
    """List all collections.

    \b
    Example:
      lsstpipe collection list --repo runs/demo
    """
    with Butler(repo) as butler:
        found = butler.registry.collections()
        chains = butler.registry.chains()
    if as_json:
        rows = [asdict(item) | {"children": chains.get(item.name, [])} for item in found]
        click.echo(json.dumps(rows, indent=1))
        return
    for item in found:
        parts = f": {', '.join(chains[item.name])}" if item.name in chains else ""
        frozen = ", frozen" if item.is_frozen else ""
        click.echo(f"{item.name} ({item.kind}{frozen}){parts}")


@command.command()
@click.argument("name")
@click.argument("children", nargs=-1)
@repo_option
def chain(name: str, children: tuple[str, ...], repo: Path) -> None:
    """Let the chain NAME consist of CHILDREN, which are searched in this order.

    \b
    Example:
      lsstpipe collection chain latest night2 night1
    """
    with Butler(repo) as butler:
        butler.registry.define_chain(name, children)
    click.echo(f"'{name}' is searched as: {', '.join(children) or 'nothing'}.")


@command.command()
@click.argument("name")
@click.argument("dataset_type")
@click.option("--from", "source", required=True, help="Collection that has the datasets.")
@_where
@repo_option
def tag(name: str, dataset_type: str, source: str, where: str, repo: Path) -> None:
    """Put datasets of DATASET_TYPE into the tagged collection NAME, which is made if absent.

    \b
    Example:
      lsstpipe collection tag best visit_image --from main --where "airmass < 1.5"
    """
    with Butler(repo) as butler:
        records = butler.registry.query_datasets(dataset_type, where, [source])
        if not records:
            raise RepositoryError(
                f"'{source}' has no {dataset_type}{f' with {where}' if where else ''}, so there is "
                f"nothing to put into '{name}'."
            )
        butler.registry.tag(name, [record.id for record in records])
    click.echo(f"{len(records)} datasets of '{source}' are in '{name}'.")


@command.command()
@click.argument("name")
@click.argument("dataset_type")
@_where
@repo_option
def release(name: str, dataset_type: str, where: str, repo: Path) -> None:
    """Take datasets of DATASET_TYPE out of NAME, a tag or a calibration; they stay in their run.

    \b
    Example:
      lsstpipe collection release calib flat --where "band = 'r'"
    """
    with Butler(repo) as butler:
        records = butler.registry.query_datasets(dataset_type, where, [name])
        n_released = butler.registry.release(name, [record.id for record in records])
    click.echo(f"{n_released} datasets were taken out of '{name}'.")


@command.command()
@click.argument("run")
@repo_option
def freeze(run: str, repo: Path) -> None:
    """Close RUN for ever: nothing in it can be replaced, added or removed.

    \b
    Example:
      lsstpipe collection freeze main
    """
    with Butler(repo) as butler:
        butler.registry.freeze(run)
    click.echo(f"Run '{run}' is frozen.")
