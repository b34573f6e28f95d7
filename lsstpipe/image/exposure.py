"""An image with everything that must travel with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lsstpipe.geometry.box import Box
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.aperture_correction import ApertureCorrection
from lsstpipe.image.mask import MaskArray
from lsstpipe.image.photocalib import PhotoCalib
from lsstpipe.image.psf import Psf

FloatImage = npt.NDArray[np.float32]
"""Pixel values: float32, shape ``(ny, nx)``."""


@dataclass(frozen=True, slots=True)
class ObservationInfo:
    """What the camera's header says of an exposure, in lsstpipe's terms.

    Attributes
    ----------
    instrument, physical_filter, band
        Names.
    exposure, detector
        Numbers of the data ID.
    observation_type
        ``dark``, ``bias``, ``flat`` or ``science``.
    target
        Name of what was observed; may be empty.
    exposure_time_s, dark_time_s
        Open shutter and time since the last reset, in seconds.
    mid_mjd
        Middle of the exposure, TAI MJD.
    ra_deg, dec_deg
        Centre of the detector as the header has it; NaN where it does not.
    airmass
        NaN where it is not known.
    rotation_deg
        Direction of the detector's +y axis on the sky, from north through east, as the header has
        it; NaN where it does not.
    """

    instrument: str
    exposure: int
    detector: int
    physical_filter: str
    band: str
    observation_type: str
    target: str
    exposure_time_s: float
    dark_time_s: float
    mid_mjd: float
    ra_deg: float = float("nan")
    dec_deg: float = float("nan")
    airmass: float = float("nan")
    rotation_deg: float = float("nan")

    def to_json_dict(self) -> dict[str, str | int | float | None]:
        """Return JSON values: null where a number is not known."""
        plain = asdict(self)
        return {name: None if value != value else value for name, value in plain.items()}

    @classmethod
    def from_json_dict(cls, plain: Mapping[str, Any]) -> ObservationInfo:
        """Make it of JSON values.

        Parameters
        ----------
        plain
            What `to_json_dict` gave.
        """
        known: dict[str, Any] = {n: value for n, value in plain.items() if value is not None}
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Exposure:
    """Image, mask and variance of one shape, and what is known about them.

    Attributes
    ----------
    image
        Pixel values, float32, shape ``(ny, nx)``, in ``unit``.
    mask
        Bits of `MaskPlane`, int32, shape ``(ny, nx)``.
    variance
        Variance of each pixel, float32, shape ``(ny, nx)``, in ``unit**2``.
    box
        Where the pixels lie in absolute coordinates.
    unit
        ``adu``, ``electron``, ``nJy``, ``count`` or ``1``.
    psf, wcs, photo_calib, aperture_correction, info
        What is known; None where it is not.
    metadata
        Figures that the tasks left: name to number or text.
    """

    image: FloatImage
    mask: MaskArray
    variance: FloatImage
    box: Box
    unit: str
    psf: Psf | None = None
    wcs: SkyWcs | None = None
    photo_calib: PhotoCalib | None = None
    aperture_correction: ApertureCorrection | None = None
    info: ObservationInfo | None = None
    metadata: Mapping[str, str | int | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the planes agree."""
        shape = (self.box.ny, self.box.nx)
        for name, plane, dtype in (
            ("image", self.image, np.float32),
            ("mask", self.mask, np.int32),
            ("variance", self.variance, np.float32),
        ):
            if plane.shape != shape or plane.dtype != dtype:
                raise ValueError(
                    f"{name} must be {np.dtype(dtype)} of shape {shape}, "
                    f"got {plane.dtype} of shape {plane.shape}."
                )
