"""The chunks of a plan as the workflow reads them: no heavy import, read anew when they change."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

COLUMNS = (
    *("stage", "chunk", "upstream", "n_quanta", "cpu_s", "mem_mb", "runtime", "digest", "shard"),
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one job runs.

    Attributes
    ----------
    stage, name
        Which.
    upstream
        Stage and name of each chunk whose products it reads.
    n_quanta
        How many quanta it holds.
    cpu_s, mem_mb, runtime_min
        What it is expected to take: CPU seconds, memory, minutes with reserve.
    digest
        Digest of its settings and of those inputs that no chunk makes.
    shard
        Name of the shard whose tables have its quanta; empty where the plan has no shards.
    """

    stage: str
    name: str
    upstream: tuple[tuple[str, str], ...]
    n_quanta: int
    cpu_s: float
    mem_mb: int
    runtime_min: int
    digest: str
    shard: str = ""


def runtime_minutes(cpu_s: float) -> int:
    """Time to ask for: four times what is expected, and at least five minutes."""
    return max(5, round(4 * cpu_s / 60))


def read_chunks(path: str | Path) -> dict[str, dict[str, Chunk]]:
    """Read the chunks of a plan: by stage, by name, in the order of the plan.

    Parameters
    ----------
    path
        ``chunks.tsv`` of the plan.
    """
    path = Path(path)
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _read(path: Path, mtime_ns: int) -> dict[str, dict[str, Chunk]]:
    """Read the file; the time of its last change is part of the cache's key."""
    chunks: dict[str, dict[str, Chunk]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            upstream = tuple(
                (stage, name)
                for stage, _, name in (u.partition("/") for u in row["upstream"].split(",") if u)
            )
            chunk = Chunk(
                row["stage"],
                row["chunk"],
                upstream,
                int(row["n_quanta"]),
                float(row["cpu_s"]),
                int(row["mem_mb"]),
                int(row["runtime"]),
                row["digest"],
                row.get("shard", ""),
            )
            chunks.setdefault(chunk.stage, {})[chunk.name] = chunk
    return chunks


def write_chunks(chunks: list[Chunk]) -> str:
    """Spell the content of ``chunks.tsv``.

    Parameters
    ----------
    chunks
        The chunks in the order of the plan.
    """
    lines = ["\t".join(COLUMNS)]
    for c in chunks:
        upstream = ",".join(f"{stage}/{name}" for stage, name in c.upstream)
        values = (c.stage, c.name, upstream, c.n_quanta, f"{c.cpu_s:.1f}", c.mem_mb, c.runtime_min)
        lines.append("\t".join([*map(str, values), c.digest, c.shard]))
    return "\n".join(lines) + "\n"
