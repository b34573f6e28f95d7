"""What ``lsstpipe fetch`` and ``lsstpipe import`` share: bring datasets in, say what was done."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import click

from lsstpipe.butler import Butler
from lsstpipe.cli.progress import progress_bar
from lsstpipe.datastore import Datastore
from lsstpipe.execute.fetch import Intake, plan_intake, take_in
from lsstpipe.execute.index import Index
from lsstpipe.registry.records import DatasetRecord


def bring(
    repo: Path,
    source: Datastore,
    index: Index,
    records: Sequence[DatasetRecord],
    jobs: int,
    dry_run: bool,
) -> Intake:
    """Copy datasets into a repository, or find out what would be copied."""
    with Butler(repo) as butler:
        if dry_run:
            return plan_intake(butler, source, index, records)
        with progress_bar("copying", len(records)) as advance:
            return take_in(butler, source, index, records, jobs=jobs, advance=advance)


def show(done: Intake, dry_run: bool, as_json: bool) -> None:
    """Print what was, or would be, copied."""
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(done), indent=1))
        return
    click.echo(
        f"{done.n_copied} of {done.n_files} files ({done.bytes_copied / 1e6:,.1f} of "
        f"{done.n_bytes / 1e6:,.1f} MB) {'would be' if dry_run else 'were'} copied from "
        f"{done.source}; tag {done.collection}."
    )
