"""The stars of the catalogue as the astrometric fit sees them."""

from __future__ import annotations

import numpy as np

from lsstpipe.image.catalog import Catalog
from lsstpipe.image.columns import REFERENCE
from lsstpipe.tasks.visit_stars import reference_stars


def test_errors_on_both_axes_become_one_and_stars_without_one_or_a_flux_are_the_worst() -> None:
    flux = np.array([3631e9, 3631e7, np.nan])
    stars = reference_stars(
        Catalog(
            REFERENCE,
            {
                "id": np.arange(3),
                "ra": np.array([10.0, 11.0, 12.0]),
                "dec": np.array([1.0, 2.0, 3.0]),
                "raErr": np.array([3.0, 1.0, np.nan]) / 3600,
                "decErr": np.array([4.0, 1.0, 1.0]) / 3600,
                "flux": flux,
                "fluxErr": 0.01 * flux,
            },
        )
    )
    np.testing.assert_allclose(stars.err_arcsec, [np.sqrt(12.5), 1.0, np.sqrt(12.5)])
    np.testing.assert_allclose(stars.mag[:2], [0.0, 5.0], atol=1e-3)
    assert np.argmax(stars.mag) == 2
