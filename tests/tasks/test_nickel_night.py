"""Real standards through the tasks in memory: the signature of the Nickel camera, zero points."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from lsstpipe.algorithms.few_star_astrometry import (
    FewStarSettings,
    OrientedGuess,
    solve_few_stars,
)
from lsstpipe.algorithms.frame_solution import DetectedStars, ReferenceStars
from lsstpipe.config import load_campaign
from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError
from lsstpipe.execute.ingest import read_reference_catalog
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.instruments import get_camera, read_info, read_raw
from lsstpipe.tasks import bias, calibrate, isr
from lsstpipe.tasks.base import Json
from lsstpipe.tasks.signature import Signature, SignatureConfig, remove_signature

NICKEL = get_camera("nickel")
DETECTOR = NICKEL.detector(0)
DETECTOR_ID = DataId(instrument="nickel", detector=0)

# V of each standard; where it is on the frame, by eye; magnitude of 1 ADU a second as measured
# independently on the same frames.
PG1323 = {
    "086": (13.481, (467, 544), 22.86),
    "B": (13.406, (709, 87), 22.79),
    "C": (14.003, (342, 119), 22.84),
    "A": (13.591, (624, 128), 22.64),
}
PG1530 = {
    "057": (14.211, (519, 569), 22.91),
    "A": (13.711, (314, 596), 22.84),
    "B": (12.842, (293, 306), 22.87),
}


@dataclass(frozen=True)
class Night:
    """Calibrations, flats without their bias, and how the standard fields came out."""

    bias: Exposure
    flats: list[Exposure]
    flat: Exposure
    calibrated: dict[int, tuple[Catalog, Json]]
    reference: Catalog
    folder: Path

    def zero_points(self, number: int, standards: dict[str, tuple]) -> dict[str, float]:
        """Magnitude of 1 ADU a second that each standard gives."""
        source, summary = self.calibrated[number]
        found = {}
        for name, (mag, (y, x), _) in standards.items():
            distance = np.hypot(source["y"] - y, source["x"] - x)
            star = int(np.argmin(distance))
            assert distance[star] < 2
            zero_point = summary["photometry"]["zero_point_mag"]
            adu = source["psfFlux"][star] * 10 ** (0.4 * (zero_point - 31.4)) / DETECTOR.gain
            found[name] = float(mag + 2.5 * np.log10(adu / summary["exposure_time_s"]))
        return found


def combine(flats: list[Exposure]) -> Exposure:
    """Take the median of flats of mean 1; what is far from 1 is bad."""
    stack = np.stack([f.image / np.median(f.image[100:900, 300:900]) for f in flats])
    image = np.median(stack, axis=0)
    bad = (image < 0.5) | (image > 1.5)
    return replace(
        flats[0],
        image=np.where(bad, 1, image).astype(np.float32),
        mask=np.where(bad, np.int32(MaskPlane.BAD), np.int32(0)).astype(np.int32),
        variance=np.full(image.shape, 1.6e-5 / len(flats), dtype=np.float32),
        unit="1",
    )


@pytest.fixture(scope="module")
def night(test_data: Path, repository: Path) -> Night:
    def read(number: int) -> Exposure:
        return read_raw(test_data / "nickel_raw" / f"d{number}.fits.fz", NICKEL)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repository)
        campaign = load_campaign("config/campaigns/nickel.yaml")
        reference = read_reference_catalog(campaign)
    raws = {DataId(DETECTOR_ID, exposure=n): read(n) for n in range(1001, 1011)}
    master = bias.run(bias.Inputs(raws), bias.Config(), DETECTOR_ID).bias
    signature = Signature(bias=master)
    flats = [
        remove_signature(read(n), DETECTOR, signature, SignatureConfig())
        for n in (1035, 1036, 1037)
    ]
    flat, calibrated = combine(flats), {}
    settings = campaign.task("visit", "calibrate")
    assert isinstance(settings, calibrate.Config)
    for number in (1047, 1083):
        inputs = isr.Inputs(read(number), master, None, None, flat)
        image = isr.run(inputs, isr.Config(), DETECTOR_ID).post_isr_image
        made = calibrate.run(
            calibrate.Inputs(image, reference), settings, DataId(DETECTOR_ID, visit=number)
        )
        calibrated[number] = made.source, made.visit_detector_summary
    return Night(master, flats, flat, calibrated, reference, test_data / "nickel_raw")


def test_a_flat_takes_dust_and_vignetting_out_of_another_flat(night: Night) -> None:
    one, other, third = night.flats
    flat = combine([one, third])
    good = (flat.mask == 0) & ~has(other.mask, MaskPlane.SAT | MaskPlane.BAD)
    level = np.median(other.image)
    image = np.where(good, other.image / flat.image, level)[32:992, 32:992] / level
    before = np.where(good, other.image, level)[32:992, 32:992] / level
    # Smoothed to the size of a star's aperture; the sky itself has a gradient between exposures.
    rms = {}
    for name, frame in (("before", before), ("after", image)):
        y, x = np.mgrid[-1:1:960j, -1:1:960j]
        plane = np.stack([np.ones(960 * 960), y.ravel(), x.ravel()], axis=1)
        tilt = plane @ np.linalg.lstsq(plane, frame.ravel(), rcond=None)[0]
        rms[name] = float(np.std(ndimage.uniform_filter(frame - tilt.reshape(960, 960), 16)))
    assert rms["before"] > 0.01
    assert rms["after"] < 0.002


@pytest.mark.parametrize("number", [1047, 1083])
def test_of_all_orientations_the_standards_allow_only_that_of_the_header(
    night: Night, number: int
) -> None:
    source, reference = night.calibrated[number][0], night.reference
    shape = (DETECTOR.ny, DETECTOR.nx)
    info = read_info(night.folder / f"d{number}.fits.fz", NICKEL)
    seen = np.flatnonzero(np.isfinite(source["y"] + source["x"]) & (source["psfFlux"] > 0))
    stars = DetectedStars(*(source[name][seen] for name in ("y", "x", "psfFlux", "yErr")))
    mag = 31.4 - 2.5 * np.log10(reference["flux"])
    solved = []
    for is_mirrored, turn in product((True, False), range(0, 360, 10)):
        guess = OrientedGuess(
            info.ra_deg, info.dec_deg, info.rotation_deg + turn, NICKEL.pixel_scale_arcsec,
            is_mirrored=is_mirrored, radius_arcmin=0.5,
        )  # fmt: skip
        with suppress(AlgorithmError):
            solve_few_stars(
                stars,
                ReferenceStars(reference["ra"], reference["dec"], mag),
                guess,
                shape=shape,
                settings=FewStarSettings(position_error_pix=12.2),
            )
            solved.append((is_mirrored, turn))
    assert solved == [(True, 0)]


def test_zero_points_are_those_measured_independently(night: Night) -> None:
    for number, standards in ((1047, PG1323), (1083, PG1530)):
        expected = {name: zero_point for name, (_, _, zero_point) in standards.items()}
        assert night.zero_points(number, standards) == pytest.approx(expected, abs=0.025)


def test_zero_points_of_two_fields_agree_without_the_star_of_a_doubtful_magnitude(
    night: Night,
) -> None:
    first, second = night.zero_points(1047, PG1323), night.zero_points(1083, PG1530)
    doubtful = first.pop("A")
    every = np.array([*first.values(), *second.values()])
    assert every.std() < 0.04
    assert every.min() >= 22.79
    assert every.max() <= 22.91
    assert doubtful < every.min() - 0.1
    # 0.37 airmasses lie between the fields, of some 0.13 mag each.
    assert 0.0 < np.median(list(second.values())) - np.median(list(first.values())) < 0.1


def test_the_wide_aperture_holds_more_light_than_the_catalogues(night: Night) -> None:
    """With 7 to 9 pixels of seeing, 12 pixels miss several per cent of a star's light."""
    for source, _ in night.calibrated.values():
        stars = source["calib_psf_used"] & (source["psfFlux"] > 100 * source["psfFluxErr"])
        ratio = source["ap12Flux"][stars] / source["psfFlux"][stars]
        assert 0.92 < np.median(ratio) < 0.97
