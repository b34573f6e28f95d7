"""The table of the registry benchmark: its rows, and the bars that lsstpipe must hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from _registry_meter import N_VISITS

Row = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A line of the table: a figure of both sides, and the bar that ours must hold."""

    name: str
    where: tuple[str, ...]
    bar: float | None = None
    is_floor: bool = False

    def value(self, results: dict[str, Row] | None) -> float | None:
        """Look the figure up."""
        found: Any = results
        for key in self.where:
            found = found.get(key) if isinstance(found, dict) else None
        return None if found is None else float(found)

    def holds(self, value: float) -> bool:
        """Tell whether a figure of ours holds the bar."""
        if self.bar is None:
            return True
        return value >= self.bar if self.is_floor else value <= self.bar


LINES = (
    Line("put with its file, client CPU ms", ("put", "client_cpu_ms"), 1.2),
    Line("  of it the system calls of the file", ("files", "client_cpu_ms")),
    Line("put with its file, server CPU ms", ("put", "server_cpu_ms")),
    Line("put with its file, wall ms", ("put", "wall_ms")),
    Line("put, round trips", ("trips", "put"), 3),
    Line("register one, client CPU ms", ("put", "register", "client_cpu_ms"), 1.2),
    Line("register one, server CPU ms", ("put", "register", "server_cpu_ms")),
    Line("8 writers with files, errors", ("writers", "errors"), 0),
    Line("8 writers with files, /s of 2 cores", ("writers", "core_rate"), 1500, is_floor=True),
    Line("8 writers with files, wall /s", ("writers", "wall_per_s")),
    Line("  unsynced as the peer's, errors", ("unsynced", "errors"), 0),
    Line("  unsynced as the peer's, /s of 2 cores", ("unsynced", "core_rate")),
    Line("8 registrars, errors", ("registrars", "errors"), 0),
    Line("8 registrars, /s of 2 cores", ("registrars", "core_rate"), 1500, is_floor=True),
    Line("8 registrars, wall /s", ("registrars", "wall_per_s")),
    Line("ingest in bulk, /s of CPU", ("ingest", "core_rate"), 10_000, is_floor=True),
    Line("ingest in bulk, wall /s", ("ingest", "wall_rate")),
    Line("import in bulk, /s of CPU", ("ingest", "import", "core_rate")),
    Line("ingest, memory before, MB", ("ingest", "memory_before_mb")),
    Line("ingest, growth to its peak, MB", ("ingest", "growth_mb"), 100),
    Line("bytes a dataset with indexes", ("ingest", "bytes_per_dataset"), 350),
    Line("find, client CPU ms", ("find", "client_cpu_ms"), 1.0),
    Line("find, server CPU ms", ("find", "server_cpu_ms")),
    Line("find, wall ms", ("find", "wall_ms")),
    Line("find, round trips", ("trips", "find")),
    Line("visits x patches, rows", ("overlap", "rows")),
    Line("visits x patches, CPU s", ("overlap", "cpu_s"), 0.1),
    Line("visits x patches, wall s", ("overlap", "wall_s")),
    Line("import and open, CPU s", ("cold", "cpu_s"), 0.35),
    Line("import and open, wall s", ("cold", "wall_s")),
    Line("import and open, memory MB", ("cold", "peak_memory_mb"), 60),
    Line("import, open and find, CPU s", ("cold find", "cpu_s"), 0.35),
    Line("import, open and find, memory MB", ("cold find", "peak_memory_mb"), 60),
    Line("import, open and query, CPU s", ("cold query", "cpu_s")),
    Line("  of it sqlalchemy and psycopg2, CPU s", ("packages", "cpu_s")),
    Line("import, open and query, memory MB", ("cold query", "peak_memory_mb")),
    Line("collect 300 quanta, statements", ("statements", "collect 300"), 30),
    Line("collect 27000 quanta, statements", ("statements", "collect 27000"), 30),
    Line("plan 2 visits, statements", ("statements", "plan 2"), 30),
    Line(f"plan {N_VISITS} visits, statements", ("statements", f"plan {N_VISITS}"), 30),
)


def print_table(ours: dict[str, Row], peer: dict[str, Row] | None) -> bool:
    """Print the table; tell whether all bars hold."""
    holds_all = True
    print(f"{'':<38}{'lsstpipe':>12}{'daf_butler':>12}{'bar':>12}")
    for line in LINES:
        value, other = line.value(ours), line.value(peer)
        assert value is not None or line.where[-2:] == ("import", "core_rate"), line.name
        holds = value is None or line.holds(value)
        holds_all &= holds
        bar = "" if line.bar is None else f"{'>=' if line.is_floor else '<='} {line.bar:g}"
        cells = ["-" if v is None else f"{v:.4g}" for v in (value, other)]
        print(f"{line.name:<38}{cells[0]:>12}{cells[1]:>12}{bar:>12}", "" if holds else "  MISSED")
    return holds_all
