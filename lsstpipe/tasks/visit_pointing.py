"""The pointing of a visit image from the few catalogue stars of its field."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lsstpipe.algorithms.few_star_astrometry import (
    FewStarSettings,
    OrientedGuess,
    solve_few_stars,
)
from lsstpipe.algorithms.frame_solution import (
    AstrometrySolution,
    DetectedStars,
    ReferenceStars,
)
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.exposure import ObservationInfo
from lsstpipe.image.photocalib import magnitude
from lsstpipe.instruments import get_camera


def solve_pointing(
    stars: DetectedStars,
    reference: Catalog,
    info: ObservationInfo,
    *,
    shape: tuple[int, int],
    radius_arcmin: float,
) -> AstrometrySolution:
    """Find the pointing of an image; orientation and scale are those of header and camera.

    Parameters
    ----------
    stars
        Its stars; those without position or flux do not count.
    reference
        Catalogue, with the errors of its positions; stars without a flux do not count.
    info
        What the header says.
    shape
        Size (y, x) of the image, pixels.
    radius_arcmin
        How far off the header's pointing may be.

    Raises
    ------
    AlgorithmError
        If the header has no orientation, or the stars give no pointing.
    """
    if not np.isfinite(info.rotation_deg + info.ra_deg + info.dec_deg):
        raise AlgorithmError(
            "A shift alone needs pointing and orientation in the header, which has none."
        )
    camera = get_camera(info.instrument)
    seen = np.flatnonzero(np.isfinite(stars.y + stars.x + stars.err_pix) & (stars.flux > 0))
    known = np.flatnonzero(reference["flux"] > 0)
    error_deg = float(np.hypot(np.median(reference["raErr"]), np.median(reference["decErr"])))
    solution = solve_few_stars(
        DetectedStars(stars.y[seen], stars.x[seen], stars.flux[seen], stars.err_pix[seen]),
        ReferenceStars(
            reference["ra"][known], reference["dec"][known], magnitude(reference["flux"][known])
        ),
        OrientedGuess(
            ra_deg=info.ra_deg,
            dec_deg=info.dec_deg,
            rotation_deg=info.rotation_deg,
            pixel_scale_arcsec=camera.pixel_scale_arcsec,
            is_mirrored=camera.is_mirrored,
            radius_arcmin=radius_arcmin,
        ),
        shape=shape,
        settings=FewStarSettings(position_error_pix=error_deg * 3600 / camera.pixel_scale_arcsec),
    )
    return replace(
        solution, detection=seen[solution.detection], reference=known[solution.reference]
    )
