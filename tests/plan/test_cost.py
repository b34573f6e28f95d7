"""Costs learnt from a registry, and chunks that follow from them."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest

from lsstpipe.butler import Butler
from lsstpipe.config import Campaign
from lsstpipe.data_model import DataId
from lsstpipe.errors import RepositoryError
from lsstpipe.instruments import get_camera
from lsstpipe.plan.chunking import assign_chunks, make_chunks
from lsstpipe.plan.cost import (
    ChunkSize,
    CostModel,
    TaskCost,
    chunk_size,
    cost_path,
    fit_to_pixels,
    learn_costs,
    read_costs,
    write_costs,
)
from lsstpipe.registry.records import QuantumRecord
from lsstpipe.registry.registry import Registry
from lsstpipe.repository import registry_url
from lsstpipe.stages import STAGES
from tests.plan.made_up import build, campaign_of, mosaic


def quantum(task: str, cpu_s: float, status: str = "done", **data_id: int | str) -> QuantumRecord:
    return QuantumRecord(
        id=uuid.uuid4(), run="main", stage="visit", task=task, chunk="c", data_id=DataId(data_id),
        status=status, message="", wall_s=2 * cpu_s, cpu_s=cpu_s, max_rss_mb=100 * cpu_s,
        bytes_read=0, bytes_written=int(1e6 * cpu_s), host="here", started_mjd=60000.0, attempt=1,
        config_digest="", code_version="", environment="", inputs=(), outputs=(),
    )  # fmt: skip


def test_what_most_quanta_take_is_learnt_and_kept(tmp_path: Path) -> None:
    Butler.create(tmp_path)
    records = [quantum("isr", cpu_s, instrument="st10", visit=i, detector=0)
               for i, cpu_s in enumerate([1.0, 2.0, 3.0, 4.0, 1000.0])]  # fmt: skip
    records += [quantum("isr", 50.0, instrument="hsc", visit=1, detector=0)] * 1
    records += [quantum("isr", 0.0, "flagged", instrument="st10", visit=9, detector=0)]
    records += [quantum("assemble", 7.0, skymap="sky", tract=0, patch=0, band="r")]
    with Registry.open(registry_url(tmp_path)) as registry:
        registry.load([], records)
    model = learn_costs(registry_url(tmp_path), "st10")
    assert model.of("isr").cpu_s == 3.0
    assert model.of("isr").n_quanta == 5
    assert model.of("isr").written_mb == 3.0
    assert model.of("isr").memory_mb == pytest.approx(80_080.0)
    assert model.of("assemble").cpu_s == 7.0
    assert model.of("warp") == CostModel().of("warp")
    write_costs(tmp_path, model)
    assert read_costs(tmp_path) == model


def test_a_repository_that_learnt_nothing_has_the_defaults(tmp_path: Path) -> None:
    assert read_costs(tmp_path) == CostModel()
    cost_path(tmp_path).write_text('{"tasks": 3}')
    with pytest.raises(RepositoryError, match=r"cost.json is no file of costs"):
        read_costs(tmp_path)


# Peak of a job in MB, as `lsstpipe status --resources` had it: of TrES-1, ci_small and ci_hsc.
_SEEN = {
    ("st10", 560, 740): {"flat": (24, 577), "calibrate": (2, 397), "assemble": (24, 882),
                         "object": (3, 356), "forced": (5, 379)},
    ("simcam_small", 800, 800): {"flat": (10, 673), "calibrate": (2, 507), "assemble": (10, 770),
                                 "object": (5, 416), "forced": (5, 349)},
    ("hsc", 4200, 4200): {"flat": (20, 1880), "calibrate": (2, 1030), "assemble": (6, 5273)},
}  # fmt: skip


@pytest.mark.parametrize("case", _SEEN)
def test_the_first_job_of_a_task_asks_for_what_it_takes(case: tuple[str, int, int]) -> None:
    camera, ny, nx = case
    sky = campaign_of().skymap.model_dump(mode="json")
    sky |= {"border_pix": 100, "patch_inner_y": ny - 200, "patch_inner_x": nx - 200}
    model = fit_to_pixels(CostModel(), campaign_of(instrument=camera, skymap=sky))
    for task, (n_inputs, peak) in _SEEN[case].items():
        (asked,) = model.memory_mb(task, np.array([n_inputs]))
        assert peak < asked < 2 * peak, (task, asked)


def test_a_chunk_is_the_largest_power_of_two_that_fits_its_time() -> None:
    stage = STAGES["visit"]
    model = CostModel({"isr": TaskCost(10.0, 500.0), "calibrate": TaskCost(20.0, 500.0)})
    sizes = {
        (camera, minutes): chunk_size(
            stage, campaign_of(instrument=camera, target_minutes=minutes), model
        )
        for camera, minutes in [("st10", 10.0), ("st10", 0.1), ("hsc", 10.0), ("hsc", 120.0)]
    }
    assert sizes == {
        ("st10", 10.0): ChunkSize(16),  # 19 visits of 30 s would fit
        ("st10", 0.1): ChunkSize(1, 0),
        ("hsc", 10.0): ChunkSize(1, 4),  # 19 of 104 detectors
        ("hsc", 120.0): ChunkSize(2),  # 2 visits of 52 minutes
    }
    given = campaign_of(visits_per_chunk=3, target_minutes=10.0)
    assert chunk_size(stage, given, model) == ChunkSize(3)
    # As plans have it that were made before there was a default.
    given = campaign_of(visits_per_chunk=1, target_minutes=None)
    assert chunk_size(stage, given, model) == ChunkSize(1)


def test_a_job_of_the_default_size_bears_a_start_that_hardly_counts() -> None:
    # Measured by benchmarks/cluster_overhead.py: 1.1 CPU s a job, whatever it does.
    stage, default = STAGES["visit"], Campaign.model_fields["target_minutes"].default
    for camera in ("st10", "simcam", "hsc", "lsstcam"):
        campaign = campaign_of(instrument=camera, target_minutes=default)
        size = chunk_size(stage, campaign, CostModel())
        is_cut = size.detector_bits >= 0
        n = 2**size.detector_bits if is_cut else len(get_camera(camera).detectors) * size.visits
        assert 1.1 / (n * len(stage.tasks)) <= 0.01


def test_detectors_of_a_visit_are_cut_into_blocks_that_the_next_stage_waits_for() -> None:
    chosen = mosaic([(visit, detector) for visit in (3, 4) for detector in range(4)])
    campaign = campaign_of(instrument="simcam", target_minutes=1.2)
    model = CostModel({"isr": TaskCost(10.0, 500.0), "calibrate": TaskCost(20.0, 700.0)})
    quanta = build(chosen, instrument="simcam", target_minutes=1.2)
    chunks = make_chunks(quanta, campaign, assign_chunks(quanta, campaign, model), model)
    visits = [chunk for chunk in chunks if chunk.stage == "visit"]
    names = ["simcam_3_0-1", "simcam_3_2-3", "simcam_4_0-1", "simcam_4_2-3"]
    assert [chunk.name for chunk in visits] == names
    assert {(chunk.n_quanta, chunk.cpu_s, chunk.mem_mb) for chunk in visits} == {(4, 62.0, 700)}
    (summary,) = [chunk for chunk in chunks if chunk.stage == "visit_summary"]
    assert {name for stage, name in summary.upstream if stage == "visit"} == set(names)
