"""Pilots: jobs that run many small chunks, with a Snakemake of their own inside the job.

A job of Slurm costs seconds of processor before it does anything; a chunk within a pilot costs a
few hundredths. Like `lsstpipe.plan.chunks` this is for the workflow: no heavy import.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lsstpipe.plan.chunks import Chunk, read_chunks, runtime_minutes

_BASE_MB = 150
"""Memory of the Snakemake inside a pilot, MB."""


@dataclass(frozen=True, slots=True)
class Pilot:
    """A job that runs chunks of one stage.

    Attributes
    ----------
    job
        What it takes as a whole.
    chunks
        Names of the chunks, in the order of the plan.
    """

    job: Chunk
    chunks: tuple[str, ...]


def read_submission(campaign: str | Path) -> dict[str, Any]:
    """Read how chunks become jobs.

    Parameters
    ----------
    campaign
        ``campaign.json`` of the plan, with the section ``submission``.
    """
    return _read_submission(Path(campaign), Path(campaign).stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _read_submission(path: Path, mtime_ns: int) -> dict[str, Any]:
    """Read the section; the time of the file's last change is part of the cache's key."""
    section: dict[str, Any] = json.loads(path.read_bytes())["submission"]
    return section


@dataclass(frozen=True, slots=True)
class Pilots:
    """The pilots of a stage.

    Attributes
    ----------
    by_name
        Each by its name; none where each chunk of the stage is a job.
    of_chunk
        Name of the pilot of each chunk.
    """

    by_name: dict[str, Pilot]
    of_chunk: dict[str, str]


def read_pilots(chunks: str | Path, campaign: str | Path, stage: str) -> Pilots:
    """Find the pilots of a stage.

    Parameters
    ----------
    chunks, campaign
        ``chunks.tsv`` and ``campaign.json`` of the plan.
    stage
        The stage.
    """
    times = (Path(chunks).stat().st_mtime_ns, Path(campaign).stat().st_mtime_ns)
    return _read_pilots(Path(chunks), Path(campaign), stage, times)


@lru_cache(maxsize=16)
def _read_pilots(chunks: Path, campaign: Path, stage: str, times: tuple[int, int]) -> Pilots:
    """Group the chunks; the times of the last changes are part of the cache's key."""
    section = read_submission(campaign)
    if stage not in section["pilot_stages"]:
        return Pilots({}, {})
    own = read_chunks(chunks).get(stage, {}).values()
    found = group_chunks(own, section["pilot_minutes"], section["pilot_cores"])
    of_chunk = {name: pilot.job.name for pilot in found for name in pilot.chunks}
    return Pilots({pilot.job.name: pilot for pilot in found}, of_chunk)


def group_chunks(chunks: Iterable[Chunk], minutes: float, n_cores: int) -> list[Pilot]:
    """Cut the chunks of a stage into pilots, in their order.

    Parameters
    ----------
    chunks
        Chunks of one stage, which do not wait for each other.
    minutes
        How long a pilot should take at most, minutes; one chunk may take longer.
    n_cores
        How many chunks a pilot runs at the same time.
    """
    most_s = 60.0 * minutes * n_cores
    groups: list[list[Chunk]] = []
    left_s = 0.0
    for chunk in chunks:
        if not groups or chunk.cpu_s > left_s:
            groups.append([])
            left_s = most_s
        groups[-1].append(chunk)
        left_s -= chunk.cpu_s
    return [_join(group, n_cores) for group in groups]


def _join(group: list[Chunk], n_cores: int) -> Pilot:
    """Describe the job that runs some chunks."""
    names = tuple(chunk.name for chunk in group)
    wall_s = max(sum(c.cpu_s for c in group) / n_cores, *(c.cpu_s for c in group))
    upstream = dict.fromkeys(other for chunk in group for other in chunk.upstream)
    text = "\n".join(f"{chunk.name} {chunk.digest}" for chunk in group)
    job = Chunk(
        stage=group[0].stage,
        # With another number of chunks it is another job, which looks again what is to be done.
        name=f"{names[0]}+{len(names) - 1}",
        upstream=tuple(upstream),
        n_quanta=sum(chunk.n_quanta for chunk in group),
        cpu_s=wall_s,
        mem_mb=n_cores * max(chunk.mem_mb for chunk in group) + _BASE_MB,
        runtime_min=runtime_minutes(wall_s),
        digest=hashlib.blake2b(text.encode(), digest_size=16).hexdigest(),
    )
    return Pilot(job, names)
