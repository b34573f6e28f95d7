"""SIGKILL at any instant leaves no damage."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fake_campaign as fake
import numpy as np

from lsstpipe.butler import ProductStore
from lsstpipe.errors import RepositoryError
from lsstpipe.execute.collect import collect
from lsstpipe.execute.sweep import sweep
from lsstpipe.plan.read import PlanIndex, open_plan
from lsstpipe.registry.registry import Registry
from lsstpipe.repository import registry_url

_SLOW = {"visit": {"halve": {"sleep_s": 0.02}, "square": {"sleep_s": 0.02}}, "visits_per_chunk": 8}


def _start(repo: Path) -> subprocess.Popen[bytes]:
    script = str(Path(__file__).with_name("fake_campaign.py"))
    command = [sys.executable, script, str(repo / "plan"), "visit", "visit_summary"]
    # The package of this checkout, whether it is installed or not.
    paths = {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(command, env=os.environ | paths, stderr=subprocess.PIPE)


def test_products_are_bit_identical_after_kills_at_random_instants(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    fake.run_all(fake.make_plan(tmp_path / "calm", 8, **_SLOW))
    repo = tmp_path / "hurt"
    plan = fake.make_plan(repo, 8, **_SLOW)
    n_killed = 0
    for _ in range(5):
        process = _start(repo)
        journal = repo / "manifests" / "visit"
        while not list(journal.glob("*.partial")) and process.poll() is None:
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0.0, 0.25)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        n_killed += process.returncode == -signal.SIGKILL
    process = _start(repo)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    assert n_killed > 0
    assert fake.products(repo) == fake.products(tmp_path / "calm")
    sweep(repo)
    left = [p for p in repo.rglob("*") if p.suffix in {".tmp", ".partial"}]
    assert left == []
    collect(open_plan(plan.folder, fake.STAGES))
    with Registry.open(registry_url(repo)) as registry:
        records = registry.query_datasets("visit_detector_summary")
    assert len(records) == 8
    assert all(ProductStore(repo).verify(record) for record in records)


def test_two_jobs_of_one_chunk_wait_for_each_other(tmp_path: Path) -> None:
    plan = fake.make_plan(tmp_path, 4, **_SLOW)
    jobs = [_start(tmp_path), _start(tmp_path)]
    errors = [job.communicate()[1].decode() for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], errors
    calm = fake.make_plan(tmp_path / "calm", 4, **_SLOW)
    fake.run_all(calm)
    assert fake.products(tmp_path) == fake.products(tmp_path / "calm")
    assert open_plan(plan.folder, fake.STAGES).digest == plan.digest


_PLANNER = """
import itertools, sys
from pathlib import Path
import fake_campaign as fake
print("ready", flush=True)
for n in itertools.count():
    fake.make_plan(Path(sys.argv[1]), 4 + n % 3)
"""


def test_a_planner_that_is_killed_leaves_a_whole_plan_or_none(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    whole = {}
    for n_visits in (4, 5, 6):
        plan = fake.make_plan(tmp_path / "hurt", n_visits)
        whole[plan.digest] = n_visits
    folder = str(Path(__file__).parent)
    paths = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), folder])}
    for _ in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", _PLANNER, str(tmp_path / "hurt")],
            env=os.environ | paths,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(float(rng.uniform(0.0, 0.1)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        try:
            plan = open_plan(tmp_path / "hurt" / "plan", fake.STAGES)
        except RepositoryError as error:
            assert "holds no plan" in str(error)  # noqa: PT017  (it may also open)
            continue
        index = PlanIndex(plan)
        n_quanta = sum(
            len(index.chunk(stage, name).quanta)
            for stage, chunks in plan.chunks.items()
            for name in chunks
        )
        assert n_quanta == 2 * whole[plan.digest] + 1
    plan = fake.make_plan(tmp_path / "hurt", 4)
    fake.run_all(plan)
    fake.run_all(fake.make_plan(tmp_path / "calm", 4))
    assert fake.products(tmp_path / "hurt") == fake.products(tmp_path / "calm")
