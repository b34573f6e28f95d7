"""The exposures of a survey: when, where, through which band and atmosphere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from lsstpipe.geometry.sphere import gnomonic_deproject
from lsstpipe.image.detector import Detector
from lsstpipe.instruments.camera import Camera
from lsstpipe.instruments.raw import get_camera
from lsstpipe.simulate.presets import Preset
from lsstpipe.simulate.seeds import random_for

Kind = Literal["bias", "dark", "flat", "spot", "science"]

ZERO_POINT_MAG = {"g": 27.3, "r": 27.2, "i": 26.9, "z": 26.3, "y": 25.4}
"""Magnitude of one electron a second outside the atmosphere, before the flat."""

SKY_MAG_ARCSEC2 = {"g": 21.7, "r": 20.9, "i": 20.2, "z": 19.2, "y": 18.3}
"""Brightness of the sky."""

_DITHER_ARCSEC = 60.0
_CROSS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
_TURNED_DEG = 5.0
_POINTING_ERROR_ARCSEC, _ROTATION_ERROR_DEG = 5.0, 0.05
_BAD_SEEING_ARCSEC = 2.1
_LEAST_VISITS_FOR_TROUBLE = 5
_CALIBRATION_DAYS_BEFORE = 0.5
_FIRST_CALIBRATION_OF_HSC = 902000


@dataclass(frozen=True, slots=True)
class Exposure:
    """One exposure, as it is and as its header has it.

    Attributes
    ----------
    number
        Value of the dimensions ``exposure`` and ``visit``.
    kind
        What it is of.
    target
        ``OBJECT`` of its header; ``ramp`` for flats of the photon transfer.
    physical_filter, band
        Empty for frames without light.
    detectors
        Those that are read.
    begin_mjd
        Start, UTC.
    time_s
        Open shutter; of a dark the time until it is read.
    level_electron
        Of a flat, electrons in a pixel of response 1; of spots, in the middle of each.
    ra_deg, dec_deg, rotation_deg
        Where the centre of the field looks and how +y of the focal plane stands.
    header_ra_deg, header_dec_deg, header_rotation_deg
        The same as the telescope believes them.
    airmass
        For the header.
    seeing_arcsec
        Full width at half maximum of the PSF at the centre of the field, pixel included.
    shear
        Ellipticity of the PSF there.
    extinction_mag
        Grey, on top of what the zero point has.
    sky_electron
        Electrons of sky in a pixel of response 1 at the centre of the field.
    has_trail
        Whether a satellite crosses it.
    """

    number: int
    kind: Kind
    target: str
    physical_filter: str
    band: str
    detectors: tuple[int, ...]
    begin_mjd: float
    time_s: float
    level_electron: float = 0.0
    ra_deg: float = math.nan
    dec_deg: float = math.nan
    rotation_deg: float = 0.0
    header_ra_deg: float = math.nan
    header_dec_deg: float = math.nan
    header_rotation_deg: float = 0.0
    airmass: float = math.nan
    seeing_arcsec: float = math.nan
    shear: tuple[float, float] = (0.0, 0.0)
    extinction_mag: float = 0.0
    sky_electron: float = 0.0
    has_trail: bool = False

    @property
    def mid_mjd(self) -> float:
        """Middle of the exposure, UTC."""
        return self.begin_mjd + self.time_s / 2 / 86400

    @property
    def zero_point_mag(self) -> float:
        """Magnitude of one electron in the exposure, before the flat."""
        return ZERO_POINT_MAG[self.band] + 2.5 * math.log10(self.time_s) - self.extinction_mag


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """A preset with a seed: everything that follows from the two.

    Attributes
    ----------
    preset
        What is observed.
    seed
        Chooses everything random.
    camera
        The camera.
    exposures
        Science first, then calibration frames.
    """

    preset: Preset
    seed: int
    camera: Camera
    exposures: tuple[Exposure, ...]

    def frames(self) -> tuple[tuple[Exposure, Detector], ...]:
        """List the raw frames, those of a detector together."""
        return tuple(
            (exposure, self.camera.detector(number))
            for number in self.detectors()
            for exposure in self.exposures
            if number in exposure.detectors
        )

    def detectors(self) -> tuple[int, ...]:
        """List the detectors that are used."""
        return tuple(sorted({number for e in self.exposures for number in e.detectors}))

    def science(self) -> tuple[Exposure, ...]:
        """List the visits."""
        return tuple(e for e in self.exposures if e.kind == "science")

    def radius_deg(self) -> float:
        """Give the distance from the centre of the field within which all pixels are."""
        pixels = 0.0
        for exposure in self.science():
            middle = _middle(self.camera, exposure.detectors) if self.preset.visits else (0.0, 0.0)
            for detector in map(self.camera.detector, exposure.detectors):
                away = math.hypot(
                    detector.focal_y_pix - middle[0], detector.focal_x_pix - middle[1]
                )
                pixels = max(pixels, away + math.hypot(detector.ny, detector.nx) / 2)
        dither = 2 * _DITHER_ARCSEC
        return (1.03 * pixels * self.camera.pixel_scale_arcsec + dither) / 3600


@lru_cache(maxsize=2)
def make_survey(preset: Preset, seed: int) -> Survey:
    """Work out the exposures of a preset.

    Parameters
    ----------
    preset
        What is observed.
    seed
        Chooses pointing errors, seeing, transparency.
    """
    camera = get_camera(preset.camera)
    visits = _listed_visits(preset, camera) if preset.visits else _dithered_visits(preset, camera)
    science = [_observe(preset, camera, visit, seed, i) for i, visit in enumerate(visits)]
    if len(science) >= _LEAST_VISITS_FOR_TROUBLE:
        # The last visit of a dithered band is the turned one: it stays good.
        science[-2] = replace(science[-2], seeing_arcsec=_BAD_SEEING_ARCSEC)
        science[-3] = replace(science[-3], has_trail=True)
    return Survey(preset, seed, camera, (*science, *_calibrations(preset, camera, science)))


def _filter_name(camera: Camera, band: str) -> str:
    """Name the physical filter of a band."""
    return next(name for name, value in camera.bands.items() if value == band)


def _dithered_visits(preset: Preset, camera: Camera) -> list[Exposure]:
    """Place the visits of each band on a cross; the last but one is turned."""
    visits = []
    for number_of_band, band in enumerate(preset.bands):
        for i in range(preset.n_dithers):
            row, column = _CROSS[i % len(_CROSS)]
            step = _DITHER_ARCSEC / 3600 * (1 if preset.camera != "simcam_unit" else 0.1)
            ra, dec = gnomonic_deproject(column * step, row * step, centre_deg=preset.centre_deg)
            is_turned = preset.n_dithers > len(_CROSS) - 1 and i == preset.n_dithers - 1
            visits.append(
                Exposure(
                    number=1 + i + number_of_band * preset.n_dithers,
                    kind="science",
                    target="field",
                    physical_filter=_filter_name(camera, band),
                    band=band,
                    detectors=tuple(camera.detectors),
                    begin_mjd=preset.first_mjd[number_of_band] + 0.004 * i,
                    time_s=preset.exposure_time_s,
                    ra_deg=float(ra),
                    dec_deg=float(dec),
                    rotation_deg=_TURNED_DEG if is_turned else 0.0,
                )
            )
    return visits


def _listed_visits(preset: Preset, camera: Camera) -> list[Exposure]:
    """Point the middle of the detectors of each visit at the centre of the field."""
    visits: list[Exposure] = []
    n_of_first_band = 6
    for i, (number, detectors) in enumerate(preset.visits.items()):
        number_of_band, place = divmod(i, n_of_first_band)
        band = preset.bands[number_of_band]
        y, x = _middle(camera, detectors)
        hand = 1.0 if camera.is_mirrored else -1.0
        scale = camera.pixel_scale_arcsec / 3600
        shrink = 1 + camera.cubic_distortion * (y * y + x * x)
        ra, dec = gnomonic_deproject(
            -hand * x * scale * shrink, -y * scale * shrink, centre_deg=preset.centre_deg
        )
        visits.append(
            Exposure(
                number=number,
                kind="science",
                target="STRIPE82L",
                physical_filter=_filter_name(camera, band),
                band=band,
                detectors=detectors,
                begin_mjd=preset.first_mjd[number_of_band] + 0.004 * place,
                time_s=preset.exposure_time_s,
                ra_deg=float(ra),
                dec_deg=float(dec),
            )
        )
    return visits


def _middle(camera: Camera, numbers: Sequence[int]) -> tuple[float, float]:
    """Give the middle of some detectors on the focal plane (y, x), pixels."""
    detectors = [camera.detector(number) for number in numbers]
    return (
        float(np.mean([d.focal_y_pix for d in detectors])),
        float(np.mean([d.focal_x_pix for d in detectors])),
    )


def _observe(preset: Preset, camera: Camera, visit: Exposure, seed: int, place: int) -> Exposure:
    """Give a visit its weather and the errors of its header."""
    rng = random_for("visit", seed, visit.number)
    off = rng.uniform(0.6, 1.0) * _POINTING_ERROR_ARCSEC / 3600
    towards = rng.uniform(0, 2 * math.pi)
    ra, dec = gnomonic_deproject(
        off * math.sin(towards),
        off * math.cos(towards),
        centre_deg=(visit.ra_deg, visit.dec_deg),
    )
    ellipticity, angle = rng.uniform(0.02, 0.05), rng.uniform(0, 2 * math.pi)
    seeing = float(np.clip(0.78 * math.exp(0.15 * rng.standard_normal()), 0.6, 1.1))
    extinction = 0.0 if place == 0 else float(rng.uniform(0.0, 0.3)) * float(rng.random() < 0.4)
    sky_mag = SKY_MAG_ARCSEC2[visit.band] - 2.5 * math.log10(camera.pixel_scale_arcsec**2)
    zero_point = ZERO_POINT_MAG[visit.band] + 2.5 * math.log10(visit.time_s)
    sky = 10 ** (-0.4 * (sky_mag - zero_point)) * rng.uniform(0.85, 1.2)
    return replace(
        visit,
        header_ra_deg=float(ra),
        header_dec_deg=float(dec),
        header_rotation_deg=visit.rotation_deg
        + float(rng.choice([-1, 1]) * rng.uniform(0.6, 1.0) * _ROTATION_ERROR_DEG),
        airmass=float(rng.uniform(1.05, 1.4)),
        seeing_arcsec=seeing,
        shear=(ellipticity * math.cos(angle) / 2, ellipticity * math.sin(angle) / 2),
        extinction_mag=extinction,
        sky_electron=float(sky),
    )


def _calibrations(preset: Preset, camera: Camera, science: Sequence[Exposure]) -> list[Exposure]:
    """List the calibration frames, taken before the first visit."""
    plan = preset.calibrations
    wanted: list[tuple[Kind, str, str, float, float]] = []
    wanted += [("bias", "bias", "", 0.0, 0.0)] * plan.n_biases
    wanted += [("dark", "dark", "", plan.dark_time_s, 0.0)] * plan.n_darks
    for band in preset.bands:
        wanted += [("flat", "flat", band, 10.0, plan.flat_electron)] * plan.n_flats
    for level in plan.ramp_electron:
        time_s = 10.0 * level / plan.flat_electron
        wanted += [("flat", "ramp", preset.bands[0], time_s, level)] * 2
    wanted += [("spot", "spot", preset.bands[0], 10.0, plan.spot_electron)] * plan.n_spots
    begin = min(e.begin_mjd for e in science) - _CALIBRATION_DAYS_BEFORE
    first, step = (_FIRST_CALIBRATION_OF_HSC, 2) if preset.camera == "hsc" else (1001, 1)
    detectors = tuple(sorted({number for e in science for number in e.detectors}))
    return [
        Exposure(
            number=first + i * step,
            kind=kind,
            target=target,
            physical_filter=_filter_name(camera, band) if band else "",
            band=band,
            detectors=detectors,
            begin_mjd=begin + 0.004 * i,
            time_s=time_s,
            level_electron=level,
        )
        for i, (kind, target, band, time_s, level) in enumerate(wanted)
    ]
