"""Where a campaign keeps what is not a dataset: plan, manifests, logs, its lock."""

from __future__ import annotations

import hashlib
from pathlib import Path

SCHEMA_VERSION = 2
"""Version of the files of a plan."""

INGEST_CHUNK = "all"
SHARDS = "shards"
"""Folder of the shards within that of a plan."""


def plan_folder(repo: str | Path) -> Path:
    """Folder of the plan of a repository."""
    return Path(repo) / "plan"


def planned_path(plan: str | Path) -> Path:
    """File that says to the workflow that a plan was made, or that the one that is there stands."""
    return Path(plan) / "planned"


def table_folder(plan: str | Path, shard: str) -> Path:
    """Folder of the tables of a shard of a plan; of the plan itself where it has no shards."""
    return Path(plan) / SHARDS / shard if shard else Path(plan)


def manifest_path(repo: str | Path, stage: str, chunk: str) -> Path:
    """Manifest of a chunk."""
    return Path(repo) / "manifests" / stage / f"{chunk}.json"


def pilot_path(repo: str | Path, stage: str, pilot: str) -> Path:
    """File that says that a pilot has run all of its chunks."""
    return Path(repo) / "pilots" / stage / f"{pilot}.done"


def ingest_manifest_path(repo: str | Path) -> Path:
    """Manifest of the ingest."""
    return manifest_path(repo, "ingest", INGEST_CHUNK)


def publication_path(repo: str | Path) -> Path:
    """File that says what was published, and where."""
    return Path(repo) / "published.json"


def log_path(repo: str | Path, stage: str, chunk: str) -> Path:
    """Log of a chunk."""
    return Path(repo) / "logs" / stage / f"{chunk}.log"


def lock_path(repo: str | Path) -> Path:
    """File that the one Snakemake on a repository has locked."""
    return Path(repo) / ".lock"


def paused_path(repo: str | Path) -> Path:
    """File with the names of the stages that are paused."""
    return Path(repo) / "paused"


def job_prefix(campaign: str, repo: str | Path) -> str:
    """Begin of the names of all jobs of Slurm on a repository: a person reads it.

    Parameters
    ----------
    campaign
        Name of the campaign.
    repo
        Its repository: another one of the same campaign has other jobs.
    """
    place = hashlib.sha256(str(Path(repo).resolve()).encode()).hexdigest()[:6]
    return f"{campaign}-{place}_"
