"""Collections: runs, tags, chains, calibrations; what a search goes through, and in which order."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from lsstpipe.data_model import DIMENSIONS, DataId
from lsstpipe.errors import ConflictError, RepositoryError, UserError
from lsstpipe.registry.database import chunks, insert_new
from lsstpipe.registry.tables import (
    collection,
    collection_chain,
    collection_member,
    dataset,
    dataset_type,
)

Kind = Literal["RUN", "TAGGED", "CHAINED", "CALIBRATION"]


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection: its id in this database, name, kind, whether it is frozen."""

    id: int
    name: str
    kind: Kind
    is_frozen: bool = False


def ensure(connection: sa.Connection, names: Iterable[str], kind: Kind) -> dict[str, Collection]:
    """Make the collections of one kind that are not there, and give all by name.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    names
        Their names.
    kind
        Their kind.

    Raises
    ------
    UserError
        If one that is not there has an empty name.
    ConflictError
        If one is there as another kind.
    """
    wanted = sorted(set(names))
    # A writer's share of a run lasts to the end of its transaction: nobody freezes or removes it
    # while something is written into it.
    is_shared = kind == "RUN"
    found = _select(connection, wanted, is_shared=is_shared)
    missing = [name for name in wanted if name not in found]
    if missing:
        if not all(name.strip() for name in missing):
            raise UserError("A collection must have a name, got an empty one.")
        rows = [{"name": name, "kind": kind, "is_frozen": False} for name in missing]
        connection.execute(insert_new(connection, collection), rows)
        found = _select(connection, wanted, is_shared=is_shared)
    for item in found.values():
        if item.kind != kind:
            raise ConflictError(f"Collection '{item.name}' is {item.kind}, not {kind}.")
    return found


def _select(
    connection: sa.Connection, names: Sequence[str], *, is_shared: bool = False
) -> dict[str, Collection]:
    statement = sa.select(collection).where(collection.c.name.in_(names)).order_by(collection.c.id)
    rows = connection.execute(statement.with_for_update(read=True) if is_shared else statement)
    return {row.name: Collection(row.id, row.name, row.kind, row.is_frozen) for row in rows}


def flatten(connection: sa.Connection, names: Sequence[str]) -> list[Collection]:
    """Resolve chains, in order, each collection once, by one statement.

    Parameters
    ----------
    connection
        Within a transaction.
    names
        What to search, in this order.

    Raises
    ------
    RepositoryError
        If one of them does not exist.
    """
    edges = sa.select(
        collection.c.id,
        sa.cast(sa.null(), sa.Integer).label("parent_id"),
        sa.literal(0).label("position"),
    ).where(collection.c.name.in_(names))
    reach = edges.cte("reach", recursive=True)
    reach = reach.union(
        sa.select(
            collection_chain.c.child_id, collection_chain.c.parent_id, collection_chain.c.position
        ).join(reach, reach.c.id == collection_chain.c.parent_id)
    )
    rows = connection.execute(
        sa.select(collection, reach.c.parent_id).join(reach, reach.c.id == collection.c.id)
        .order_by(reach.c.position)
    ).all()  # fmt: skip
    known = {row.id: Collection(row.id, row.name, row.kind, row.is_frozen) for row in rows}
    children: dict[int, list[int]] = {}
    for row in rows:
        if row.parent_id is not None and row.id not in children.setdefault(row.parent_id, []):
            children[row.parent_id].append(row.id)
    by_name = {item.name: item for item in known.values()}
    if missing := [name for name in names if name not in by_name]:
        raise RepositoryError(f"There is no collection '{missing[0]}'.")
    return _walk([by_name[name] for name in names], known, children)


def _walk(
    start: Sequence[Collection], known: Mapping[int, Collection], children: dict[int, list[int]]
) -> list[Collection]:
    """Go through a tree depth first; chains themselves are left out of the result."""
    result: dict[int, Collection] = {}
    seen: set[int] = set()
    stack = list(reversed(start))
    while stack:
        item = stack.pop()
        if item.id in seen:
            continue
        seen.add(item.id)
        if item.kind == "CHAINED":
            stack += [known[child] for child in reversed(children.get(item.id, []))]
        else:
            result[item.id] = item
    return list(result.values())


def define_chain(connection: sa.Connection, name: str, children: Sequence[str]) -> None:
    """Make a chain, or give it other children.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    name
        Name of the chain.
    children
        Collections that exist, in the order of the search.

    Raises
    ------
    ConflictError
        If the chain would contain itself.
    RepositoryError
        If a child does not exist.
    """
    parent = ensure(connection, [name], "CHAINED")[name]
    lock(connection, parent)
    found = _select(connection, children)
    if missing := [child for child in children if child not in found]:
        raise RepositoryError(f"There is no collection '{missing[0]}'.")
    connection.execute(sa.delete(collection_chain).where(collection_chain.c.parent_id == parent.id))
    if children:
        rows = [
            {"parent_id": parent.id, "position": position, "child_id": found[child].id}
            for position, child in enumerate(children)
        ]
        connection.execute(sa.insert(collection_chain), rows)
    _refuse_cycle(connection, parent)


def _refuse_cycle(connection: sa.Connection, parent: Collection) -> None:
    below = sa.select(collection_chain.c.child_id).where(
        collection_chain.c.parent_id == parent.id
    ).cte("below", recursive=True)  # fmt: skip
    below = below.union(
        sa.select(collection_chain.c.child_id).join(
            below, below.c.child_id == collection_chain.c.parent_id
        )
    )
    cycle = sa.select(below.c.child_id).where(below.c.child_id == parent.id)
    if connection.execute(cycle).first() is not None:
        raise ConflictError(f"Chain '{parent.name}' would contain itself.")


def tag(connection: sa.Connection, name: str, dataset_ids: Sequence[uuid.UUID]) -> None:
    """Add datasets to a tagged collection, which is made if it is not there.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    name
        Name of the collection.
    dataset_ids
        Datasets that exist.

    Raises
    ------
    RepositoryError
        If a dataset does not exist.
    ConflictError
        If the collection would hold two datasets of one type and data ID.
    """
    _require_datasets(connection, dataset_ids)
    target = ensure(connection, [name], "TAGGED")[name]
    rows = [{"collection_id": target.id, "dataset_id": item} for item in dataset_ids]
    if rows:
        lock(connection, target)  # the check below must hold until the end
        connection.execute(insert_new(connection, collection_member), rows)
        _refuse_twins(connection, target)


def _require_datasets(connection: sa.Connection, ids: Sequence[uuid.UUID]) -> None:
    """Refuse ids of no dataset; nobody removes the others until the transaction ends."""
    found: set[uuid.UUID] = set()
    for part in chunks(ids):
        known = sa.select(dataset.c.id).where(dataset.c.id.in_(part))
        # What a reference to a dataset locks anyway, only before it is too late for a sentence.
        found |= set(connection.execute(known.with_for_update(read=True, key_share=True)).scalars())
    if missing := [item for item in ids if item not in found]:
        raise RepositoryError(f"There is no dataset {missing[0]} to tag.")


def _refuse_twins(connection: sa.Connection, target: Collection) -> None:
    """Refuse a second dataset of a data ID: a search gives one, and would hide the other."""
    columns = {name: dataset.c[name] for name in DIMENSIONS}
    twin = connection.execute(
        sa.select(dataset_type.c.name.label("type"), *columns.values())
        .join(collection_member, collection_member.c.dataset_id == dataset.c.id)
        .join(dataset_type, dataset_type.c.id == dataset.c.type_id)
        .where(collection_member.c.collection_id == target.id)
        .group_by(dataset_type.c.name, *columns.values())
        .having(sa.func.count() > 1)
        .limit(1)
    ).mappings().first()  # fmt: skip
    if twin is not None:
        data_id = DataId({n: twin[n] for n in columns if twin[n] is not None})
        raise ConflictError(
            f"'{target.name}' cannot hold two datasets {twin['type']} of {data_id}; take the other "
            "one out of it first (`lsstpipe collection release`)."
        )


def freeze(connection: sa.Connection, run: str) -> None:
    """Close a run for ever: nothing in it may change.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    run
        Its name.

    Raises
    ------
    RepositoryError
        If there is no such run.
    """
    changed = connection.execute(
        sa.update(collection)
        .where(collection.c.name == run, collection.c.kind == "RUN")
        .values(is_frozen=True)
    )
    if not changed.rowcount:
        raise RepositoryError(f"There is no run '{run}'.")


def require_open(connection: sa.Connection, run: str) -> None:
    """Refuse a run that is frozen.

    Parameters
    ----------
    connection
        Within a transaction.
    run
        Its name; a run that is not there yet is open.

    Raises
    ------
    ConflictError
        If it is frozen.
    """
    found = _select(connection, [run])
    if run in found:
        refuse_frozen(found[run])


def refuse_frozen(run: Collection) -> None:
    """Refuse to write into a run that is frozen.

    Parameters
    ----------
    run
        The run.

    Raises
    ------
    ConflictError
        If it is frozen.
    """
    if run.is_frozen:
        raise ConflictError(f"Run '{run.name}' is frozen, so nothing can be written into it.")


def lock(connection: sa.Connection, item: Collection) -> None:
    """Be the only one that writes into a collection until the transaction ends.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    item
        The collection.
    """
    connection.execute(
        sa.select(collection.c.id).where(collection.c.id == item.id).with_for_update()
    )


def list_all(connection: sa.Connection) -> list[Collection]:
    """Give every collection, by name.

    Parameters
    ----------
    connection
        Within a transaction.
    """
    rows = connection.execute(sa.select(collection).order_by(collection.c.name))
    return [Collection(row.id, row.name, row.kind, row.is_frozen) for row in rows]


def list_chains(connection: sa.Connection) -> dict[str, list[str]]:
    """Give the children of every chain, in the order of the search.

    Parameters
    ----------
    connection
        Within a transaction.
    """
    parent, child = collection.alias("parent"), collection.alias("child")
    chains: dict[str, list[str]] = {}
    for row in connection.execute(
        sa.select(parent.c.name.label("chain"), child.c.name)
        .select_from(collection_chain)
        .join(parent, parent.c.id == collection_chain.c.parent_id)
        .join(child, child.c.id == collection_chain.c.child_id)
        .order_by(parent.c.name, collection_chain.c.position)
    ):
        chains.setdefault(row.chain, []).append(row.name)
    return chains
