"""What a camera is to lsstpipe, and the list of those that it knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lsstpipe.errors import UserError
from lsstpipe.image.detector import Detector

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
    """

    name: str
    detectors: Mapping[int, Detector]
    bands: Mapping[str, str]
    pixel_scale_arcsec: float
    scale_tolerance: float

    @property
    def has_overscan(self) -> bool:
        """Whether the bias level can be had from the frames themselves."""
        return all(detector.has_overscan for detector in self.detectors.values())

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
