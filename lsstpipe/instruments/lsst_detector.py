"""Detectors of Rubin's cameras: sixteen amplifiers, of e2v or of ITL, one image each in a file.

The segments of a raw frame lie side by side as they were read: C00 to C07 below, C10 to C17 above,
each with its first pixel at the lower left. On the detector the upper ones are turned by half a
turn; of ITL's, the lower ones are mirrored too. That is the geometry of the WCS ``C`` (CCD) of the
headers that the camera itself writes; their DETSEC counts the rows from the other end.

Gains, read noise and full wells are typical of each maker; real ones come from photon transfer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from lsstpipe.geometry.box import Box
from lsstpipe.image.detector import Amplifier, Detector

RAW_NY, RAW_NX = 2048, 576
"""Pixels of a segment, prescan and overscan and all."""

SEGMENTS = tuple(f"{row}{column}" for row in range(2) for column in range(8))
"""Segments from the lower left to the upper right: ``00`` to ``07``, ``10`` to ``17``."""

_FULL_WELL_ELECTRON = 100000.0
_LINEAR_ELECTRON = 85000.0


@dataclass(frozen=True, slots=True)
class Maker:
    """A maker of detectors.

    Attributes
    ----------
    name
        As the serial numbers begin with it.
    ny, nx
        Imaging pixels of a segment.
    prescan
        Columns before them.
    flips_lower
        Whether the columns of the lower segments run from right to left.
    gain, read_noise
        Typical values, electrons per ADU and electrons.
    """

    name: str
    ny: int
    nx: int
    prescan: int
    flips_lower: bool
    gain: float
    read_noise: float

    @property
    def data_section(self) -> str:
        """Card DATASEC of a segment."""
        return f"[{self.prescan + 1}:{self.prescan + self.nx},1:{self.ny}]"


E2V = Maker("E2V", 2002, 512, 10, flips_lower=False, gain=1.5, read_noise=6.0)
ITL = Maker("ITL", 2000, 509, 3, flips_lower=True, gain=1.7, read_noise=6.0)


def make_detector(
    number: int, name: str, maker: Maker, *, focal_y_pix: float = 0.0, focal_x_pix: float = 0.0
) -> Detector:
    """Describe a detector.

    Parameters
    ----------
    number, name
        As of `Detector`.
    maker
        Who made it.
    focal_y_pix, focal_x_pix
        As of `Detector`.
    """
    amplifiers = tuple(_make_amplifier(segment, maker) for segment in SEGMENTS)
    return Detector(
        number,
        name,
        2 * maker.ny,
        8 * maker.nx,
        amplifiers,
        2 * RAW_NY,
        8 * RAW_NX,
        focal_y_pix,
        focal_x_pix,
    )


def _make_amplifier(segment: str, maker: Maker) -> Amplifier:
    """Describe the amplifier of a segment."""
    row, column = int(segment[0]), int(segment[1])
    y0, x0 = row * RAW_NY, column * RAW_NX + maker.prescan
    return Amplifier(
        name=f"C{segment}",
        box=Box(row * maker.ny, column * maker.nx, maker.ny, maker.nx),
        data=Box(y0, x0, maker.ny, maker.nx),
        gain=maker.gain,
        read_noise=maker.read_noise,
        saturation_adu=_FULL_WELL_ELECTRON / maker.gain,
        suspect_adu=_LINEAR_ELECTRON / maker.gain,
        serial_overscan=Box(y0, x0 + maker.nx, maker.ny, RAW_NX - maker.prescan - maker.nx),
        parallel_overscan=Box(y0 + maker.ny, x0, RAW_NY - maker.ny, maker.nx),
        flip_y=row == 1,
        flip_x=row == 1 or maker.flips_lower,
    )


def mosaic(hdus: fits.HDUList) -> tuple[fits.Header, npt.NDArray[np.generic]]:
    """Lay the segments of a file side by side.

    Parameters
    ----------
    hdus
        A file with the images ``Segment00`` to ``Segment17``.

    Returns
    -------
    header, frame
        Primary header, and raw frame of shape ``(2 * RAW_NY, 8 * RAW_NX)``.

    Raises
    ------
    ValueError
        If a segment is absent, or laid out otherwise than the maker's are.
    """
    header = hdus[0].header
    images = {hdu.name.upper(): hdu for hdu in hdus[1:]}
    maker = ITL if str(header.get("LSST_NUM", "")).startswith(ITL.name) else E2V
    rows = []
    for row in (SEGMENTS[:8], SEGMENTS[8:]):
        rows.append(np.concatenate([_read_segment(images, s, maker) for s in row], axis=1))
    return header, np.concatenate(rows, axis=0)


def _read_segment(
    images: dict[str, fits.ImageHDU], segment: str, maker: Maker
) -> npt.NDArray[np.generic]:
    """Read the pixels of a segment, if it is what it should be."""
    hdu = images.get(f"SEGMENT{segment}")
    if hdu is None or hdu.data is None:
        raise ValueError(f"it has no image of segment {segment}")
    section = str(hdu.header.get("DATASEC", "")).strip()
    if hdu.data.shape != (RAW_NY, RAW_NX) or section != maker.data_section:
        raise ValueError(
            f"segment {segment} has {hdu.data.shape[0]} x {hdu.data.shape[1]} pixels and DATASEC "
            f"'{section}'; segments of {maker.name} have {RAW_NY} x {RAW_NX} and "
            f"'{maker.data_section}'"
        )
    return np.asarray(hdu.data)
