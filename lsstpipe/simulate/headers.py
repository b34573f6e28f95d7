"""Headers of raw frames, in each camera's own words."""

from __future__ import annotations

import math

from astropy.coordinates import Angle
from astropy.io import fits
from astropy.time import Time

from lsstpipe.image.detector import Detector
from lsstpipe.simulate.survey import Exposure, Survey

_HSC_KINDS = {
    "bias": "BIAS",
    "dark": "DARK",
    "flat": "DOMEFLAT",
    "spot": "SPOT",
    "science": "OBJECT",
}
_HSC_PA_OFFSET_DEG = 270.0
_HSC_LATITUDE_DEG = 19.8
_MISLED_BY_DIAGONALS = 1.3


def raw_name(survey: Survey, exposure: Exposure, detector: Detector) -> str:
    """Name the file of a raw frame.

    Parameters
    ----------
    survey, exposure, detector
        What took it.
    """
    if survey.camera.name == "hsc":
        return f"{_frame_id(exposure, detector)}.fits.fz"
    return f"{survey.camera.name}-{exposure.number:04d}-{detector.number:03d}.fits.fz"


def raw_header(survey: Survey, exposure: Exposure, detector: Detector) -> fits.Header:
    """Write the header of a raw frame, with the pointing that the telescope believes in.

    Parameters
    ----------
    survey, exposure, detector
        What took it.
    """
    write = _hsc_header if survey.camera.name == "hsc" else _simcam_header
    return write(survey, exposure, detector)


def header_pointing(survey: Survey, exposure: Exposure, detector: Detector) -> tuple[float, float]:
    """Give where the header says that the centre of the field looks.

    Parameters
    ----------
    survey, exposure, detector
        What took it; a misled detector's header points elsewhere.

    Returns
    -------
    ra_deg, dec_deg
        ICRS.
    """
    is_misled = (exposure.number, detector.number) in survey.preset.misled
    if not is_misled:
        return exposure.header_ra_deg, exposure.header_dec_deg
    # Near enough to be planned with the patches of the field, too far to share a star with it.
    scale_deg = survey.camera.pixel_scale_arcsec / 3600
    away = _MISLED_BY_DIAGONALS * math.hypot(detector.ny, detector.nx) * scale_deg
    return exposure.header_ra_deg, exposure.header_dec_deg + away


def _simcam_header(survey: Survey, exposure: Exposure, detector: Detector) -> fits.Header:
    header = fits.Header()
    header["INSTRUME"] = (survey.camera.name, "camera")
    header["EXPID"] = (exposure.number, "number of the exposure")
    header["DETECTOR"] = (detector.number, "number of the detector")
    header["IMGTYPE"] = (exposure.kind, "kind of exposure")
    header["OBJECT"] = (exposure.target, "target")
    header["FILTER"] = (exposure.physical_filter or "none", "physical filter")
    header["EXPTIME"] = (_open_s(exposure), "[s] open shutter")
    header["DARKTIME"] = (exposure.time_s, "[s] time until the read-out")
    header["DATE-OBS"] = (Time(exposure.begin_mjd, format="mjd").isot, "start, UTC")
    header["TIMESYS"] = "UTC"
    if exposure.kind == "science":
        ra, dec = header_pointing(survey, exposure, detector)
        header["RA"] = (ra, "[deg] centre of the field, ICRS")
        header["DEC"] = (dec, "[deg] centre of the field, ICRS")
        header["ROTPA"] = (exposure.header_rotation_deg, "[deg] of +y, from north through east")
        header["AIRMASS"] = exposure.airmass
    for i, amplifier in enumerate(detector.amplifiers):
        header[f"GAIN{i + 1}"] = (amplifier.gain, "[electron/adu] nominal")
    return header


def _hsc_header(survey: Survey, exposure: Exposure, detector: Detector) -> fits.Header:
    begin = Time(exposure.begin_mjd, format="mjd")
    end = Time(exposure.begin_mjd + exposure.time_s / 86400, format="mjd")
    header = fits.Header()
    header["OBSERVAT"] = "NAOJ"
    header["TELESCOP"] = "Subaru"
    header["INSTRUME"] = "Hyper Suprime-Cam"
    header["FRAMEID"] = _frame_id(exposure, detector)
    header["EXP-ID"] = f"HSCA{exposure.number:06d}00"
    header["DET-ID"] = detector.number
    header["DETECTOR"] = f"HSC{detector.name}"
    header["T_CCDSN"] = detector.name
    header["DATA-TYP"] = _HSC_KINDS[exposure.kind]
    header["OBJECT"] = exposure.target
    header["PROP-ID"] = "o00000"
    header["FILTER01"] = exposure.physical_filter or "NONE"
    header["EXPTIME"] = exposure.time_s if exposure.kind == "dark" else _open_s(exposure)
    header["DATE-OBS"] = begin.isot[:10]
    header["UT-STR"] = begin.isot[11:]
    header["UT-END"] = end.isot[11:]
    header["MJD"] = exposure.begin_mjd
    header["TIMESYS"] = "UTC"
    # Between visits the telescope stands at the zenith; its headers always say where.
    is_science = exposure.kind == "science"
    zenith = (0.0, _HSC_LATITUDE_DEG)
    ra, dec = header_pointing(survey, exposure, detector) if is_science else zenith
    header["RA2000"] = Angle(ra, "deg").to_string("hour", sep=":", precision=4, pad=True)
    header["DEC2000"] = Angle(dec, "deg").to_string(
        "deg", sep=":", precision=3, alwayssign=True, pad=True
    )
    header["INST-PA"] = _HSC_PA_OFFSET_DEG - exposure.header_rotation_deg
    header["AIRMASS"] = exposure.airmass if is_science else 1.0
    for i, amplifier in enumerate(detector.amplifiers):
        overscan = amplifier.serial_overscan or amplifier.data
        header[f"T_GAIN{i + 1}"] = amplifier.gain
        header[f"T_EFMN{i + 1}1"] = amplifier.data.x0 + 1
        header[f"T_EFMX{i + 1}1"] = amplifier.data.x1
        header[f"T_EFMN{i + 1}2"] = amplifier.data.y0 + 1
        header[f"T_EFMX{i + 1}2"] = amplifier.data.y1
        header[f"T_OSMN{i + 1}1"] = overscan.x0 + 1
        header[f"T_OSMX{i + 1}1"] = overscan.x1
    return header


def _open_s(exposure: Exposure) -> float:
    """Give the time that the shutter was open."""
    return 0.0 if exposure.kind in ("bias", "dark") else exposure.time_s


def _frame_id(exposure: Exposure, detector: Detector) -> str:
    """Name an HSC frame: detectors from 100 on have the number of the next exposure."""
    carry, rest = divmod(detector.number, 100)
    return f"HSCA{exposure.number + carry:06d}{rest:02d}"
