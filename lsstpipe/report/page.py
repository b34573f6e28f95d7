"""What the report shows, as values: loaded in one place, rendered in another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lsstpipe.geometry.wcs import SkyWcs

FloatArray = npt.NDArray[np.float64]
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CoaddPicture:
    """The coadd of a tract in one array, and what to mark on it.

    Attributes
    ----------
    image
        All patches side by side, nJy, NaN without data, shape ``(ny, nx)``.
    y0, x0
        Absolute pixel of ``image[0, 0]``.
    wcs
        Of the tract's absolute pixels.
    band
        Band of the coadd.
    object_y, object_x, object_flux, is_star
        Primary objects: absolute position, PSF flux in nJy and whether they are point sources.
    """

    image: npt.NDArray[np.float32]
    y0: int
    x0: int
    wcs: SkyWcs
    band: str
    object_y: FloatArray
    object_x: FloatArray
    object_flux: FloatArray
    is_star: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class StarSizes:
    """Sizes of stars against the PSF, over all visits.

    Attributes
    ----------
    magnitude
        AB magnitudes.
    difference
        Second-moment radius over that of the PSF, minus one.
    is_reserved
        Whether the star was kept out of the fit of the PSF.
    """

    magnitude: FloatArray
    difference: FloatArray
    is_reserved: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class StageUse:
    """What one stage took: sums over its quanta, the largest memory of any."""

    stage: str
    n_quanta: int
    wall_s: float
    cpu_s: float
    max_rss_mb: float
    bytes_read: int
    bytes_written: int
    n_not_done: int


@dataclass(frozen=True, slots=True)
class Exceptional:
    """Something that was skipped, refused, flagged or failed, and why."""

    kind: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the page shows.

    Attributes
    ----------
    title
        Name of the campaign.
    subtitle
        One line on what was run.
    metrics
        Entries of the dataset ``metrics``.
    target
        Its part on the target; None without one.
    lightcurve
        Columns of the light curve by name; empty without one.
    frames
        The visit summaries of all detectors, in the order of time.
    joint_astrometry, joint_photometry
        Of each tract.
    coadd
        The coadd with its objects; None where there is none.
    sizes
        Sizes of stars against the PSF; None where there are none.
    stages
        Use of resources, in flow order.
    exceptional
        What did not go as planned.
    provenance
        Name to value, to be shown as they are.
    links
        Name of a product to its path relative to the page.
    """

    title: str
    subtitle: str
    metrics: tuple[Json, ...]
    target: Json | None = None
    lightcurve: Mapping[str, FloatArray] = field(default_factory=dict)
    frames: tuple[Json, ...] = ()
    joint_astrometry: tuple[Json, ...] = ()
    joint_photometry: tuple[Json, ...] = ()
    coadd: CoaddPicture | None = None
    sizes: StarSizes | None = None
    stages: tuple[StageUse, ...] = ()
    exceptional: tuple[Exceptional, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


def floats(values: list[float | None]) -> FloatArray:
    """Turn a list of JSON numbers into an array, null into NaN."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def column(rows: tuple[Json, ...], *names: str) -> FloatArray:
    """Take one figure out of each of some JSON objects, NaN where it is null or absent.

    Parameters
    ----------
    rows
        The objects.
    names
        Keys, from the outer object to the inner.
    """
    found: list[float | None] = []
    for row in rows:
        value: Any = row
        for name in names:
            value = value.get(name) if isinstance(value, Mapping) else None
        found.append(value)
    return floats(found)
