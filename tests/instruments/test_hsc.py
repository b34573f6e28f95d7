"""The HSC against what is known of it, and against frames with its headers."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from lsstpipe.instruments import get_camera, read_info, read_raw
from lsstpipe.simulate.presets import find_preset
from lsstpipe.simulate.survey import make_survey
from lsstpipe.simulate.write import write_frame

HSC = get_camera("hsc")


def test_it_has_104_detectors_in_raw_frames_of_its_size() -> None:
    assert sorted(HSC.detectors) == list(range(104))
    assert {d.raw_box.shape for d in HSC.detectors.values()} == {(4241, 2144)}


@pytest.mark.parametrize(
    ("number", "y", "x", "turns"),
    [
        (0, -6629.29, 14861.08, 2),
        (5, -6627.9, 12737.1, 2),
        (16, -10881.57, 8489.37, 0),
        (22, -15353.45, 6365.74, 0),
        (29, 15753.83, 6368.58, 2),
        (95, 11504.26, -12736.72, 0),
        (99, 7030.61, -14862.74, 0),
        (100, -14289.16, 9588.26, 3),
        (103, 14689.29, -9588.18, 1),
    ],
)
def test_detectors_are_where_rubin_has_them(number: int, y: float, x: float, turns: int) -> None:
    detector = HSC.detector(number)
    assert detector.focal_y_pix == pytest.approx(y, abs=5)
    assert detector.focal_x_pix == pytest.approx(x, abs=5)
    assert detector.quarter_turns == turns


def test_no_two_detectors_overlap() -> None:
    def half(number: int) -> tuple[float, float]:
        detector = HSC.detector(number)
        sides = detector.ny / 2, detector.nx / 2
        return sides[::-1] if detector.quarter_turns % 2 else sides

    for one, other in itertools.combinations(HSC.detectors, 2):
        a, b = HSC.detector(one), HSC.detector(other)
        apart_y = abs(a.focal_y_pix - b.focal_y_pix) - half(one)[0] - half(other)[0]
        apart_x = abs(a.focal_x_pix - b.focal_x_pix) - half(one)[1] - half(other)[1]
        assert max(apart_y, apart_x) > 0


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One frame of each kind of detector 100."""
    folder = tmp_path_factory.mktemp("hsc")
    survey = make_survey(find_preset("ci_hsc"), 1)
    paths: dict[str, Path] = {}
    for place, (exposure, detector) in enumerate(survey.frames()):
        # Not the first frame of the detector, with which its truth would be written.
        if detector.number == 100 and exposure.number != 903334 and exposure.kind not in paths:
            paths[exposure.kind] = folder / "raw" / write_frame("ci_hsc", folder, 1, place)
    return paths


def test_headers_are_read_as_those_of_the_hsc(frames: dict[str, Path]) -> None:
    for kind, path in frames.items():
        info = read_info(path, HSC)
        assert info.observation_type == kind
        assert info.detector == 100
    science = read_info(frames["science"], HSC)
    assert (science.exposure, science.physical_filter, science.band) == (903342, "HSC-R", "r")
    assert science.exposure_time_s == 30


def test_the_amplifiers_are_where_the_charge_is(frames: dict[str, Path]) -> None:
    raw = read_raw(frames["flat"], HSC)
    detector = HSC.detector(100)
    lit = np.zeros(raw.image.shape, dtype=bool)
    for amplifier in detector.amplifiers:
        lit[amplifier.data.slices_in(detector.raw_box)] = True
    assert np.median(raw.image[lit]) > 10000
    assert np.percentile(raw.image[~lit], 99.9) < 1300
