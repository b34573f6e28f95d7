"""A simulated survey from raws to the report: everything that was expected, and nothing else.

After Rubin's ``ci_hsc``: exact counts, every planned product made or its absence explained,
failures on purpose that stay where they are, and the truth that the simulation knows.
"""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from small_campaign import REPOSITORY, Json, Project

from lsstpipe.stages import STAGES

pytestmark = pytest.mark.xdist_group("e2e")

PRESET = os.environ.get("LSSTPIPE_SURVEY", "ci_small")
EXPECTED: Json = yaml.safe_load((Path(__file__).parent / f"survey_{PRESET}.yaml").read_text())

MAX_HSC_WALL_S = 20 * 60.0
"""On two cores, without the tests that look at what was made."""


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The survey, simulated and run from beginning to end. Look, do not touch.

    The first process that needs it makes it; the others wait for it and share it.
    """
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = root / "survey"
    with (root / "survey.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "survey.done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            with _told(folder, "in all"):
                _make(folder)
            (root / "survey.done").touch()
    return Project(folder, settings=_settings(folder))


def _make(folder: Path) -> None:
    """Simulate the survey and process it."""
    first = Project(folder, settings={"name": "simulate"})
    with _told(folder, "simulation"):
        made = first.lsstpipe("simulate", PRESET, "--to", "survey", "--jobs", "2")
    assert made.returncode == 0, made.stderr
    project = Project(folder, settings=_settings(folder))
    project.write()
    with _told(folder, "campaign"):
        project.snakemake()


@contextmanager
def _told(folder: Path, what: str) -> Iterator[None]:
    """Note what the processes that run meanwhile take."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    yield
    wall_s, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak_mb = after.ru_maxrss / 1024
    with (folder / "took.txt").open("a") as file:
        file.write(f"{what}: {wall_s:.0f} s wall, {cpu_s:.0f} s CPU, at most {peak_mb:.0f} MB\n")


def _settings(folder: Path) -> Json:
    """The campaign that the simulation wrote, with its repository where `Project` has it.

    Where a campaign for real frames of the same layout is published, that one, on these frames.
    """
    settings: Json = yaml.safe_load((folder / "survey" / "campaign.yaml").read_text())
    published = REPOSITORY / "config" / "campaigns" / f"{PRESET}.yaml"
    if published.exists():
        own = {name: settings[name] for name in ("raws", "reference_catalog")}
        settings = yaml.safe_load(published.read_text()) | own
    return settings | {"repo": "repo"}


@pytest.fixture(scope="module")
def records(survey: Project) -> list[Json]:
    """All datasets of the repository."""
    found: list[Json] = survey.json("query", "--repo", "repo", "--json")
    return found


def test_there_are_exactly_the_datasets_that_were_expected(records: list[Json]) -> None:
    assert dict(Counter(record["type"] for record in records)) == EXPECTED["datasets"]


def test_every_dataset_of_the_registry_is_a_file(survey: Project, records: list[Json]) -> None:
    for record in records:
        path = Path(record["path"])
        assert (path if path.is_absolute() else survey.repo / path).stat().st_size == record["size"]


def test_quanta_that_were_not_done_are_those_that_must_fail(survey: Project) -> None:
    ends = [q for q in survey.quanta().values() if q["status"] != "done"]
    found = [
        {"task": q["task"], "status": q["status"]}
        | {
            name: q["data_id"][name]
            for name in ("visit", "detector", "patch")
            if name in q["data_id"]
        }
        for q in ends
    ]
    expected = [
        {name: value for name, value in end.items() if name != "message"}
        for end in EXPECTED["ends"]
    ]
    assert sorted(found, key=str) == sorted(expected, key=str)
    said = " ".join(quantum["message"] for quantum in ends)
    assert all(end["message"] in said for end in EXPECTED["ends"])


def test_planned_products_are_there_unless_their_quantum_ended_otherwise(
    survey: Project, records: list[Json]
) -> None:
    planned = pq.read_table(survey.repo / "plan" / "datasets.parquet").to_pylist()
    kept = {name for stage in STAGES.values() for name in stage.retained}
    there = {record["id"].replace("-", "") for record in records}
    absent = [r for r in planned if r["type"] in kept and r["id"].hex() not in there]
    failed = {
        (end.get("visit"), end.get("detector"))
        for end in EXPECTED["ends"]
        if end["task"] in ("calibrate", "forced")
    }
    left_out = {(row["type"], row["visit"]) for row in EXPECTED.get("absent", [])}
    assert {(row["type"], row["visit"]) for row in absent if row["detector"] is None} == left_out
    unmade = {(row["visit"], row["detector"]) for row in absent if row["detector"] is not None}
    assert unmade == failed


def test_a_detectors_calibrations_read_each_raw_once(survey: Project, records: list[Json]) -> None:
    read, there = Counter[int](), Counter[int]()
    for quantum in survey.quanta("calibs").values():
        read[quantum["data_id"]["detector"]] += quantum["bytes_read"]
    for record in records:
        if record["type"] == "raw":
            there[record["data_id"]["detector"]] += record["size"]
    assert read
    assert all(
        0.5 * there[detector] < n_bytes <= there[detector] for detector, n_bytes in read.items()
    )


def test_a_second_run_has_nothing_to_do(survey: Project) -> None:
    before = survey.products()
    assert "Nothing to be done" in survey.snakemake()
    assert survey.products() == before


@pytest.mark.skipif(PRESET != "ci_hsc", reason="the time of make ci-hsc alone is bounded")
def test_simulation_and_campaign_take_at_most_twenty_minutes(survey: Project) -> None:
    lines = (survey.folder / "took.txt").read_text().splitlines()
    (wall_s,) = (float(line.split()[2]) for line in lines if line.startswith("in all: "))
    assert wall_s <= MAX_HSC_WALL_S


def _verdicts() -> dict[str, set[str]]:
    """The verdicts that each metric may have."""
    told: Json = EXPECTED["metrics"]
    allowed = {"met": told["met"], "missed": [entry["id"] for entry in told["missed"]]}
    allowed["not_judged"] = [name for entry in told["not_judged"] for name in entry["ids"]]
    pairs = [(name, {verdict}) for verdict, names in allowed.items() for name in names]
    pairs += [(entry["id"], set(entry["verdicts"])) for entry in told["edge"]]
    twice = [name for name, n in Counter(name for name, _ in pairs).items() if n > 1]
    assert twice == [], "a metric is in one list"
    return dict(pairs)


def test_every_metric_has_the_verdict_that_was_expected(survey: Project) -> None:
    found: list[Json] = survey.json("metrics", "repo", "--truth", "survey", "--json")
    names = {True: "met", False: "missed", None: "not_judged"}
    allowed = _verdicts()
    assert Counter(metric["id"] for metric in found) == Counter(allowed.keys())
    other = [
        (m["id"], names[m["ok"]], m["value"], m["error"])
        for m in found
        if names[m["ok"]] not in allowed[m["id"]]
    ]
    assert other == []
