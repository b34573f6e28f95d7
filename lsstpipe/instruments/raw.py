"""Read the raw frames of any camera: FITS, plain, gzipped or tile-compressed."""

from __future__ import annotations

import gzip
import importlib
import io
import math
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from lsstpipe.errors import InputFileError, UserError
from lsstpipe.image._mask_kernel import flag_levels
from lsstpipe.image.detector import Detector
from lsstpipe.image.exposure import Exposure, ObservationInfo
from lsstpipe.image.mask import MaskPlane
from lsstpipe.instruments.camera import Camera

if TYPE_CHECKING:
    from astro_metadata_translator import MetadataTranslator

CAMERAS = (
    "andicam", "hsc", "latiss", "lsstcam", "lsstcamsim", "nickel", "simcam", "simcam_small",
    "simcam_unit", "st10",
)  # fmt: skip
"""Cameras that there is a module for, by the name of the module."""

FIRST_MJD, LAST_MJD = 40000.0, 90000.0
"""Dates outside of May 1968 to April 2105 are taken for errors of a clock."""

LONGEST_EXPOSURE_S = 86400.0

_GZIP_MAGIC = b"\x1f\x8b"
_MAX_GZIPS = 2


@dataclass(frozen=True, slots=True, eq=False)
class RawFile:
    """A raw frame as it is in its file: a quarter of the memory that its exposure takes.

    Attributes
    ----------
    path
        The file.
    camera
        The camera that it should be from.
    header
        Its header.
    pixels
        Its pixels, mostly of 16 bits.
    """

    path: str
    camera: Camera
    header: fits.Header
    pixels: npt.NDArray[Any]


def get_camera(name: str) -> Camera:
    """Look up a camera by name.

    Raises
    ------
    UserError
        If there is no module for it.
    """
    camera: Camera = _module(name).CAMERA
    return camera


def read_info(path: str | Path, camera: Camera) -> ObservationInfo:
    """Read what the header of a raw frame says, and check that its pixels can be read.

    Parameters
    ----------
    path
        A FITS file; it may be gzipped or tile-compressed.
    camera
        The camera that it should be from.

    Raises
    ------
    InputFileError
        If the file is damaged, is not FITS, is of another camera or size, or has a header that
        cannot be true.
    """
    return _translate(read_raw_file(path, camera))


def read_raw(path: str | Path, camera: Camera, info: ObservationInfo | None = None) -> Exposure:
    """Read a raw frame: `read_raw_file` and `make_exposure` in one.

    Parameters
    ----------
    path
        A FITS file; it may be gzipped or tile-compressed.
    camera
        The camera that it should be from.
    info
        As for `make_exposure`.

    Returns
    -------
    Exposure
        As of `make_exposure`.

    Raises
    ------
    InputFileError
        As `read_info`.
    """
    return make_exposure(read_raw_file(path, camera), info)


def read_raw_file(path: str | Path, camera: Camera) -> RawFile:
    """Read a raw frame as it is in its file.

    Parameters
    ----------
    path
        A FITS file; it may be gzipped or tile-compressed.
    camera
        The camera that it should be from.

    Raises
    ------
    InputFileError
        If the file is damaged, is not FITS, or has a size that no detector of the camera has.
    """
    return RawFile(str(path), camera, *_read(path, camera))


def make_exposure(raw: RawFile, info: ObservationInfo | None = None) -> Exposure:
    """Put a raw frame into lsstpipe's terms.

    Parameters
    ----------
    raw
        The frame.
    info
        What its header says, where that is known: the packages that read headers of many cameras
        take longer to load than a frame.

    Returns
    -------
    Exposure
        The raw frame in ADU, overscan and all, on `Detector.raw_box`; planes SAT, SUSPECT and,
        where a pixel is no number, BAD and UNMASKEDNAN (its value is set to 0). The variance is
        not known yet: it is 0.

    Raises
    ------
    InputFileError
        As `read_info`.
    """
    info = _translate(raw) if info is None else info
    detector = raw.camera.detector(info.detector)
    image = raw.pixels.astype(np.float32)
    mask = _mask(image, detector)
    unknown = ~np.isfinite(image)
    if unknown.any():
        mask[unknown] |= MaskPlane.BAD | MaskPlane.UNMASKEDNAN
        image[unknown] = 0
    return Exposure(
        image=image,
        mask=mask,
        # One number that stands for all pixels: it is known later, and memory is scarce.
        variance=np.broadcast_to(np.float32(0), image.shape),
        box=detector.raw_box,
        unit="adu",
        info=info,
    )


def _module(name: str) -> Any:
    """Import the module of a camera."""
    if name not in CAMERAS:
        raise UserError(f"There is no camera '{name}'; there are {', '.join(CAMERAS)}.")
    return importlib.import_module(f"lsstpipe.instruments.{name}")


def _read(path: str | Path, camera: Camera) -> tuple[fits.Header, npt.NDArray[Any]]:
    """Read header and pixels of the first image of a file."""
    try:
        with warnings.catch_warnings():
            # Headers of real cameras are dirty; what astropy repairs in them does no harm.
            warnings.simplefilter("ignore", AstropyWarning)
            warnings.filterwarnings("error", message=".*truncated.*", category=AstropyWarning)
            plain = _unzip(Path(path).read_bytes())
            with fits.open(io.BytesIO(plain), memmap=False) as hdus:
                images = [h for h in hdus if h.header.get("NAXIS") == 2 and h.data is not None]
                if not images:
                    raise InputFileError(f"{path} has no two-dimensional image.")
                header, pixels = _mosaic(hdus, images, camera)
    except FileNotFoundError:
        raise InputFileError(f"{path} does not exist.") from None
    except (OSError, EOFError, ValueError, TypeError, zlib.error, AstropyWarning) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputFileError(
            f"{path} is not a readable FITS file (damaged, truncated or of another kind): {reason}"
        ) from error
    shapes = {d.raw_box.shape for d in camera.detectors.values()}
    if pixels.shape not in shapes:
        raise InputFileError(
            f"{path} has {pixels.shape[0]} x {pixels.shape[1]} pixels (rows x columns); "
            f"detectors of {camera.name} have {' or '.join(f'{y} x {x}' for y, x in shapes)}."
        )
    return header, pixels


def _unzip(data: bytes) -> bytes:
    """Undo gzip: archives keep files that were gzipped before, so it can be there twice."""
    for _ in range(_MAX_GZIPS):
        if not data.startswith(_GZIP_MAGIC):
            break
        data = gzip.decompress(data)
    return data


def _mosaic(
    hdus: fits.HDUList, images: list[Any], camera: Camera
) -> tuple[fits.Header, npt.NDArray[np.generic]]:
    """Give header and raw frame: of a camera with one image an amplifier, as its module says."""
    module = _module(camera.name)
    if hasattr(module, "mosaic"):
        mosaic: tuple[fits.Header, npt.NDArray[np.generic]] = module.mosaic(hdus)
        return mosaic
    return images[0].header, np.asarray(images[0].data)


def _translate(raw: RawFile) -> ObservationInfo:
    """Put a header into lsstpipe's terms, or say what cannot be true in it."""
    header, path, camera = raw.header, raw.path, raw.camera
    translator_class = importlib.import_module(
        f"lsstpipe.instruments.headers.{camera.name}"
    ).TRANSLATOR
    if not translator_class.can_translate(header):
        raise InputFileError(
            f"{path} is of the camera '{header.get('INSTRUME', 'unknown')}', not of {camera.name}."
        )
    translator = translator_class(header, filename=path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of years that erfa finds dubious; checked below
            begin_mjd = float(translator.to_datetime_begin().mjd)
            exposure_time = float(translator.to_exposure_time().to_value("s"))
            dark_time = float(translator.to_dark_time().to_value("s"))
            exposure = translator.to_exposure_id()
            observation_type = translator.to_observation_type()
            detector = camera.detector(translator.to_detector_num())
    except (KeyError, ValueError, TypeError) as error:
        raise InputFileError(
            f"{path} lacks a usable EXPTIME, DATE-OBS, kind, number or detector: "
            f"{' '.join(str(error).split())}"
        ) from error
    if not (math.isfinite(exposure_time) and 0 <= exposure_time <= LONGEST_EXPOSURE_S):
        raise InputFileError(
            f"{path} has an exposure time of {exposure_time:g} s; "
            f"allowed are 0 to {LONGEST_EXPOSURE_S:g} s."
        )
    if observation_type == "science" and exposure_time == 0:
        raise InputFileError(f"{path} is a science exposure of 0 s; it must be longer than 0 s.")
    if not FIRST_MJD <= begin_mjd <= LAST_MJD:
        raise InputFileError(
            f"{path} was taken on MJD {begin_mjd:.1f}; allowed are {FIRST_MJD:g} to {LAST_MJD:g}."
        )
    physical_filter = translator.to_physical_filter()
    if observation_type == "science" and physical_filter not in camera.bands:
        raise InputFileError(
            f"{path} was taken through '{physical_filter}'; "
            f"filters of {camera.name} are {', '.join(camera.bands)}."
        )
    ra_deg, dec_deg, rotation_deg = _point(translator, camera, detector)
    return ObservationInfo(
        instrument=camera.name,
        exposure=exposure,
        detector=detector.number,
        physical_filter=physical_filter,
        band=camera.bands.get(physical_filter, "none"),
        observation_type=observation_type,
        target=translator.to_object(),
        exposure_time_s=exposure_time,
        dark_time_s=dark_time,
        mid_mjd=begin_mjd + exposure_time / 2 / 86400.0,
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        airmass=float(translator.to_boresight_airmass()),
        rotation_deg=rotation_deg,
    )


def _point(
    translator: MetadataTranslator, camera: Camera, detector: Detector
) -> tuple[float, float, float]:
    """Find where the header puts the centre of the detector, and which way its +y axis looks."""
    centre = translator.to_tracking_radec()
    angle = translator.to_boresight_rotation_angle()
    if centre is None:
        return math.nan, math.nan, math.nan
    return camera.point(
        detector,
        ra_deg=float(centre.icrs.ra.deg),
        dec_deg=float(centre.icrs.dec.deg),
        rotation_deg=math.nan if angle is None else float(angle.to_value("deg")),
    )


def _mask(image: npt.NDArray[np.float32], detector: Detector) -> npt.NDArray[np.int32]:
    """Flag what the raw level alone tells of a pixel."""
    mask = np.zeros(image.shape, dtype=np.int32)
    bits = (int(MaskPlane.SUSPECT), int(MaskPlane.SAT))
    for amplifier in detector.amplifiers:
        y, x = amplifier.data.slices_in(detector.raw_box)
        limits = (np.float32(amplifier.suspect_adu), np.float32(amplifier.saturation_adu))
        flag_levels(image[y, x], mask[y, x], limits, bits)
    return mask
