"""``lsstpipe certify``: say from when to when calibrations hold."""

from __future__ import annotations

import json
import math
import uuid
from pathlib import Path

import click
from astropy.time import Time

from lsstpipe.butler import Butler
from lsstpipe.cli.options import repo_option
from lsstpipe.datasets import DATASET_TYPES, find_dataset_type
from lsstpipe.errors import RepositoryError, UserError
from lsstpipe.registry.records import DatasetRecord

_OPEN = {"begin": -math.inf, "end": math.inf}


@click.command("certify")
@click.argument("dataset", nargs=-1, required=True)
@repo_option
@click.option("--run", help="Run that made them, where DATASET is a dataset type.")
@click.option("--begin", default="open", help="Date (TAI), MJD, or 'open'; included.")
@click.option("--end", default="open", help="Date (TAI), MJD, or 'open'; excluded.")
@click.option("--collection", required=True, help="Calibration collection; made if absent.")
@click.option("--dry-run", is_flag=True, help="Tell what would be certified, change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(  # noqa: PLR0913  (click gives each option as a parameter)
    dataset: tuple[str, ...],
    repo: Path,
    run: str | None,
    begin: str,
    end: str,
    collection: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Let calibrations hold from one date to another, so that plans find them by date.

    DATASET is an id, as `lsstpipe query` lists them, or a dataset type such as bias: then all of
    that type that a run made. A dataset that was certified in the collection before gets the new
    range, which must overlap or touch the old one: a collection keeps one range of a dataset.

    \b
    Example:
      lsstpipe certify bias flat --run night1 --collection calib --begin 2024-05-01 --end 2024-06-01
    """
    begin_mjd, end_mjd = _parse_date("begin", begin), _parse_date("end", end)
    with Butler(repo) as butler:
        # Each once, however often it is named.
        named = {r.id: r for name in dataset for r in _find(butler, name, run)}
        ids, records = list(named), list(named.values())
        butler.registry.certify(collection, ids, begin_mjd, end_mjd, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(_as_json(records, collection, begin_mjd, end_mjd), indent=1))
        return
    verb = "would hold" if dry_run else "holds"
    for record in records:
        click.echo(
            f"{record.dataset_type} of {record.data_id} {verb} from {begin} to {end} in "
            f"{collection}: {record.path}"
        )


def _find(butler: Butler, name: str, run: str | None) -> list[DatasetRecord]:
    """Find the dataset of an id, or all datasets of a type that a run made."""
    if (key := _as_id(name)) is not None:
        graph = butler.registry.provenance(key)
        record = graph.datasets.get(key)
        if record is None:
            raise RepositoryError(f"There is no dataset {name} in {butler.root}.")
        _check_calibration(record.dataset_type)
        return [record]
    _check_calibration(find_dataset_type(name).name)
    if run is None:
        raise UserError(f"Give --run with a dataset type: which {name} shall be certified?")
    found = [record for record in butler.query(name) if record.run == run]
    if not found:
        raise RepositoryError(f"The run '{run}' made no {name} in {butler.root}.")
    return found


def _check_calibration(name: str) -> None:
    """Refuse a dataset type that does not hold for a range of time."""
    if not DATASET_TYPES[name].is_calibration:
        allowed = ", ".join(kind.name for kind in DATASET_TYPES.values() if kind.is_calibration)
        raise UserError(f"{name} is no calibration; those are {allowed}.")


def _as_id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _parse_date(name: str, text: str) -> float:
    """Read a date or an MJD; TAI."""
    if text == "open":
        return _OPEN[name]
    try:
        mjd = float(text)
    except ValueError:
        mjd = math.nan
    if math.isfinite(mjd):
        return mjd
    try:
        return float(Time(text, format="isot" if "T" in text else "iso", scale="tai").mjd)
    except ValueError:
        raise UserError(
            f"--{name} must be a date such as 2024-05-01, an MJD, or 'open', got '{text}'."
        ) from None


def _as_json(
    records: list[DatasetRecord], collection: str, begin_mjd: float, end_mjd: float
) -> list[dict[str, object]]:
    """Make plain values; an open end is null."""
    begin, end = (v if math.isfinite(v) else None for v in (begin_mjd, end_mjd))
    return [
        {
            "id": str(record.id),
            "type": record.dataset_type,
            "data_id": dict(record.data_id),
            "path": record.path,
            "collection": collection,
            "valid_begin_mjd": begin,
            "valid_end_mjd": end,
        }
        for record in records
    ]
