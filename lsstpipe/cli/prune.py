"""``lsstpipe prune``: remove datasets, or a whole run."""

from __future__ import annotations

import json
from pathlib import Path

import click

from lsstpipe.butler import Butler
from lsstpipe.cli.options import repo_option
from lsstpipe.errors import RepositoryError, UserError
from lsstpipe.execute.prune import remove_manifests
from lsstpipe.registry.records import DatasetRecord


@click.command("prune")
@click.argument("dataset_type", required=False)
@repo_option
@click.option("--run", required=True, help="Run that the datasets belong to.")
@click.option("--where", default="", help="Condition, such as: band = 'r' AND visit IN (1..20)")
@click.option("--all", "is_whole", is_flag=True, help="Remove the run itself, with its quanta.")
@click.option(
    "--held-too", is_flag=True, help="Remove datasets that a tag or a calibration holds, too."
)
@click.option("--dry-run", is_flag=True, help="Tell what would be removed, change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(  # noqa: PLR0913  (click gives each option as a parameter)
    dataset_type: str | None,
    repo: Path,
    run: str,
    where: str,
    is_whole: bool,
    held_too: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove the datasets of DATASET_TYPE from a run: from the registry first, then their files.

    What made them stays on record, and no `lsstpipe collect` brings them back unless they are made
    anew. With --all the manifests of the run go, too, so its jobs run again if they are asked for.
    Files that are left by a kill in between, `lsstpipe sweep --orphans` removes. A frozen run keeps
    everything.

    \b
    Example:
      lsstpipe prune visit_image --run main --where "visit IN (1..20)" --dry-run
      lsstpipe prune --run trial --all
    """
    if is_whole == (dataset_type is not None) or (is_whole and where):
        raise UserError("Give either a DATASET_TYPE, with --where if you like, or --all.")
    with Butler(repo) as butler:
        _require_run(butler, run)
        if is_whole:
            records = butler.registry.remove_run(run, dry_run=True)
            if not dry_run:
                # First: a collector would make the run anew of those that a kill leaves.
                remove_manifests(butler.root, run)
                records = butler.registry.remove_run(run)
        else:
            found = butler.registry.query_datasets(dataset_type, where, [run])
            ids = [record.id for record in found]
            records = butler.registry.prune(ids, is_held_too=held_too, dry_run=dry_run)
        failures = [] if dry_run else _remove_files(butler, records)
    if as_json:
        click.echo(json.dumps([{"id": str(r.id), "path": r.path} for r in records]))
    else:
        verb = "would be removed" if dry_run else "removed"
        size = sum(record.size for record in records) / 1e6
        click.echo(f"{len(records)} datasets of '{run}' with {size:,.1f} MB {verb}.")
    if failures:
        raise RepositoryError(
            f"{len(failures)} files stay although the registry knows them no more, since "
            f"{str(failures[0]).rstrip('.')}; `lsstpipe sweep --orphans {repo}` removes them once "
            "that is mended."
        )


def _remove_files(butler: Butler, records: list[DatasetRecord]) -> list[RepositoryError]:
    """Remove the files of datasets; what keeps one of them there does not keep the others."""
    failures = []
    for record in records:
        # What was ingested from elsewhere is not ours to delete.
        if record.path.startswith("/") or "://" in record.path:
            continue
        try:
            butler.store.remove(record)
        except RepositoryError as error:
            failures.append(error)
    return failures


def _require_run(butler: Butler, name: str) -> None:
    """Refuse a chain or a tag: the datasets of many runs would go with it."""
    if name not in {item.name for item in butler.registry.collections() if item.kind == "RUN"}:
        raise RepositoryError(f"There is no run '{name}'.")
