"""A header that does not say enough for a shift."""

import numpy as np
import pytest

from lsstpipe.algorithms.astrometry import DetectedStars
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.columns import REFERENCE
from lsstpipe.image.exposure import ObservationInfo
from lsstpipe.tasks.visit_pointing import solve_pointing


def test_without_an_orientation_in_the_header_a_shift_is_refused() -> None:
    none = np.empty(0)
    stars = DetectedStars(none, none, none, none)
    info = ObservationInfo(
        "nickel", 1, 0, "V", "V", "science", "", 60.0, 60.0, 60443.0, 200.0, -8.0
    )
    empty = Catalog(
        REFERENCE,
        {c.name: none for c in REFERENCE.columns if c.name != "id"}
        | {"id": np.empty(0, dtype=np.int64)},
    )
    with pytest.raises(AlgorithmError, match="needs pointing and orientation in the header"):
        solve_pointing(stars, empty, info, shape=(1024, 1024), radius_arcmin=1.0)
