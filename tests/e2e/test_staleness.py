"""What runs again after a change, and what does not."""

from __future__ import annotations

import shutil

import pytest
from small_campaign import Project, frame, ran_again

pytestmark = pytest.mark.xdist_group("e2e")


def _times(project: Project) -> dict[str, int]:
    folder = project.repo / "manifests"
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.glob("*/*.json")}


def test_nothing_runs_where_nothing_changed(finished: Project) -> None:
    before = _times(finished)
    assert "Nothing to be done" in finished.snakemake()
    assert _times(finished) == before


def test_coadd_setting_runs_the_coadd_and_what_follows_again(finished: Project) -> None:
    before, times = finished.quanta(), _times(finished)
    finished.write(coadd={"warp": {"kernel_order": 4}})
    assert not finished.status()["plan_is_current"]
    finished.snakemake()
    written = {path.split("/")[0] for path, time in _times(finished).items() if time != times[path]}
    assert written == {"coadd", "object", "forced", "tables", "report"}
    tasks = {"warp", "assemble", "object", "forced", "tables", "metrics"}
    assert ran_again(before, finished.quanta()) == tasks
    status = finished.status()
    assert status["plan_is_current"]
    assert not any(stage["stale"] for stage in status["stages"].values())


def test_new_light_changes_the_flat_but_not_the_dark(finished: Project) -> None:
    before = finished.quanta("calibs")
    shutil.copy(frame("228"), finished.folder / "data")
    finished.snakemake("calibs")
    after = finished.quanta("calibs")
    assert ran_again(before, after) == {"flat"}
    n_inputs = {q["task"]: len(q["inputs"]) for q in before.values()}
    flat = next(quantum for quantum in after.values() if quantum["task"] == "flat")
    assert len(flat["inputs"]) == n_inputs["flat"] + 1
    visit = finished.status()["stages"]["visit"]
    assert visit["stale"] or visit["waiting"], "the new visit has not run"
    assert finished.status()["stages"]["visit"]["stale"], "the others have another flat now"


def test_new_light_with_the_calibrations_of_before_runs_its_own_visit_only(
    finished: Project,
) -> None:
    before = finished.quanta("visit")
    products = finished.products("visit_image", "source")
    shutil.copy(frame("228"), finished.folder / "data")
    finished.write(skip={"calibs": "those of the night are certified"})
    finished.snakemake("visit")
    after = finished.quanta("visit")
    new = {key for key in after if key not in before}
    assert len(new) == 2, "isr and calibrate of one visit"
    unchanged = {key: quantum["started_mjd"] for key, quantum in before.items()}
    assert {key: after[key]["started_mjd"] for key in before} == unchanged
    assert products.items() < finished.products("visit_image", "source").items()


def test_product_deleted_by_hand_is_missed_and_made_again(finished: Project) -> None:
    before, products = finished.quanta(), finished.products()
    lost = finished.repo / "small" / next(p for p in products if p.startswith("object/"))
    lost.unlink()
    stale = {name for name, stage in finished.status()["stages"].items() if stage["stale"]}
    assert stale == {"object", "forced", "tables", "report"}
    made = finished.lsstpipe("run", "object", "--plan", "repo/plan")
    assert made.returncode == 0, made.stderr
    again = [
        k for k, q in finished.quanta().items() if q["started_mjd"] != before[k]["started_mjd"]
    ]
    assert len(again) == 1
    assert finished.products() == products
    assert not any(stage["stale"] for stage in finished.status()["stages"].values())
