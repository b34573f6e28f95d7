"""The pointing of a Nickel frame from three standards, and a header that does not say enough."""

from dataclasses import replace

import numpy as np
import pytest

from lsstpipe.algorithms.few_star_astrometry import OrientedGuess
from lsstpipe.algorithms.frame_solution import DetectedStars
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.columns import REFERENCE
from lsstpipe.image.exposure import ObservationInfo
from lsstpipe.tasks.visit_pointing import solve_pointing

SHAPE = (1024, 1024)
INFO = ObservationInfo("nickel", 1, 0, "V", "V", "science", "", 60.0, 60.0, 60443.0,
                       200.0, -8.0, 1.2, 182.0)  # fmt: skip
NAMES = [column.name for column in REFERENCE.columns]
MAG = np.array([13.4, 14.0, 13.7])


def make_reference(east_arcsec: float) -> tuple[DetectedStars, Catalog]:
    """Standards on a frame that points east of where its header has it."""
    y, x = np.array([400.0, 500.0, 700.0]), np.array([120.0, 560.0, 800.0])
    true = OrientedGuess(
        200.0 + east_arcsec / 3600 / np.cos(np.deg2rad(8.0)), -8.0, 182.0, 0.3701,
        is_mirrored=True, radius_arcmin=0.5,
    )  # fmt: skip
    ra, dec = true.wcs(SHAPE).pixel_to_sky(y=y, x=x)
    flux = 10 ** (-0.4 * (MAG - 31.4))
    error = np.full(3, 1.0 / 3600)
    stars = DetectedStars(y, x, 3.0 * flux, np.full(3, 0.02))
    columns = {"id": np.arange(3), "ra": ra, "dec": dec, "raErr": error, "decErr": error,
               "flux": flux, "fluxErr": 0.02 * flux}  # fmt: skip
    return stars, Catalog(REFERENCE, columns)


def test_three_standards_give_the_pointing_that_the_header_misses() -> None:
    stars, reference = make_reference(east_arcsec=15.0)
    solution = solve_pointing(stars, reference, INFO, shape=SHAPE, radius_arcmin=0.5)
    ra, dec = solution.fit.wcs.crval_deg
    assert (ra - 200.0) * np.cos(np.deg2rad(8.0)) * 3600 == pytest.approx(15.0, abs=0.01)
    assert (dec + 8.0) * 3600 == pytest.approx(0.0, abs=0.01)


def test_sources_and_catalogue_stars_that_lack_something_do_not_count() -> None:
    stars, reference = make_reference(east_arcsec=15.0)
    more = DetectedStars(
        np.concatenate([[np.nan, 300.0], stars.y]),
        np.concatenate([[10.0, 300.0], stars.x]),
        np.concatenate([[1e9, -5.0], stars.flux]),
        np.full(5, 0.02),
    )
    columns = {name: np.concatenate([reference[name][:1], reference[name]]) for name in NAMES}
    columns["flux"][0] = np.nan
    with_unknown = Catalog(REFERENCE, columns)
    solution = solve_pointing(more, with_unknown, INFO, shape=SHAPE, radius_arcmin=0.5)
    assert solution.detection.tolist() == [2, 3, 4]
    assert solution.reference.tolist() == [1, 2, 3]


def test_a_pointing_further_off_than_is_allowed_is_not_found() -> None:
    stars, reference = make_reference(east_arcsec=60.0)
    with pytest.raises(AlgorithmError, match="No shift within 81 pixels"):
        solve_pointing(stars, reference, INFO, shape=SHAPE, radius_arcmin=0.5)


@pytest.mark.parametrize("unknown", ["rotation_deg", "ra_deg"])
def test_without_pointing_and_orientation_in_the_header_a_shift_is_refused(unknown: str) -> None:
    stars, reference = make_reference(east_arcsec=0.0)
    info = replace(INFO, **{unknown: np.nan})
    with pytest.raises(AlgorithmError, match="needs pointing and orientation in the header"):
        solve_pointing(stars, reference, info, shape=SHAPE, radius_arcmin=0.5)
