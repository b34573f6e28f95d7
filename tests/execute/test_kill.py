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

from lsstpipe.butler import ProductStore, registry_url
from lsstpipe.execute.collect import collect
from lsstpipe.execute.sweep import sweep
from lsstpipe.plan.read import open_plan
from lsstpipe.registry.registry import Registry

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
