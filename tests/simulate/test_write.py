"""A survey on disk: the same bytes every time, readable, and true."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits
from click.testing import CliRunner

from lsstpipe.cli.main import cli
from lsstpipe.errors import ConflictError
from lsstpipe.instruments import get_camera, read_raw
from lsstpipe.io.parquet import read_catalog
from lsstpipe.simulate.detector import flat, make_detector_truth
from lsstpipe.simulate.presets import find_preset
from lsstpipe.simulate.survey import make_survey
from lsstpipe.simulate.write import write_frame, write_survey

SEED = 11


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unit")
    write_survey("unit", folder, SEED)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_two_processes_write_the_same_bytes_as_one(folder: Path, tmp_path: Path) -> None:
    write_survey("unit", tmp_path, SEED, n_jobs=2)
    first, second = contents(folder), contents(tmp_path)
    del first["campaign.yaml"], second["campaign.yaml"]  # it names the folder
    assert first == second


def test_another_seed_gives_another_sky(folder: Path, tmp_path: Path) -> None:
    name = write_frame("unit", tmp_path, SEED + 1, 0)
    assert (tmp_path / "raw" / name).read_bytes() != (folder / "raw" / name).read_bytes()


def test_every_raw_can_be_read_and_says_what_it_is(folder: Path) -> None:
    camera = get_camera("simcam_unit")
    survey = make_survey(find_preset("unit"), SEED)
    infos = [read_raw(path, camera).info for path in sorted((folder / "raw").iterdir())]
    assert len(infos) == len(survey.exposures)
    for info, exposure in zip(infos, survey.exposures, strict=True):
        assert info is not None
        assert (info.exposure, info.observation_type) == (exposure.number, exposure.kind)
        assert info.band == (exposure.band or "none")
        assert info.target == exposure.target
        assert info.mid_mjd == pytest.approx(
            exposure.begin_mjd + info.exposure_time_s / 2 / 86400 + 37 / 86400, abs=1e-6
        )


def test_bright_stars_are_where_the_truth_says(folder: Path) -> None:
    camera = get_camera("simcam_unit")
    raw = read_raw(folder / "raw" / "simcam_unit-0001-000.fits.fz", camera)
    left = camera.detector(0).amplifiers[0]
    image = raw.image[left.data.slices_in(camera.detector(0).raw_box)]
    table = read_catalog((folder / "truth" / "visits" / "1-000.parquet").read_bytes(), "truth")
    y, x = table["y"], table["x"]
    chosen = (table["kind"] == 0) & (table["electrons"] > 5e4) & (table["electrons"] < 1e6)
    chosen &= (np.abs(y - 256) < 245) & (x > 12) & (x < 244)
    assert chosen.sum() >= 3
    off = []
    for y0, x0 in zip(y[chosen], x[chosen], strict=True):
        row, column = round(y0), round(x0)
        stamp = image[row - 4 : row + 5, column - 4 : column + 5] - np.median(image)
        v, u = np.mgrid[-4:5, -4:5]
        off.append(
            (
                np.sum(v * stamp) / stamp.sum() + row - y0,
                np.sum(u * stamp) / stamp.sum() + column - x0,
            )
        )
    assert np.abs(np.median(off, axis=0)).max() < 0.1


def test_images_of_the_truth_are_those_that_were_used(folder: Path) -> None:
    survey = make_survey(find_preset("unit"), SEED)
    truth = make_detector_truth(survey, 0)
    with fits.open(folder / "truth" / "detectors" / "000.fits") as hdus:
        np.testing.assert_allclose(hdus["FLAT_r"].data, flat(truth, survey, "r"), atol=1e-6)
        np.testing.assert_allclose(hdus["DARK"].data, truth.dark, atol=1e-5)
        np.testing.assert_allclose(hdus["BIAS"].data, truth.bias, atol=1e-5)
        np.testing.assert_array_equal(hdus["DEFECTS"].data, truth.defects)
    document = json.loads((folder / "truth" / "detectors" / "000.json").read_text())
    assert document["gain"] == truth.gain.tolist()


def test_the_campaign_names_the_files_that_are_there(folder: Path) -> None:
    campaign = yaml.safe_load((folder / "campaign.yaml").read_text())
    assert campaign["instrument"] == "simcam_unit"
    assert Path(campaign["raws"][0]).parent == folder / "raw"
    assert list(Path(campaign["reference_catalog"]["path"]).glob("*.fits"))


def test_a_folder_with_another_survey_is_refused(folder: Path) -> None:
    with pytest.raises(ConflictError, match=r"holds the survey unit of seed 11, not unit of seed"):
        write_survey("unit", folder, SEED + 1)


def test_a_dry_run_lists_the_frames_and_writes_nothing(tmp_path: Path) -> None:
    to = tmp_path / "out"
    arguments = ["simulate", "ci_hsc", "--to", str(to), "--dry-run", "--json"]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    names = json.loads(result.output)
    assert "HSCA90333416.fits.fz" in names
    assert "HSCA90333500.fits.fz" in names  # detector 100 of visit 903334, as the HSC names it
    assert not to.exists()
