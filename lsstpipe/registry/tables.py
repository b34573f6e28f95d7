"""The tables of the registry, for SQLite and PostgreSQL.

Ids are UUIDs that begin with a digest of their run, so that the rows of one run lie together in
each index. Each dataset type has a unique index of its own over its dimensions (`type_index`),
which keeps a data ID unique in a run and finds it by any leading dimensions.
"""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa

from lsstpipe.data_model import DIMENSIONS, DatasetType


class Uuid(sa.types.TypeDecorator[uuid.UUID]):
    """A UUID: the native type of PostgreSQL, 16 bytes that sort by value in SQLite."""

    impl = sa.LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Choose the type of a database."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.Uuid(as_uuid=True))
        return dialect.type_descriptor(sa.LargeBinary(16))

    def process_bind_param(
        self, value: uuid.UUID | None, dialect: sa.Dialect
    ) -> uuid.UUID | bytes | None:
        """Give the database what it stores."""
        return value if value is None or dialect.name == "postgresql" else value.bytes

    def process_result_value(
        self, value: uuid.UUID | bytes | None, dialect: sa.Dialect
    ) -> uuid.UUID | None:
        """Make a UUID of what the database stored."""
        return uuid.UUID(bytes=value) if isinstance(value, bytes) else value


def _dimension_columns() -> list[sa.Column[str] | sa.Column[int]]:
    return [
        sa.Column(name, sa.String) if kind is str else sa.Column(name, sa.BigInteger)
        for name, kind in DIMENSIONS.items()
    ]


METADATA = sa.MetaData()

schema_version = sa.Table(
    "schema_version", METADATA, sa.Column("version", sa.Integer, nullable=False)
)

collection = sa.Table(
    "collection",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("is_frozen", sa.Boolean, nullable=False, default=False),
    sa.CheckConstraint("kind IN ('RUN', 'TAGGED', 'CHAINED', 'CALIBRATION')", name="kind"),
)

collection_chain = sa.Table(
    "collection_chain",
    METADATA,
    sa.Column("parent_id", sa.ForeignKey("collection.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("child_id", sa.ForeignKey("collection.id"), nullable=False),
)

dataset_type = sa.Table(
    "dataset_type",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("dimensions", sa.String, nullable=False),
)

document = sa.Table(
    "document",
    METADATA,
    sa.Column("digest", sa.String, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    comment="Configurations and environments by the digest that quanta name.",
)

quantum = sa.Table(
    "quantum",
    METADATA,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("run_id", sa.ForeignKey("collection.id"), nullable=False),
    sa.Column("stage", sa.String, nullable=False),
    sa.Column("task", sa.String, nullable=False),
    sa.Column("chunk", sa.String, nullable=False),
    sa.Column("data_id", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("wall_s", sa.Double, nullable=False),
    sa.Column("cpu_s", sa.Double, nullable=False),
    sa.Column("max_rss_mb", sa.Double, nullable=False),
    sa.Column("bytes_read", sa.BigInteger, nullable=False),
    sa.Column("bytes_written", sa.BigInteger, nullable=False),
    sa.Column("host", sa.String, nullable=False),
    sa.Column("started_mjd", sa.Double, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("config_digest", sa.String, nullable=False),
    sa.Column("code_version", sa.String, nullable=False),
    sa.Column("environment", sa.String, nullable=False),
)

dataset = sa.Table(
    "dataset",
    METADATA,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("type_id", sa.ForeignKey("dataset_type.id"), nullable=False),
    sa.Column("run_id", sa.ForeignKey("collection.id"), nullable=False),
    *_dimension_columns(),
    sa.Column("path", sa.String, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("checksum", sa.String, nullable=False),
    sa.Column("quantum_id", sa.ForeignKey("quantum.id"), nullable=True),
    sa.Index("dataset_by_quantum", "quantum_id"),
    sa.Index("dataset_by_run", "run_id", "type_id"),
)


def _link(name: str) -> sa.Table:
    """Make a table of the datasets of quanta: kept or not, so without a foreign key to them."""
    return sa.Table(
        name,
        METADATA,
        sa.Column("quantum_id", sa.ForeignKey("quantum.id"), primary_key=True),
        sa.Column("dataset_id", Uuid, primary_key=True),
        sa.Index(f"{name}_by_dataset", "dataset_id"),
        sqlite_with_rowid=False,
    )


quantum_input = _link("quantum_input")
quantum_output = _link("quantum_output")

collection_member = sa.Table(
    "collection_member",
    METADATA,
    sa.Column("collection_id", sa.ForeignKey("collection.id"), primary_key=True),
    sa.Column("dataset_id", sa.ForeignKey("dataset.id", ondelete="CASCADE"), primary_key=True),
    sa.Index("collection_member_by_dataset", "dataset_id"),
    sqlite_with_rowid=False,
)

calibration = sa.Table(
    "calibration",
    METADATA,
    sa.Column("collection_id", sa.ForeignKey("collection.id"), primary_key=True),
    sa.Column("dataset_id", sa.ForeignKey("dataset.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("valid_begin", sa.Double, nullable=False, comment="TAI MJD, included"),
    sa.Column("valid_end", sa.Double, nullable=False, comment="TAI MJD, excluded"),
    sa.Index("calibration_by_dataset", "dataset_id"),
)

exposure = sa.Table(
    "exposure",
    METADATA,
    sa.Column("instrument", sa.String, primary_key=True),
    sa.Column("exposure", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("detector", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("physical_filter", sa.String, nullable=False),
    sa.Column("band", sa.String, nullable=False),
    sa.Column("observation_type", sa.String, nullable=False),
    sa.Column("target", sa.String, nullable=False),
    sa.Column("exposure_time_s", sa.Double, nullable=False),
    sa.Column("dark_time_s", sa.Double, nullable=False),
    sa.Column("mid_mjd", sa.Double, nullable=False),
    sa.Column("ra_deg", sa.Double, comment="null where it is not known, as are the next"),
    sa.Column("dec_deg", sa.Double),
    sa.Column("airmass", sa.Double),
    sa.Column("region", sa.Text, comment="JSON: sky polygon as [ra, dec] in degrees"),
    sa.Column("raw_id", sa.ForeignKey("dataset.id"), nullable=False),
    sa.Index("exposure_by_raw", "raw_id"),
    sa.Index("exposure_by_time", "mid_mjd"),
)


def type_index(kind: DatasetType, type_id: int) -> sa.Index:
    """Describe the index of one dataset type.

    Parameters
    ----------
    kind
        The dataset type.
    type_id
        Its id in this database.
    """
    columns = [dataset.c[name] for name in kind.dimensions]
    condition = sa.text(f"type_id = {type_id:d}")
    index = sa.Index(
        f"dataset_of_type_{type_id:d}",
        *columns,
        dataset.c.run_id,
        unique=True,
        sqlite_where=condition,
        postgresql_where=condition,
    )
    # The index belongs to a database, not to the description of the table that all share.
    dataset.indexes.discard(index)
    return index
