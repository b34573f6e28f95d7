"""``lsstpipe certify`` says from when to when calibrations hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from lsstpipe.butler import Butler
from lsstpipe.cli.certify import command
from lsstpipe.data_model import DataId
from lsstpipe.errors import ConflictError, RepositoryError, UserError
from lsstpipe.geometry.box import Box
from lsstpipe.image.exposure import Exposure

MAY_1 = 60431.0


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    plane = np.zeros((4, 4), np.float32)
    image = Exposure(plane, np.zeros((4, 4), np.int32), plane, Box(0, 0, 4, 4), "electron")
    Butler.create(tmp_path)
    for run in ("one", "two"):
        with Butler(tmp_path, run=run) as butler:
            for detector in (0, 1):
                butler.put(image, "bias", instrument="st10", detector=detector)
            butler.put({}, "visit_summary", instrument="st10", visit=1)
    return tmp_path


def invoke(repository: Path, *words: str) -> Result:
    arguments = [*words, "--repo", str(repository), "--collection", "calib"]
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def bias_at(repository: Path, mjd: float, detector: int = 0) -> str:
    with Butler(repository) as butler:
        names = [c.name for c in butler.registry.collections() if c.kind == "CALIBRATION"]
        data_id = DataId(instrument="st10", detector=detector)
        found = butler.registry.find_calibration("bias", data_id, mjd, names)
    return found.run if found else "none"


def test_a_run_s_calibrations_hold_from_date_to_date(repository: Path) -> None:
    span = ("--begin", "2024-05-01", "--end", "2024-05-02T12:00:00")
    result = invoke(repository, "bias", "--run", "one", *span)
    assert result.output.count("holds from 2024-05-01") == 2
    found = [bias_at(repository, MAY_1 + day, 1) for day in (-0.1, 0.0, 1.4, 1.5)]
    assert found == ["none", "one", "one", "none"]


def test_a_dataset_is_certified_by_its_id_and_open_ends_are_null(repository: Path) -> None:
    with Butler(repository, ["two"]) as butler:
        record = butler.find("bias", instrument="st10", detector=0)
    assert record is not None
    (item,) = json.loads(invoke(repository, str(record.id), "--begin", "60431", "--json").output)
    assert (item["valid_begin_mjd"], item["valid_end_mjd"]) == (60431.0, None)
    assert bias_at(repository, 1e6) == "two"
    assert bias_at(repository, 1e6, 1) == "none"


def test_a_dry_run_changes_nothing(repository: Path) -> None:
    assert "would hold" in invoke(repository, "bias", "--run", "one", "--dry-run").output
    assert bias_at(repository, MAY_1) == "none"
    with Butler(repository) as butler:
        assert "calib" not in [item.name for item in butler.registry.collections()]


def test_a_range_that_overlaps_another_is_refused_even_when_dry(repository: Path) -> None:
    invoke(repository, "bias", "--run", "one", "--begin", "60431", "--end", "60432")
    for more in ((), ("--dry-run",)):
        with pytest.raises(ConflictError, match="holds already from MJD 60431"):
            invoke(repository, "bias", "--run", "two", *more)


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_collection_of_another_kind_is_refused_even_when_dry(
    repository: Path, more: tuple[str, ...]
) -> None:
    words = ["bias", "--run", "one", "--collection", "two", "--repo", str(repository), *more]
    with pytest.raises(ConflictError, match="Collection 'two' is RUN, not CALIBRATION"):
        CliRunner().invoke(command, words, catch_exceptions=False)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("bias", "--run", "three"), "The run 'three' made no bias in"),
        (("bias",), "Give --run with a dataset type"),
        (("visit_summary", "--run", "one"), "visit_summary is no calibration; those are bias, "),
        (("bias", "--run", "one", "--begin", "May"), "--begin must be a date such as 2024-05-01"),
        (("bias", "--run", "one", "--end", "nan"), "--end must be a date such as 2024-05-01"),
        (("bias", "--run", "one", "--begin", "9", "--end", "3"), "must end after it begins"),
        (("6c7c2b0e-6a3b-5d0b-9f4e-2d1b8f0c5a11",), "There is no dataset 6c7c2b0e"),
    ],
)
def test_what_cannot_be_certified_is_one_sentence(
    repository: Path, words: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises((UserError, RepositoryError), match=sentence):
        invoke(repository, *words)


def test_a_dataset_that_is_named_twice_is_listed_once(repository: Path) -> None:
    assert len(json.loads(invoke(repository, "bias", "bias", "--run", "one", "--json").output)) == 2
