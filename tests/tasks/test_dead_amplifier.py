"""A science frame with a dead amplifier, through ISR and calibration: the rest is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from scipy.spatial import cKDTree

from lsstpipe.config import load_campaign
from lsstpipe.data_model import DataId
from lsstpipe.execute.reference_catalog import read_reference_catalog
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.instruments import get_camera
from lsstpipe.instruments.raw import read_raw
from lsstpipe.simulate.detector import flat, make_detector_truth
from lsstpipe.simulate.presets import find_preset
from lsstpipe.simulate.reference import write_reference_catalog
from lsstpipe.simulate.survey import make_survey
from lsstpipe.simulate.write import campaign_document, write_frame
from lsstpipe.tasks import calibrate, isr

PRESET, SEED = "unit", 7
DATA_ID = DataId(instrument="simcam_unit", visit=1, detector=0)
CAMERA = get_camera("simcam_unit")
DETECTOR = CAMERA.detector(0)
DEAD = DETECTOR.amplifiers[1].box.slices_in(DETECTOR.box)


@dataclass(frozen=True)
class Made:
    post_isr_image: Exposure
    out: calibrate.Outputs


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Made]:
    """What becomes of a frame, and of the same with a constant amplifier."""
    folder = tmp_path_factory.mktemp("dead")
    survey = make_survey(find_preset(PRESET), SEED)
    path = folder / "raw" / write_frame(PRESET, folder, SEED, 0)
    write_reference_catalog(survey, folder / "refcat")
    campaign = folder / "campaign.yaml"
    campaign.write_text(yaml.safe_dump(campaign_document(survey, folder)))
    whole = read_raw(path, CAMERA)
    assert whole.info is not None
    reference = read_reference_catalog(load_campaign(campaign), [whole.info])
    dead = replace(whole, image=whole.image.copy())
    dead.image[DETECTOR.amplifiers[1].data.slices_in(DETECTOR.raw_box)] = 1000.0
    truth = make_detector_truth(survey, 0)
    known = {"bias": exactly(truth.bias, whole), "flat": exactly(flat(truth, survey, "r"), whole)}
    found = []
    for raw in (whole, dead):
        image = isr.run(isr.Inputs(raw, **known), isr.Config(), DATA_ID).post_isr_image
        inputs = calibrate.Inputs(image, reference)
        config = calibrate.Config(pointing_radius_arcmin=2.0)
        found.append(Made(image, calibrate.run(inputs, config, DATA_ID)))
    return found[0], found[1]


def exactly(image: npt.NDArray[np.float32], raw: Exposure) -> Exposure:
    """A calibration that is the truth."""
    zero = np.zeros(image.shape, np.int32)
    return Exposure(image, zero, np.zeros_like(image), DETECTOR.box, "electron", info=raw.info)


def test_the_amplifier_is_flagged_and_named_and_the_other_is_not(made: tuple[Made, Made]) -> None:
    _, dead = made
    expected = np.zeros(DETECTOR.box.shape, dtype=bool)
    expected[DEAD] = True
    np.testing.assert_array_equal(has(dead.post_isr_image.mask, MaskPlane.BAD), expected)
    np.testing.assert_array_equal(has(dead.out.visit_image.mask, MaskPlane.BAD), expected)
    assert dead.post_isr_image.metadata["bad_amplifiers"] == "C01: constant at 1000 ADU"


def test_the_rest_of_the_detector_is_measured_as_if_nothing_were_missing(
    made: tuple[Made, Made],
) -> None:
    whole, dead = (part.out.source for part in made)
    assert (dead["x"] < DEAD[1].start).all()
    inside = whole.select((whole["x"] < DEAD[1].start - 20) & (whole["psfFlux"] > 0))
    places = np.stack([dead["y"], dead["x"]], axis=1)
    distance, row = cKDTree(places).query(np.stack([inside["y"], inside["x"]], axis=1))
    bright = inside["psfFlux"] > 10 * inside["psfFluxErr"]
    assert bright.sum() > 20
    assert distance[bright].max() < 0.5
    twin = dead.select(row[bright])
    ratio = twin["psfFlux"] / inside["psfFlux"][bright]
    # Half the stars tell the zero point and the PSF.
    assert np.median(ratio) == pytest.approx(1.0, abs=0.02)
    away = np.hypot(
        (twin["ra"] - inside["ra"][bright]) * np.cos(np.deg2rad(inside["dec"][bright])),
        twin["dec"] - inside["dec"][bright],
    )
    # The eight catalogue stars that are left carry a linear map: the distortion stays in.
    assert np.median(away) * 3600 < 0.5 * CAMERA.pixel_scale_arcsec
