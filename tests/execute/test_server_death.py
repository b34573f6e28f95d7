"""Server and processes die at random instants while a campaign runs: registry and files agree."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_campaign as fake
import numpy as np
import pytest

from lsstpipe.butler import Butler, ProductStore
from lsstpipe.execute.collect import collect
from lsstpipe.execute.manifest import read_manifest
from lsstpipe.execute.orphans import find_orphans
from lsstpipe.execute.sweep import sweep
from lsstpipe.plan.layout import manifest_path
from lsstpipe.plan.read import open_plan
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.registry import Registry
from lsstpipe.repository import Repository, registry_url
from tests.postgres_server import PostgresServer, find_program

N_ROUNDS = 10
"""In each the server is killed, and one of the processes that use it."""

_LONG_WAIT_S = 120.0
_SLOW: dict[str, Any] = {
    "visit": {"halve": {"sleep_s": 0.15}, "square": {"sleep_s": 0.15}},
    "visits_per_chunk": 2,
}

_FOLLOW = """
import sys
import fake_campaign as fake
from lsstpipe.execute.collect import follow
from lsstpipe.plan.read import open_plan
print("ready", flush=True)
follow(open_plan(sys.argv[1] + "/plan", fake.STAGES), 0.05)
"""

_WORK = """
import sys
import fake_campaign as fake
from lsstpipe.plan.read import open_plan
print("ready", flush=True)
fake.run_all(open_plan(sys.argv[1] + "/plan", fake.STAGES))
"""

# One that was killed does the last that it did not tell of again.
_PUT = """
import sys
from pathlib import Path
from typing import Any
from lsstpipe.butler import Butler
repo = Path(sys.argv[1])
said = repo / "said.txt"
print("ready", flush=True)
with Butler(repo, run="puts") as butler, said.open("a+") as file:
    file.seek(0)
    n = len(file.read())
    while not (repo / "stop").exists():
        butler.put({"n": n}, "visit_detector_summary", instrument="st10", visit=n, detector=0)
        file.write(".")
        file.flush()
        n += 1
"""

_PROGRAMS = {"follower 1": _FOLLOW, "follower 2": _FOLLOW, "jobs": _WORK, "writer": _PUT}


class Cast:
    """The processes of a campaign, which may be killed and started again."""

    def __init__(self, repo: Path, rng: np.random.Generator) -> None:
        self._repo, self._rng = repo, rng
        paths = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]
        self._environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        for name in _PROGRAMS:
            self.start(name)

    def start(self, name: str) -> None:
        """Start one, or start it again where it was killed."""
        command = [sys.executable, "-c", _PROGRAMS[name], str(self._repo)]
        with (self._repo / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, env=self._environment, stdout=subprocess.PIPE, stderr=log
            )

    def kill(self, name: str) -> bool:
        """Kill one once it works; tell whether it ran."""
        process = self._running[name]
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(float(self._rng.uniform(0.0, 0.3)))
        process.kill()
        process.communicate()
        return process.returncode < 0

    def finish(self) -> None:
        """Let all come to their end, which must be a good one."""
        for name in ("jobs", "follower 1", "follower 2", "writer"):
            if name == "writer":
                (self._repo / "stop").touch()
            self._running[name].communicate(timeout=_LONG_WAIT_S)
            log = (self._repo / f"{name}.log").read_text()
            assert self._running[name].returncode == 0, f"{name}: {log}"

    def end(self) -> None:
        """Leave none, whatever happened."""
        for process in self._running.values():
            process.kill()
            process.communicate()


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    if find_program("postgres") is None:
        pytest.skip("PostgreSQL is not installed; envs/debian.txt names its package")
    server = PostgresServer({"max_connections": "30"})
    try:
        server.start()
        yield server
    finally:
        server.remove()


def test_registry_and_files_agree_after_deaths_of_server_and_processes(
    tmp_path: Path, server: PostgresServer, rng: np.random.Generator
) -> None:
    Butler.create(tmp_path, settings=Repository(server.create_database()))
    plan = fake.make_plan(tmp_path, 30, **_SLOW)
    cast = Cast(tmp_path, rng)
    n_killed = 0
    try:
        for _ in range(N_ROUNDS):
            victim = str(rng.choice(list(_PROGRAMS)))
            dies_first = bool(rng.integers(2))
            was_killed = dies_first and cast.kill(victim)
            time.sleep(float(rng.uniform(0.0, 0.1)))
            server.kill()
            if not dies_first:
                was_killed = cast.kill(victim)
            server.start()
            n_killed += was_killed
            cast.start(victim)
        cast.finish()
    finally:
        cast.end()
    assert n_killed >= N_ROUNDS // 2  # the others had done all that they had to
    collect(open_plan(plan.folder, fake.STAGES))
    sweep(tmp_path)
    named = {
        file.id: file
        for stage, chunks in plan.chunks.items()
        for chunk in chunks
        for entry in read_manifest(manifest_path(plan.campaign.repo, stage, chunk)).quanta
        for file in entry.files
    }
    found = _datasets_of(tmp_path)
    assert len(found) == len({(r.dataset_type, r.data_id, r.run) for r in found})
    assert {r.id: r for r in found if r.run == "fake"} == named
    assert len(named) == 31
    n_put = len((tmp_path / "said.txt").read_text())
    assert sorted(r.data_id.integer("visit") for r in found if r.run == "puts") == [*range(n_put)]
    assert n_put > N_ROUNDS
    assert all(ProductStore(tmp_path).verify(record) for record in found)
    # The sky map was written for this test and is named by nobody.
    assert [path.parent.name for path in find_orphans(tmp_path, 0.0)] == ["skymap"]
    assert [p for p in tmp_path.rglob("*") if p.suffix in {".tmp", ".partial"}] == []


def _datasets_of(repo: Path) -> list[DatasetRecord]:
    with Registry.open(registry_url(repo)) as registry:
        return registry.query_datasets()
