"""Where a campaign keeps what is not a dataset: plan, manifests, logs."""

from __future__ import annotations

from pathlib import Path

SCHEMA_VERSION = 2
"""Version of the files of a plan."""

INGEST_CHUNK = "all"
SHARDS = "shards"
"""Folder of the shards within that of a plan."""


def plan_folder(repo: str | Path) -> Path:
    """Folder of the plan of a repository."""
    return Path(repo) / "plan"


def table_folder(plan: str | Path, shard: str) -> Path:
    """Folder of the tables of a shard of a plan; of the plan itself where it has no shards."""
    return Path(plan) / SHARDS / shard if shard else Path(plan)


def manifest_path(repo: str | Path, stage: str, chunk: str) -> Path:
    """Manifest of a chunk."""
    return Path(repo) / "manifests" / stage / f"{chunk}.json"


def ingest_manifest_path(repo: str | Path) -> Path:
    """Manifest of the ingest."""
    return manifest_path(repo, "ingest", INGEST_CHUNK)


def log_path(repo: str | Path, stage: str, chunk: str) -> Path:
    """Log of a chunk."""
    return Path(repo) / "logs" / stage / f"{chunk}.log"
