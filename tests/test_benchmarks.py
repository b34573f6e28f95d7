"""Benchmarks end with an error that names what is beyond its bound, and name peers left out."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

Load = Callable[[str], Any]


@pytest.fixture
def load(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a benchmark as a module that writes below a folder of the test."""
    folder = repository / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))

    def load_one(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"benchmark_{name}", folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        monkeypatch.setattr(module, "ROOT", tmp_path, raising=False)
        monkeypatch.setattr(sys, "argv", [f"{name}.py"])
        return module

    return load_one


def ends_with(run: Callable[[], object]) -> str:
    """Run something that ends its process with status 1; give what it says."""
    with pytest.raises(SystemExit) as ended:
        run()
    assert isinstance(ended.value.code, str)  # which Python prints, and makes a status of 1
    return ended.value.code


def test_what_is_beyond_its_bound_is_named_with_the_load(load: Load) -> None:
    bounds = load("_bounds")
    bounds.require({"a": 1.0, "b": 2.0, "c": 9.0}, {"a": 1.0, "b": 2.5})
    said = ends_with(lambda: bounds.require({"a": 1.0, "b": 3.0}, {"a": 1.0, "b": 2.5}))
    assert said.startswith("A bound is exceeded: b is 3, its bound 2.5 (load average ")
    assert "a is nan" in ends_with(lambda: bounds.require({"a": float("nan")}, {"a": 1.0}))


def test_a_slow_removal_of_the_signature_ends_its_benchmark_with_an_error(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    isr = load("isr")
    signature = SimpleNamespace(flat=SimpleNamespace(image=0.0))
    for name, value in (
        ("make_raw", lambda *_: None),
        ("make_signature", lambda *_: signature),
        ("replace", lambda *_, **_settings: None),
        ("is_there", lambda _: False),
        ("cpu_s", lambda _: 1.0),
    ):
        monkeypatch.setattr(isr, name, value)
    assert "isr is 1, its bound 0.3; isr with fringes" in ends_with(isr.main)
    assert (tmp_path / "runs" / "bench" / "isr.json").exists()


@pytest.mark.parametrize("beyond", ["cpu_s", "peak_memory_mb", "cosmic rays"])
def test_a_slow_visit_ends_its_benchmark_with_an_error(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, beyond: str
) -> None:
    visit = load("visit")
    figures = {"cpu_s": 5.0, "peak_memory_mb": 500.0, "cosmic rays": 0.2} | {beyond: 1e4}
    found = {"parts": {"cosmic rays": figures.pop("cosmic rays")}, "visit": figures}
    monkeypatch.setattr(visit, "measure", lambda *_: found)
    monkeypatch.setattr(visit, "show", lambda _: None)
    (tmp_path / "survey" / "repo" / "manifests" / "visit").mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", ["visit.py", "--folder", str(tmp_path)])
    assert f"{beyond} is 1e+04, its bound" in ends_with(visit.main)


def test_a_slow_calibration_ends_its_benchmark_with_an_error(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrate = load("calibrate")
    taken = {"cpu_s": 7.0, "peak_memory_mb": 500.0, "solve_s": 0.2}
    run = SimpleNamespace(stdout=json.dumps(taken))
    monkeypatch.setattr(calibrate, "simulate", lambda _: None)
    monkeypatch.setattr(calibrate, "subprocess", SimpleNamespace(run=lambda *_, **_settings: run))
    assert "cpu_s is 7, its bound 6" in ends_with(calibrate.main)


def test_a_slow_simulation_ends_its_benchmark_with_an_error(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate = load("simulate")
    monkeypatch.setattr(simulate, "measure", lambda *_: None)
    monkeypatch.setattr(simulate, "write_frame", lambda *_: None)
    monkeypatch.setattr(simulate, "BOUND_CPU_S", -1.0)
    assert "frame, with files is" in ends_with(simulate.main)


def test_a_row_worse_than_a_peer_needs_a_reason(
    load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes = load("peers_scenes")
    rows = [
        SimpleNamespace(quantity="centroids", peer="SExtractor", word="worse"),
        SimpleNamespace(quantity="fluxes", peer="SExtractor", word="worse"),
        SimpleNamespace(quantity="positions", peer="SCAMP", word="level"),
    ]
    reasons = {("fluxes", "SExtractor"): "by design"}
    said = ends_with(lambda: scenes.require_none_worse(rows, reasons))
    assert said == "Worse beyond its error than SExtractor in centroids."
    scenes.require_none_worse(rows[1:], reasons)
    assert "worse than SExtractor in fluxes: by design" in capsys.readouterr().out


def test_a_peer_that_is_left_out_is_named_once_with_the_command_that_adds_it(
    load: Load, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    packages = load("_peers_packages")
    monkeypatch.setitem(packages.PACKAGES, "absent_peer", "1.2")
    assert not packages.is_there("absent_peer")
    assert not packages.is_there("absent_peer")
    said = capsys.readouterr().out
    assert said.count("Left out: absent_peer is not installed.") == 1
    assert "pip install -e . absent_peer==1.2" in said
    monkeypatch.setitem(packages.PACKAGES, "json", "1")
    assert packages.is_there("json")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("minutes", "is_long"), [(9.9, False), (10.1, True)])
def test_a_plan_of_all_shards_is_written_and_may_not_take_long(
    load: Load, tmp_path: Path, minutes: float, is_long: bool
) -> None:
    plan = load("bench_plan")
    found = {
        "shards": 2, "quanta": 3, "chunks": 1, "disk_gb": 0.1, "minutes": minutes, "n_cores": 2,
        "cpu_s": 1.0, "peak_mb": 1.0, "load": 0.5,
    }  # fmt: skip
    if is_long:
        said = ends_with(lambda: plan.judge_shards("pdr1", found))
        assert said == "pdr1 took 10.1 min on 2 cores, more than 10 min (load 0.5)"
    else:
        plan.judge_shards("pdr1", found)
        plan.judge_shards("dc2", found | {"minutes": 1e3})  # which has no bound
    written = json.loads((tmp_path / "runs" / "bench" / "plan_pdr1.json").read_text())
    assert written == found
