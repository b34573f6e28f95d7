"""The tables of the registry, for SQLite and PostgreSQL.

Ids are UUIDs that begin with a digest of their run, so that the rows of one run lie together in
each index. An id says run, type and data ID, so the primary key keeps a data ID unique in a run and
finds it. Besides, datasets are found by type and by place (`place_indexes`): few indexes, because
each costs every INSERT, also where its condition leaves the row out.

Bytes count, for there are millions of rows: a path that `DatasetType.path` spells is not stored, a
checksum is stored as bytes, a region as numbers, and columns are ordered so that PostgreSQL need
not pad them.
"""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa

from lsstpipe.data_model import WIDE
from lsstpipe.registry.schema import NARROW, WORDS, pack_checksum, unpack_checksum


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


class Checksum(sa.types.TypeDecorator[str]):
    """``algorithm:hexdigest`` as a byte for the algorithm and the bytes of the digest."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> bytes | None:
        """Give the database what it stores."""
        return None if value is None else pack_checksum(value)

    def process_result_value(self, value: bytes | None, dialect: sa.Dialect) -> str | None:
        """Spell what the database stored."""
        return None if value is None else unpack_checksum(bytes(value))


# By bytes, as SQLite and Python sort: the order of results must not depend on a server's locale.
Text = sa.String().with_variant(sa.String(collation="C"), "postgresql")

METADATA = sa.MetaData()

schema_version = sa.Table(
    "schema_version", METADATA, sa.Column("version", sa.Integer, nullable=False)
)

collection = sa.Table(
    "collection",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", Text, nullable=False, unique=True),
    sa.Column("kind", Text, nullable=False),
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
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("name", Text, nullable=False, unique=True),
    sa.Column("dimensions", Text, nullable=False),
)

document = sa.Table(
    "document",
    METADATA,
    sa.Column("digest", Text, primary_key=True),
    sa.Column("kind", Text, nullable=False),
    sa.Column("text", Text, nullable=False),
    comment="Configurations and environments by the digest that quanta name.",
)

quantum = sa.Table(
    "quantum",
    METADATA,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("run_id", sa.ForeignKey("collection.id"), nullable=False),
    sa.Column("stage", Text, nullable=False),
    sa.Column("task", Text, nullable=False),
    sa.Column("chunk", Text, nullable=False),
    sa.Column("data_id", Text, nullable=False),
    sa.Column("status", Text, nullable=False),
    sa.Column("message", Text, nullable=False),
    sa.Column("wall_s", sa.Double, nullable=False),
    sa.Column("cpu_s", sa.Double, nullable=False),
    sa.Column("max_rss_mb", sa.Double, nullable=False),
    sa.Column("bytes_read", sa.BigInteger, nullable=False),
    sa.Column("bytes_written", sa.BigInteger, nullable=False),
    sa.Column("host", Text, nullable=False),
    sa.Column("started_mjd", sa.Double, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("config_digest", Text, nullable=False),
    sa.Column("code_version", Text, nullable=False),
    sa.Column("environment", Text, nullable=False),
)

dataset = sa.Table(
    "dataset",
    METADATA,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("quantum_id", sa.ForeignKey("quantum.id"), nullable=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    *(sa.Column(name, sa.BigInteger) for name in WIDE),
    sa.Column("run_id", sa.ForeignKey("collection.id"), nullable=False),
    *(sa.Column(name, sa.Integer) for name in NARROW),
    sa.Column("type_id", sa.SmallInteger, sa.ForeignKey("dataset_type.id"), nullable=False),
    *(sa.Column(name, Text) for name in WORDS),
    sa.Column("checksum", Checksum, nullable=False),
    sa.Column("path", Text, comment="null where it is the one that its type spells"),
    sa.Index("dataset_by_quantum", "quantum_id"),
    sa.Index("dataset_by_type", "type_id", "run_id"),
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
    sa.Column("instrument", Text, primary_key=True),
    sa.Column("exposure", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("detector", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("physical_filter", Text, nullable=False),
    sa.Column("band", Text, nullable=False),
    sa.Column("observation_type", Text, nullable=False),
    sa.Column("target", Text, nullable=False),
    sa.Column("exposure_time_s", sa.Double, nullable=False),
    sa.Column("dark_time_s", sa.Double, nullable=False),
    sa.Column("mid_mjd", sa.Double, nullable=False),
    sa.Column("ra_deg", sa.Double, comment="null where it is not known, as are the next"),
    sa.Column("dec_deg", sa.Double),
    sa.Column("airmass", sa.Double),
    sa.Column("rotation_deg", sa.Double),
    sa.Column("region", sa.LargeBinary, comment="corners: ra, dec in degrees, float64, <"),
    # Where the raw is not there: a dataset that was made of it.
    sa.Column("raw_id", sa.ForeignKey("dataset.id"), nullable=False),
    sa.Index("exposure_by_raw", "raw_id"),
    sa.Index("exposure_by_time", "mid_mjd"),
)


patch_region = sa.Table(
    "patch_region",
    METADATA,
    sa.Column("skymap", Text, primary_key=True),
    sa.Column("tract", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("patch", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("region", sa.LargeBinary, nullable=False, comment="as in exposure"),
)


def place_indexes() -> list[sa.Index]:
    """Describe the indexes of datasets by visit, by exposure and by patch.

    Made when tables are made: the description alone imports what only PostgreSQL needs.
    """
    indexes = []
    places = {
        "visit": ("visit", "detector"),
        "exposure": ("exposure", "detector"),
        "patch": ("tract", "patch"),
    }
    for place, names in places.items():
        condition = dataset.c[names[0]].is_not(None)
        index = sa.Index(
            f"dataset_by_{place}",
            *(dataset.c[name] for name in names),
            sqlite_where=condition,
            postgresql_where=condition,
        )
        # It belongs to a database, not to the description of the table that all share.
        dataset.indexes.discard(index)
        indexes.append(index)
    return indexes
