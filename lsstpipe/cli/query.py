"""``lsstpipe query``: what there is, and where it came from."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from lsstpipe.butler import Butler
from lsstpipe.cli.options import OutputFile, repo_option
from lsstpipe.data_model import DIMENSIONS
from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.errors import UserError
from lsstpipe.geometry.position import parse_position
from lsstpipe.registry.provenance import Provenance
from lsstpipe.registry.records import DatasetRecord, QuantumRecord

_WIDEST = 10_000
"""Characters that no table has."""

_SELECTING = {
    "dataset_type": "DATASET_TYPE",
    "where": "--where",
    "pos": "--pos",
    "collections": "--collection",
}
_ABOUT_ONE = {
    "maker_id": ("--downstream", _SELECTING),
    "dataset_id": (
        "--provenance",
        _SELECTING | {"maker_id": "--downstream", "target": "--to"},
    ),
}
"""Parameters that ask about one dataset, and those that would go unheard beside them."""


@click.command("query")
@click.argument("dataset_type", required=False)
@repo_option
@click.option("--where", default="", help="Condition, such as: band = 'r' AND visit IN (1..20)")
@click.option(
    "--pos", help='Part of the sky that they touch, such as: "CIRCLE 286.0 36.6 0.5" (degrees).'
)
@click.option(
    "--collection", "collections", multiple=True, help="Search these only; the first wins."
)
@click.option("--provenance", "dataset_id", help="Id of a dataset: show all that led to it.")
@click.option("--downstream", "maker_id", help="Id of a dataset: list all that was made of it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--to",
    "target",
    type=OutputFile(),
    help="Write the datasets as a table to this Parquet file instead.",
)
def command(  # noqa: PLR0913  (click gives each option as a parameter)
    dataset_type: str | None,
    repo: Path,
    where: str,
    pos: str | None,
    collections: tuple[str, ...],
    dataset_id: str | None,
    maker_id: str | None,
    as_json: bool,
    target: Path | None,
) -> None:
    """List datasets, or show where one came from.

    DATASET_TYPE is a name such as visit_image; without it all types are listed. A part of the sky
    is POINT ra dec, CIRCLE ra dec radius or POLYGON ra1 dec1 ra2 dec2 ra3 dec3 ...

    \b
    Example:
      lsstpipe query visit_image --repo runs/demo --where "visit IN (1..20)"
      lsstpipe query visit_image --where "mid_mjd > T'2012-06-17 05:30/utc'" --repo runs/demo
      lsstpipe query deep_coadd --repo runs/demo --pos "CIRCLE 286.04 36.63 0.1"
      lsstpipe query --repo runs/demo --to datasets.parquet
      lsstpipe query --repo runs/demo --provenance 6c7c2b0e-6a3b-5d0b-9f4e-2d1b8f0c5a11
    """
    _require_one_question(click.get_current_context())
    with Butler(repo, collections) as butler:
        if dataset_id is not None:
            graph = butler.registry.provenance(_parse_id(dataset_id))
            content: Any = _graph_as_json(graph)
            picture: Table | Tree = _draw_graph(graph)
        else:
            if maker_id is not None:
                records = butler.registry.downstream(_parse_id(maker_id))
            else:
                position = None if pos is None else parse_position(pos)
                records = butler.query(dataset_type, where, position)
            if target is not None:
                _write_table(records, target)
                summary = {"path": str(target), "n": len(records)}
                text = f"{len(records)} datasets are in {target}."
                click.echo(json.dumps(summary, indent=1) if as_json else text)
                return
            content = [_dataset_as_json(record) for record in records]
            picture = _draw_datasets(records)
    if as_json:
        click.echo(json.dumps(content, indent=1))
    else:
        console = Console()
        # As wide as it needs: an id that a narrow terminal cuts short is of no use.
        wide = console.options.update(max_width=_WIDEST)
        console.width = max(console.width, console.measure(picture, options=wide).maximum)
        console.print(picture)


def _require_one_question(context: click.Context) -> None:
    """Refuse what a question about one dataset would leave unheard."""
    for name, (option, others) in _ABOUT_ONE.items():
        for other, spelling in others.items():
            if context.params[name] is not None and context.params[other]:
                raise click.UsageError(f"{option} is about one dataset, so it takes no {spelling}.")


def _write_table(records: list[DatasetRecord], target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from lsstpipe.registry.arrow import to_table

    sink = pa.BufferOutputStream()
    pq.write_table(to_table(records), sink)
    write_atomically(target, sink.getvalue().to_pybytes())


def _parse_id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise UserError(
            f"'{text}' is not an id; ids are 32 hexadecimal digits, as `lsstpipe query TYPE` lists."
        ) from None


def _draw_datasets(records: list[DatasetRecord]) -> Table:
    names = [name for name in DIMENSIONS if any(name in record.data_id for record in records)]
    table = Table(title=f"{len(records)} datasets", title_justify="left")
    for name in ("type", *names, "run", "bytes", "id"):
        # An id is there to be copied: it is never cut short.
        table.add_column(name, justify="right" if name == "bytes" else "left", no_wrap=True)
    for record in records:
        values = [str(record.data_id.get(name, "")) for name in names]
        row = (record.dataset_type, *values, record.run, f"{record.size:,}", str(record.id))
        table.add_row(*map(escape, row))  # brackets would be taken for a colour, or a mistake
    return table


def _draw_graph(graph: Provenance) -> Tree:
    tree = Tree(_describe(graph, graph.root))
    drawn: set[uuid.UUID] = set()
    # Not recursive: a chain of quanta may be longer than Python's stack.
    stack = [(tree, graph.root)]
    while stack:
        branch, item = stack.pop()
        producer = graph.producers.get(item)
        if producer is None:
            continue
        quantum = graph.quanta[producer]
        if producer in drawn:
            again = f"{quantum.task} of {quantum.data_id}: drawn elsewhere"
            branch.add(f"[dim]{escape(again)}[/dim]")
            continue
        drawn.add(producer)
        below = branch.add(_describe_quantum(graph, quantum))
        children = [(below.add(_describe(graph, key)), key) for key in quantum.inputs]
        stack += reversed(children)
    return tree


def _describe(graph: Provenance, item: uuid.UUID) -> str:
    record = graph.datasets.get(item)
    if record is None:
        return f"[dim]handed over in memory, {item}[/dim]"
    data_id, path = escape(str(record.data_id)), escape(record.path)
    return f"[bold]{record.dataset_type}[/bold] {data_id} [dim]{path}[/dim]"


def _describe_quantum(graph: Provenance, quantum: QuantumRecord) -> str:
    known = "" if quantum.config_digest in graph.documents else " (text not kept)"
    return (
        f"[cyan]{quantum.stage} {quantum.task}[/cyan] {quantum.status}, attempt {quantum.attempt}, "
        f"{quantum.wall_s:.2f} s, lsstpipe {quantum.code_version}, "
        f"config {quantum.config_digest[:12]}{known}, environment {quantum.environment[:12]}"
    )


def _dataset_as_json(record: DatasetRecord) -> dict[str, Any]:
    return {
        "id": str(record.id),
        "type": record.dataset_type,
        "data_id": dict(record.data_id),
        "run": record.run,
        "path": record.path,
        "size": record.size,
        "checksum": record.checksum,
        "quantum": None if record.quantum_id is None else str(record.quantum_id),
    }


def _graph_as_json(graph: Provenance) -> dict[str, Any]:
    return {
        "id": str(graph.root),
        "datasets": [_dataset_as_json(record) for record in graph.datasets.values()],
        "origins": [str(record.id) for record in graph.origins()],
        "quanta": [
            {
                "id": str(quantum.id),
                "stage": quantum.stage,
                "task": quantum.task,
                "data_id": dict(quantum.data_id),
                "status": quantum.status,
                "attempt": quantum.attempt,
                "started_mjd": quantum.started_mjd,
                "host": quantum.host,
                "config": quantum.config_digest,
                "code_version": quantum.code_version,
                "environment": quantum.environment,
                "inputs": [str(item) for item in quantum.inputs],
                "outputs": [str(item) for item in quantum.outputs],
            }
            for quantum in graph.quanta.values()
        ],
        "documents": {
            digest: {"kind": document.kind, "text": document.text}
            for digest, document in graph.documents.items()
        },
    }
