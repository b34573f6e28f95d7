"""Exposures as FITS files.

========  ========================================================================================
HDU       content
========  ========================================================================================
primary   no pixels; cards for people: INSTRUME, OBJECT, FILTER, EXPTIME, MJD-AVG
IMAGE     float32 pixels; BUNIT, sky coordinates (TAN or TAN-SIP), LTV1/LTV2 of the box
MASK      int32 bits, RICE-compressed; ``HIERARCH MP_<PLANE>`` gives the bit of each plane
VARIANCE  float32 pixels
JSON      everything else, exactly, as UTF-8 text in bytes (`lsstpipe.io.json`)
PSF_...   arrays of the PSF, where there is one
========  ========================================================================================

Image and variance are not compressed: lossless GZIP_2 saves a third of a real frame at 30 to 200
times the time, and its bytes differ from one write to the next. RICE makes a mask 20 times smaller
in the time of a few plain copies (PLIO, made for masks, overruns its buffer on ragged ones:
cfitsio issue 136, and astropy has the same code). An image or a variance that is 0 everywhere, as
that of a background or of defects, is stored as RICE-compressed bytes.

Planes go by their names: a reader with other bits moves them to its own, and drops planes that it
has no name for, since nothing in it could ask for them.
"""

from __future__ import annotations

import dataclasses
import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from lsstpipe.errors import InputFileError
from lsstpipe.geometry.box import Box
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.aperture_correction import ApertureCorrection
from lsstpipe.image.exposure import Exposure, ObservationInfo
from lsstpipe.image.mask import MaskArray, MaskPlane
from lsstpipe.image.photocalib import PhotoCalib
from lsstpipe.image.psf import Psf, psf_from_arrays
from lsstpipe.io.json import read_json, write_json

FORMAT = 1
"""Version of the layout: raised when older readers would misread a file."""

_FORMAT_CARD = "LPFORMAT"
_PLANE_PREFIX = "MP_"
_ALL_PLANES = sum(MaskPlane)
_TILE_ROWS = 64

Plain = dict[str, Any]


def write_exposure(exposure: Exposure) -> bytes:
    """Turn an exposure into the bytes of a FITS file.

    Parameters
    ----------
    exposure
        Any exposure; its mask may have only bits that `MaskPlane` names.

    Raises
    ------
    ValueError
        If a bit of the mask has no name.
    """
    arrays = exposure.psf.to_arrays() if exposure.psf is not None else {}
    hdus = [
        _primary(exposure),
        _image_hdu(exposure),
        _mask_hdu(exposure.mask),
        _float_hdu(exposure.variance, fits.Header(), "VARIANCE"),
        _json_hdu(exposure, list(arrays)),
        *_psf_hdus(arrays),
    ]
    sink = io.BytesIO()
    fits.HDUList(hdus).writeto(sink, output_verify="exception")
    return sink.getvalue()


def read_exposure(content: bytes, name: str) -> Exposure:
    """Turn the bytes of a FITS file into the exposure that was written.

    Parameters
    ----------
    content
        Content of the file.
    name
        What error messages call it.

    Raises
    ------
    InputFileError
        If it is damaged, was not written by `write_exposure`, or has a newer format.
    """
    with _open(content, name) as hdus:
        return _read_hdus(hdus, content, name)


def read_mask(content: bytes, name: str) -> MaskArray:
    """Turn the bytes of a FITS file into the mask of the exposure that was written.

    Parameters
    ----------
    content, name
        As of `read_exposure`.

    Raises
    ------
    InputFileError
        As `read_exposure` does.
    """
    with _open(content, name) as hdus:
        return _read_mask(hdus, _read_plain(hdus, name))


@contextmanager
def _open(content: bytes, name: str) -> Iterator[fits.HDUList]:
    """Open a file of this format; whatever goes wrong with it meanwhile is said in one way."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", AstropyWarning)  # a file cut short is only a warning
            with fits.open(io.BytesIO(content), lazy_load_hdus=False) as hdus:
                _check_format(hdus[0].header, name)
                yield hdus
    except (OSError, KeyError, ValueError, TypeError, AstropyWarning) as error:
        raise InputFileError(f"{name} is damaged or not an lsstpipe exposure: {error}.") from error


def _check_format(header: fits.Header, name: str) -> None:
    given = header.get(_FORMAT_CARD)
    if given is None:
        raise InputFileError(f"{name} is a FITS file that lsstpipe did not write.")
    if given > FORMAT:
        raise InputFileError(
            f"{name} has format {given} of exposures; this lsstpipe reads up to {FORMAT}."
        )


def _primary(exposure: Exposure) -> fits.PrimaryHDU:
    header = fits.Header()
    header[_FORMAT_CARD] = (FORMAT, "layout of this file")
    info = exposure.info
    if info is not None:
        for keyword, value, comment in (
            ("INSTRUME", info.instrument, "camera"),
            ("OBJECT", info.target, "target"),
            ("OBSTYPE", info.observation_type, "kind of exposure"),
            ("FILTER", info.physical_filter, "physical filter"),
            ("EXPTIME", info.exposure_time_s, "[s] open shutter"),
            ("MJD-AVG", info.mid_mjd, "[d] middle of the exposure, TAI"),
        ):
            if _fits_a_card(value):
                header[keyword] = (value, comment)
        header["TIMESYS"] = "TAI"
    return fits.PrimaryHDU(header=header)


def _fits_a_card(value: str | float) -> bool:
    """Tell whether a card can hold a value: these are for people, the JSON has all of them."""
    if isinstance(value, str):
        return value.isascii() and value.isprintable() and len(value) < 48
    return bool(np.isfinite(value))


def _image_hdu(exposure: Exposure) -> fits.CompImageHDU | fits.ImageHDU:
    header = fits.Header()
    header["BUNIT"] = exposure.unit
    header["LTV1"] = (-exposure.box.x0, "column of the first pixel, negative")
    header["LTV2"] = (-exposure.box.y0, "row of the first pixel, negative")
    if exposure.wcs is not None:
        for keyword, value in exposure.wcs.to_header().items():
            header[keyword] = value
        # Others count from the first pixel of the file, lsstpipe from that of the detector.
        header["CRPIX1"] -= exposure.box.x0
        header["CRPIX2"] -= exposure.box.y0
    return _float_hdu(exposure.image, header, "IMAGE")


def _float_hdu(
    pixels: npt.NDArray[np.float32], header: fits.Header, name: str
) -> fits.CompImageHDU | fits.ImageHDU:
    # Bits, since -0 is not 0 to the last of them.
    if not pixels.size or np.ascontiguousarray(pixels).view(np.uint32).any():
        return fits.ImageHDU(pixels, header=header, name=name)
    return _rice_hdu(np.zeros(pixels.shape, dtype=np.uint8), header, name)


def _rice_hdu(
    pixels: npt.NDArray[np.integer[Any]], header: fits.Header, name: str
) -> fits.CompImageHDU:
    tile = (min(_TILE_ROWS, pixels.shape[0]), pixels.shape[1])
    return fits.CompImageHDU(
        pixels, header=header, name=name, compression_type="RICE_1", tile_shape=tile
    )


def _mask_hdu(mask: MaskArray) -> fits.CompImageHDU | fits.ImageHDU:
    bits = int(np.bitwise_or.reduce(mask, axis=None)) if mask.size else 0
    if bits & ~_ALL_PLANES:
        raise ValueError(f"The mask has bits {bits & ~_ALL_PLANES:#x}, which no plane names.")
    header = fits.Header()
    for plane in MaskPlane:
        header[f"HIERARCH {_PLANE_PREFIX}{plane.name}"] = int(plane).bit_length() - 1
    if not mask.size:
        return fits.ImageHDU(mask, header=header, name="MASK")
    return _rice_hdu(mask, header, "MASK")


def _json_hdu(exposure: Exposure, psf_arrays: list[str]) -> fits.ImageHDU:
    content: Plain = {
        "box": dataclasses.asdict(exposure.box),
        "unit": exposure.unit,
        "psf": psf_arrays,
        "wcs": None if exposure.wcs is None else exposure.wcs.to_json_dict(),
        "photo_calib": _fields(exposure.photo_calib),
        "aperture_correction": _fields(exposure.aperture_correction),
        "info": _fields(exposure.info),
        "metadata": dict(exposure.metadata),
    }
    return fits.ImageHDU(np.frombuffer(write_json(content), dtype=np.uint8), name="JSON")


def _fields(value: PhotoCalib | ApertureCorrection | ObservationInfo | None) -> Plain | None:
    return None if value is None else dataclasses.asdict(value)


def _psf_hdus(arrays: Mapping[str, npt.NDArray[np.generic]]) -> list[fits.ImageHDU]:
    return [fits.ImageHDU(values, name=_psf_name(name)) for name, values in arrays.items()]


def _psf_name(array_name: str) -> str:
    return f"PSF_{array_name.upper()}"


def _read_hdus(hdus: fits.HDUList, content: bytes, name: str) -> Exposure:
    plain = _read_plain(hdus, name)
    return Exposure(
        image=_pixels(hdus["IMAGE"], content, plain),
        mask=_read_mask(hdus, plain),
        variance=_pixels(hdus["VARIANCE"], content, plain),
        box=Box(**plain["box"]),
        unit=plain["unit"],
        psf=_read_psf(plain["psf"], hdus),
        wcs=plain["wcs"] and SkyWcs.from_json_dict(plain["wcs"]),
        photo_calib=plain["photo_calib"] and PhotoCalib(**_as_tuples(plain["photo_calib"])),
        aperture_correction=plain["aperture_correction"]
        and ApertureCorrection(**_as_tuples(plain["aperture_correction"])),
        info=plain["info"] and ObservationInfo(**plain["info"]),
        metadata=plain["metadata"],
    )


def _read_plain(hdus: fits.HDUList, name: str) -> Plain:
    plain: Plain = read_json(hdus["JSON"].data.tobytes(), f"the JSON of {name}")
    return plain


def _read_mask(hdus: fits.HDUList, plain: Plain) -> MaskArray:
    hdu = hdus["MASK"]
    return _move_planes(_native(hdu.data, plain, np.int32), hdu.header)


def _pixels(
    hdu: fits.ImageHDU | fits.CompImageHDU, content: bytes, plain: Plain
) -> npt.NDArray[np.float32]:
    """Turn the pixels of an image into our own in one step: astropy would copy them twice more."""
    shape = (plain["box"]["ny"], plain["box"]["nx"])
    if isinstance(hdu, fits.CompImageHDU) and hdu.shape == shape:
        return np.zeros(shape, dtype=np.float32)  # nothing else is compressed
    if hdu.header["BITPIX"] != -32 or hdu.shape != shape:
        return _native(hdu.data, plain, np.float32)
    start = hdu.fileinfo()["datLoc"]
    big_endian = np.frombuffer(content, ">f4", count=shape[0] * shape[1], offset=start)
    return big_endian.reshape(shape).astype(np.float32)


def _native(data: object, plain: Plain, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Copy FITS's big-endian pixels into memory of our own; FITS gives None for no pixels."""
    shape = (plain["box"]["ny"], plain["box"]["nx"])
    if data is None:
        return np.zeros(shape, dtype=dtype)
    return np.ascontiguousarray(data, dtype=dtype)


def _move_planes(mask: MaskArray, header: Mapping[str, int]) -> MaskArray:
    bits = {
        key.removeprefix(_PLANE_PREFIX): int(header[key])
        for key in header
        if key.startswith(_PLANE_PREFIX)
    }
    if all(bits.get(p.name or "") == int(p).bit_length() - 1 for p in MaskPlane) and len(
        bits
    ) == len(MaskPlane):
        return mask
    moved = np.zeros_like(mask)
    for plane in MaskPlane:
        if (bit := bits.get(plane.name or "")) is not None:
            moved |= np.where(mask & np.int32(1 << bit), np.int32(int(plane)), np.int32(0))
    return moved


def _read_psf(names: list[str], hdus: fits.HDUList) -> Psf | None:
    if not names:
        return None
    arrays = {name: hdus[_psf_name(name)].data for name in names}
    return psf_from_arrays({n: a.astype(a.dtype.newbyteorder("=")) for n, a in arrays.items()})


def _as_tuples(plain: Plain) -> Plain:
    """Undo JSON's turning of tuples into lists: the fields of value types hold tuples only."""

    def convert(value: object) -> object:
        return tuple(convert(v) for v in value) if isinstance(value, list) else value

    return {key: convert(value) for key, value in plain.items()}
