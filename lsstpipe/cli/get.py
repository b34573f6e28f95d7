"""``lsstpipe get``: one dataset, copied out or shown."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from lsstpipe import io
from lsstpipe.butler import Butler
from lsstpipe.cli.options import OutputFile, repo_option
from lsstpipe.data_model import DIMENSIONS, DataId, DataIdValue
from lsstpipe.datasets import find_dataset_type
from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.errors import DataIdError, RepositoryError
from lsstpipe.image.catalog import Catalog
from lsstpipe.registry.records import DatasetRecord


@click.command("get")
@click.argument("dataset_type")
@click.argument("data_id", nargs=-1)
@repo_option
@click.option(
    "--collection", "collections", multiple=True, help="Search these only; the first wins."
)
@click.option("--to", "target", type=OutputFile(), help="Copy it to this file.")
def command(
    dataset_type: str,
    data_id: tuple[str, ...],
    repo: Path,
    collections: tuple[str, ...],
    target: Path | None,
) -> None:
    """Copy a dataset out, or show it: text as it is, catalogues as a table, images as their path.

    DATA_ID is as much of NAME=VALUE as tells it from others, such as visit=24.

    \b
    Example:
      lsstpipe get visit_detector_summary --repo runs/demo visit=24
      lsstpipe get deep_coadd --repo runs/demo patch=3 --to coadd.fits
    """
    wanted = _parse_data_id(data_id)
    with Butler(repo, collections) as butler:
        record = _find_one(butler, dataset_type, wanted)
        datastore = butler.store.datastore
        storage = find_dataset_type(dataset_type).storage
        if target is None and storage in {"exposure", "raw"}:
            click.echo(datastore.resolve(record.path))
            return
        content = datastore.read(record.path, record.checksum)
        if target is not None:
            write_atomically(target, content)
        elif storage == "catalog":
            catalog = io.read(content, storage, datastore.resolve(record.path))
            if isinstance(catalog, Catalog):
                # A name in brackets would be taken for a colour, or a mistake.
                Console(markup=False).print(_preview(catalog))
        else:
            click.echo(content, nl=False)


def _parse_data_id(pairs: tuple[str, ...]) -> DataId:
    values: dict[str, DataIdValue] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign:
            raise DataIdError(f"'{pair}' is not of the form NAME=VALUE, such as visit=24.")
        if DIMENSIONS.get(name) is not int:
            values[name] = text
            continue
        try:
            values[name] = int(text)
        except ValueError:
            raise DataIdError(f"{name} must be an integer, got '{text}'.") from None
    return DataId(values)


def _find_one(butler: Butler, name: str, wanted: DataId) -> DatasetRecord:
    kind = find_dataset_type(name)
    if unknown := [key for key in wanted if key not in kind.dimensions]:
        raise DataIdError(
            f"{name} has no dimension '{unknown[0]}'; "
            f"it has {', '.join(kind.dimensions) or 'none'}."
        )
    # As values: text that a condition were made of could say something else.
    records = butler.registry.query_datasets(kind, names=butler.collections or None, like=wanted)
    asked = f"{name} of {wanted or 'any data ID'}"
    if not records:
        raise RepositoryError(f"There is no {asked} in {butler.root}.")
    if len(records) > 1:
        first, second = records[:2]
        raise DataIdError(
            f"{len(records)} datasets are {asked}, such as {first.path} and {second.path}; "
            f"give more of {', '.join((*kind.dimensions, '--collection'))}."
        )
    return records[0]


def _preview(catalog: Catalog) -> Table:
    """Draw a line a column: a catalogue has more of them than a terminal is wide."""
    table = Table(title=f"{catalog.schema.name}: {len(catalog)} rows", title_justify="left")
    for heading in ("column", "unit", "first", "smallest", "largest", "meaning"):
        table.add_column(heading)
    for column in catalog.schema.columns:
        values = catalog.columns[column.name]
        order = np.argsort(values, kind="stable")  # NaN is last
        ends = [values[0], values[order[0]], values[order[-1]]] if len(catalog) else []
        figures = [
            f"{value:.9g}" if isinstance(value, np.floating) else str(value) for value in ends
        ]
        figures += [""] * (3 - len(ends))
        table.add_row(column.name, column.unit, *figures, column.doc)
    return table
