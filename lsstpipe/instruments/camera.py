"""What a camera is to lsstpipe, and the list of those that it knows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lsstpipe.errors import UserError
from lsstpipe.geometry.sphere import gnomonic_deproject
from lsstpipe.image.detector import Detector

FloatArray = npt.NDArray[np.float64]

Header = Mapping[str, Any]
"""Cards of a FITS header by keyword."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera: its name, detectors, filters and plate scale.

    Attributes
    ----------
    name
        Value of the dimension ``instrument``.
    detectors
        Detectors by number.
    bands
        Band of each physical filter.
    pixel_scale_arcsec
        Scale at the centre of the field.
    scale_tolerance
        How far from it the true scale may be, as a fraction.
    is_mirrored
        Whether +x of the focal plane is east where +y is north; on the sky as seen it is west.
    fringing
        Physical filters through which the sky makes fringes.
    is_calibrated
        Whether its frames come without bias, dark current and flat field.
    cubic_distortion
        The optics show what lies ``f (1 + k f**2)`` pixels of the central scale from the centre of
        the field at a distance of f pixels on the focal plane; this is k, per square pixel.
    """

    name: str
    detectors: Mapping[int, Detector]
    bands: Mapping[str, str]
    pixel_scale_arcsec: float
    scale_tolerance: float
    is_mirrored: bool = False
    fringing: frozenset[str] = frozenset()
    is_calibrated: bool = False
    cubic_distortion: float = 0.0

    @property
    def with_several_amplifiers(self) -> frozenset[int]:
        """Numbers of the detectors that are read through more than one amplifier."""
        return frozenset(n for n, d in self.detectors.items() if len(d.amplifiers) > 1)

    @property
    def has_overscan(self) -> bool:
        """Whether the bias level can be had from the frames themselves, or is gone from them."""
        return self.is_calibrated or all(
            detector.has_overscan for detector in self.detectors.values()
        )

    def detector(self, number: int) -> Detector:
        """Look up a detector.

        Raises
        ------
        UserError
            If the camera has none of that number.
        """
        if number not in self.detectors:
            raise UserError(
                f"{self.name} has no detector {number}; it has {sorted(self.detectors)}."
            )
        return self.detectors[number]

    def point(
        self, detector: Detector, *, ra_deg: float, dec_deg: float, rotation_deg: float
    ) -> tuple[float, float, float]:
        """Find where a detector looks when the camera looks somewhere.

        Parameters
        ----------
        detector
            One of its detectors.
        ra_deg, dec_deg
            Where the centre of the field looks, degrees; NaN where it is not known.
        rotation_deg
            Direction of +y of the focal plane, from north through east; NaN where it is not known.

        Returns
        -------
        ra_deg, dec_deg, rotation_deg
            Centre of the detector and direction of its own +y axis, degrees; the centre of the
            field where the rotation is not known.
        """
        if not (math.isfinite(ra_deg) and math.isfinite(rotation_deg)):
            return ra_deg, dec_deg, rotation_deg
        middle = self._plane(detector.focal_y_pix, detector.focal_x_pix, rotation_deg)
        up_y, up_x = _up(detector)
        above = self._plane(detector.focal_y_pix + up_y, detector.focal_x_pix + up_x, rotation_deg)
        ra, dec = gnomonic_deproject(*middle, centre_deg=(ra_deg, dec_deg))
        turned = math.degrees(math.atan2(above[0] - middle[0], above[1] - middle[1]))
        return float(ra), float(dec), turned % 360.0

    def straighten(
        self, detector: Detector, *, y: FloatArray, x: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Tell where pixels would lie in a camera without distortion.

        Parameters
        ----------
        detector
            One of its detectors.
        y, x
            Absolute pixel positions, shape ``(n,)``.

        Returns
        -------
        y, x
            The same at the centre of the detector, where +y keeps its direction; one pixel is one
            of the centre of the field.
        """
        if not self.cubic_distortion:
            return y, x
        up_y, up_x = _up(detector)
        middle_y, middle_x = (detector.ny - 1) / 2, (detector.nx - 1) / 2
        dy, dx = y - middle_y, x - middle_x
        # On the focal plane +x is a quarter turn behind +y, as it is on the detector.
        seen_y, seen_x = self._seen(
            detector.focal_y_pix + dy * up_y - dx * up_x,
            detector.focal_x_pix + dy * up_x + dx * up_y,
        )
        start_y, start_x = self._seen(detector.focal_y_pix, detector.focal_x_pix)
        above_y, above_x = self._seen(detector.focal_y_pix + up_y, detector.focal_x_pix + up_x)
        length = math.hypot(above_y - start_y, above_x - start_x)
        cos, sin = (above_y - start_y) / length, (above_x - start_x) / length
        dy, dx = seen_y - start_y, seen_x - start_x
        return middle_y + dy * cos + dx * sin, middle_x + dx * cos - dy * sin

    def footprint(
        self, detector: Detector, *, ra_deg: float, dec_deg: float, rotation_deg: float
    ) -> list[tuple[float, float]] | None:
        """Outline a detector on the sky, as good as the pointing of the telescope is known.

        Parameters
        ----------
        detector
            One of its detectors.
        ra_deg, dec_deg, rotation_deg
            Centre of the detector and direction of its +y axis, as `point` gives them.

        Returns
        -------
        corners
            Right ascension and declination of its four corners, degrees; None where the pointing
            is not known.
        """
        if not (math.isfinite(ra_deg) and math.isfinite(dec_deg) and math.isfinite(rotation_deg)):
            return None
        y, x = self.straighten(
            detector,
            y=np.array([0.0, 0.0, detector.ny, detector.ny]) - 0.5,
            x=np.array([0.0, detector.nx, detector.nx, 0.0]) - 0.5,
        )
        dy, dx = y - (detector.ny - 1) / 2, x - (detector.nx - 1) / 2
        plane = self._on_sky(dy, dx, rotation_deg)
        ra, dec = gnomonic_deproject(*plane, centre_deg=(ra_deg, dec_deg))
        return list(zip(ra.tolist(), dec.tolist(), strict=True))

    def _seen(self, y_pix: Any, x_pix: Any) -> tuple[Any, Any]:
        """Give the place on the sky along the axes of the focal plane, pixels of the centre."""
        stretch = 1 + self.cubic_distortion * (y_pix * y_pix + x_pix * x_pix)
        return stretch * y_pix, stretch * x_pix

    def _plane(self, y_pix: float, x_pix: float, rotation_deg: float) -> tuple[float, float]:
        """Map the focal plane to the tangent plane of the sky (east, north, degrees)."""
        east, north = self._on_sky(*self._seen(y_pix, x_pix), rotation_deg)
        return float(east), float(north)

    def _on_sky(self, y: Any, x: Any, rotation_deg: float) -> tuple[Any, Any]:
        """Turn places along the axes of the focal plane to east and north, degrees."""
        angle = math.radians(rotation_deg)
        hand = 1.0 if self.is_mirrored else -1.0
        scale = self.pixel_scale_arcsec / 3600
        east = y * math.sin(angle) + hand * x * math.cos(angle)
        north = y * math.cos(angle) - hand * x * math.sin(angle)
        return scale * east, scale * north


def _up(detector: Detector) -> tuple[int, int]:
    """Give the direction (y, x) of a detector's +y on the focal plane."""
    # A quarter turn from x to y takes it to the -x of the focal plane.
    return ((1, 0), (0, -1), (-1, 0), (0, 1))[detector.quarter_turns % 4]
