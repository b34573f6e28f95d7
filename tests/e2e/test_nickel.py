"""The Nickel night from raw frames to zero points: real standards, known to a few hundredths."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from lsstpipe.cli.main import cli
from lsstpipe.image.catalog import Catalog
from lsstpipe.instruments import get_camera
from lsstpipe.io.fits import read_exposure
from lsstpipe.io.parquet import read_catalog

PG1323, PG1530 = 2405131047, 2405131083

# V of each standard, and roughly where it is on the frame, by eye.
STANDARDS = {
    PG1323: {"086": (13.481, 467, 544), "B": (13.406, 709, 87), "C": (14.003, 342, 119)},
    PG1530: {"057": (14.211, 519, 569), "A": (13.711, 314, 596), "B": (12.842, 293, 306)},
}
# Measured independently on the same frames, magnitudes of 1 ADU a second.
ZERO_POINTS = {
    PG1323: {"086": 22.86, "B": 22.79, "C": 22.84},
    PG1530: {"057": 22.91, "A": 22.84, "B": 22.87},
}
FLAGGED = (2405131048, 2405131052, 2405131059, 2405131074)


class Night:
    """The campaign, run in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.run = folder / "runs" / "nickel"
        self.manifests = [
            json.loads(path.read_text())
            for stage in ("calibs", "visit")
            for path in sorted((self.run / "manifests" / stage).glob("*.json"))
        ]

    def product(self, name: str, key: object, ending: str) -> Path:
        """The file of a dataset."""
        return self.run / "nickel" / name / f"{name}_nickel_0{key}.{ending}"

    def summary(self, visit: int) -> dict[str, Any]:
        text = self.product("visit_detector_summary", f"_{visit}", "json").read_text()
        found: dict[str, Any] = json.loads(text)
        return found

    def source(self, visit: int) -> Catalog:
        path = self.product("source", f"_{visit}", "parquet")
        return read_catalog(path.read_bytes(), path.name)

    def zero_point(self, visit: int, standard: tuple[float, int, int]) -> float:
        """Magnitude of 1 ADU a second that a star of known V gives."""
        mag, y, x = standard
        source = self.source(visit)
        star = int(np.argmin(np.hypot(source["y"] - y, source["x"] - x)))
        assert np.hypot(source["y"][star] - y, source["x"][star] - x) < 2
        summary = self.summary(visit)
        zero_point = summary["photometry"]["zero_point_mag"]
        electrons = source["psfFlux"][star] * 10 ** (0.4 * (zero_point - 31.4))
        gain = get_camera("nickel").detector(0).gain
        return float(mag + 2.5 * np.log10(electrons / gain / summary["exposure_time_s"]))


def _run(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def night(test_data: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Ingest, plan, make the calibrations, calibrate the visits. Look, do not touch."""
    folder = tmp_path_factory.mktemp("nickel")
    (folder / "data").mkdir()
    shutil.copytree(test_data / "nickel_raw", folder / "data" / "nickel")
    shutil.copy(repository / "data" / "nickel" / "landolt_v.csv", folder / "data" / "nickel")
    campaign = str(repository / "config" / "campaigns" / "nickel.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        _run("ingest", campaign)
        _run("plan", campaign)
        for stage in ("calibs", "visit"):
            _run("run", stage, "--plan", "runs/nickel/plan")
    return Night(folder)


def test_fields_without_standards_are_flagged_and_nothing_fails(night: Night) -> None:
    quanta = [quantum for manifest in night.manifests for quantum in manifest["quanta"]]
    status = {
        quantum["data_id"]["visit"]: quantum["status"]
        for quantum in quanta
        if quantum["task"] == "calibrate"
    }
    assert status == {PG1323: "done", PG1530: "done"} | dict.fromkeys(FLAGGED, "flagged")
    # The three flats are too few for some of the calibrations.
    assert {quantum["status"] for quantum in quanta} <= {"done", "flagged", "no_work"}


def test_the_bias_is_what_the_overscan_leaves_of_ten_frames(night: Night) -> None:
    path = night.product("bias", "", "fits")
    bias = read_exposure(path.read_bytes(), path.name)
    level = bias.image[50:950, 300:650] / get_camera("nickel").detector(0).gain
    assert np.median(level) == pytest.approx(14.0, abs=1.0)
    # Neighbours along a column have the same bias, each with the noise of ten frames of 5.2 ADU.
    step = level[1:] - level[:-1]
    noise = 1.4826 * np.median(np.abs(step - np.median(step))) / np.sqrt(2)
    assert noise == pytest.approx(5.2 / np.sqrt(10), abs=0.3)


@pytest.mark.parametrize("visit", [PG1323, PG1530])
def test_the_pointing_is_solved_to_the_errors_of_the_standards_not_of_the_header(
    night: Night, visit: int
) -> None:
    summary = night.summary(visit)
    astrometry = summary["astrometry"]
    assert astrometry["n_matched"] == 3
    # The table has right ascension to 15 arcsec, which is 40 pixels; declination to 1 arcsec.
    assert astrometry["rms_x_pix"] < 20
    assert astrometry["rms_y_pix"] < 4
    source = night.source(visit)
    used = source["calib_astrometry_used"]
    places = np.array([(y, x) for _, y, x in STANDARDS[visit].values()])
    distance = np.hypot(
        source["y"][used][:, None] - places[:, 0], source["x"][used][:, None] - places[:, 1]
    )
    assert (distance.min(axis=1) < 2).all()


def test_a_standard_is_where_its_own_catalogue_has_it(night: Night) -> None:
    """PG1323-086 B in the catalogue of Landolt (2009), which is better than the campaign's."""
    source = night.source(PG1323)
    _, y, x = STANDARDS[PG1323]["B"]
    star = int(np.argmin(np.hypot(source["y"] - y, source["x"] - x)))
    east = (source["ra"][star] - 201.46104583) * np.cos(np.deg2rad(source["dec"][star])) * 3600
    north = (source["dec"][star] + 8.84863889) * 3600
    assert abs(east) < 7.5
    assert abs(north) < 3.0


def test_the_gain_and_read_noise_that_the_night_measures_are_those_of_its_frames(
    night: Night,
) -> None:
    measured = json.loads(night.product("ptc", "", "json").read_text())
    (gain,) = measured["gain"]
    assert gain == pytest.approx(1.78, abs=0.1)
    # Of single frames 4.9 to 5.3 ADU; a little is left of the noise of the overscan.
    assert 4.9 <= measured["read_noise_electron"][0] / gain <= 5.4


def test_zero_points_are_those_measured_independently(night: Night) -> None:
    path = night.product("flat", "_V", "fits")
    # The mean of the flat is 1; the independent ones are of the middle of the frame.
    middle = np.median(read_exposure(path.read_bytes(), path.name).image[100:900, 300:900])
    offset = float(2.5 * np.log10(middle))
    found = {
        visit: {name: night.zero_point(visit, star) + offset for name, star in stars.items()}
        for visit, stars in STANDARDS.items()
    }
    for visit, expected in ZERO_POINTS.items():
        assert found[visit] == pytest.approx(expected, abs=0.03)
    every = np.array([value for stars in found.values() for value in stars.values()])
    assert every.std() < 0.04
    # 0.37 airmasses lie between the fields, of some 0.13 mag each.
    medians = {visit: np.median(list(stars.values())) for visit, stars in found.items()}
    assert 0.0 < medians[PG1530] - medians[PG1323] < 0.1
