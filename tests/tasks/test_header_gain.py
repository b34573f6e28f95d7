"""What a header says of the gain is not believed: the gain is measured, or that of the camera."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits

from lsstpipe.data_model import DataId
from lsstpipe.image.exposure import Exposure
from lsstpipe.instruments import get_camera, read_raw
from lsstpipe.simulate.headers import raw_header
from lsstpipe.simulate.presets import find_preset
from lsstpipe.simulate.survey import make_survey
from lsstpipe.tasks import isr

WRONG_GAIN = 12.5


@dataclass(frozen=True)
class Frame:
    """A raw frame whose header names a gain by some cards."""

    camera: str
    pixels: npt.NDArray[np.uint16]
    header: fits.Header
    cards: tuple[str, ...]

    def post_isr(self, path: Path, gain: float | None) -> Exposure:
        """Write the frame, with another gain unless none is given, and run the task on it."""
        header = self.header.copy()
        if gain is not None:
            header.update(dict.fromkeys((*self.cards, "GAIN"), gain))
        fits.PrimaryHDU(self.pixels, header).writeto(path)
        raw = read_raw(path, get_camera(self.camera))
        assert raw.info is not None
        data_id = DataId(instrument=self.camera, detector=raw.info.detector)
        return isr.run(isr.Inputs(raw), isr.Config(), data_id).post_isr_image


def make_frame(camera: str, pixels: npt.NDArray[np.uint16], header: fits.Header) -> Frame:
    for key in ("BSCALE", "BZERO"):
        header.remove(key, ignore_missing=True)
    return Frame(camera, pixels, header, tuple(key for key in header if "GAIN" in key))


def read_frame(path: Path, camera: str) -> Frame:
    with fits.open(path) as hdus:
        return make_frame(camera, hdus[1].data.copy(), hdus[1].header.copy())


def draw_noise(preset: str) -> Frame:
    """Put noise under the header of the first frame of a simulated survey."""
    survey = make_survey(find_preset(preset), 1)
    exposure, detector = survey.frames()[0]
    noise = np.random.default_rng(1).normal(3000, 1, detector.raw_box.shape)
    header = raw_header(survey, exposure, detector)
    return make_frame(survey.camera.name, noise.astype(np.uint16), header)


@pytest.fixture(scope="module", params=["st10", "nickel", "unit", "ci_hsc"])
def frame(request: pytest.FixtureRequest) -> Frame:
    """A frame of a real camera, or of a simulated one of several amplifiers."""
    if request.param == "st10":
        return read_frame(request.getfixturevalue("tres1") / "tres1-024.fits.fz", "st10")
    if request.param == "nickel":
        folder = request.getfixturevalue("test_data") / "nickel_raw"
        return read_frame(folder / "d1047.fits.fz", "nickel")
    return draw_noise(request.param)


def test_a_wrong_gain_in_the_header_changes_no_bit_of_the_image(
    frame: Frame, tmp_path: Path
) -> None:
    assert frame.cards, "the header names a gain that could be believed"
    assert all(frame.header[card] != WRONG_GAIN for card in frame.cards)
    right = frame.post_isr(tmp_path / "right.fits", None)
    wrong = frame.post_isr(tmp_path / "wrong.fits", WRONG_GAIN)
    for plane in ("image", "mask", "variance"):
        assert getattr(wrong, plane).tobytes() == getattr(right, plane).tobytes(), plane
    assert wrong.metadata == right.metadata


def test_the_cameras_own_gain_does_change_the_image(
    frame: Frame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the test before this one would show nothing."""
    camera = get_camera(frame.camera)
    right = frame.post_isr(tmp_path / "right.fits", None)
    detectors = {
        number: replace(
            detector,
            amplifiers=tuple(replace(a, gain=WRONG_GAIN) for a in detector.amplifiers),
        )
        for number, detector in camera.detectors.items()
    }
    monkeypatch.setattr(isr, "get_camera", lambda name: replace(camera, detectors=detectors))
    wrong = frame.post_isr(tmp_path / "wrong.fits", None)
    assert not np.array_equal(wrong.image, right.image)
    assert not np.array_equal(wrong.variance, right.variance)
