"""An object stands for its source once in each visit."""

from __future__ import annotations

import numpy as np

from lsstpipe.image.catalog import Catalog
from lsstpipe.image.columns import OBJECT
from lsstpipe.tasks.forced import find_twins

ARCSEC = 1 / 3600


def objects(*rows: tuple[str, float]) -> Catalog:
    """Objects of a band at so many arcsec north of a place."""
    n = len(rows)
    columns = {c.name: np.zeros(n, dtype=c.dtype) for c in OBJECT.columns}
    columns |= {
        "objectId": np.arange(n),
        "band": np.array([band for band, _ in rows], dtype="U16"),
        "coord_ra": np.full(n, 150.0),
        "coord_dec": np.array([2.0 + north * ARCSEC for _, north in rows]),
    }
    return Catalog(OBJECT, columns)


def test_the_object_of_the_visits_own_band_stands_for_its_source() -> None:
    table = objects(("g", 0.0), ("r", 0.3), ("g", 10.0), ("r", 20.0))
    assert find_twins(table, "r", radius_arcsec=0.5).tolist() == [True, False, False, False]
    assert find_twins(table, "g", radius_arcsec=0.5).tolist() == [False, True, False, False]
    assert not find_twins(table, "g", radius_arcsec=0.2).any()


def test_of_other_bands_the_first_stands_for_a_source_that_the_own_band_lacks() -> None:
    table = objects(("i", 0.0), ("g", 0.1), ("z", 0.2), ("z", 5.0))
    assert find_twins(table, "r", radius_arcsec=0.5).tolist() == [True, False, True, False]


def test_neighbours_of_one_band_are_two_however_near() -> None:
    assert not find_twins(objects(("r", 0.0), ("r", 0.1)), "r", radius_arcsec=0.5).any()
    assert not find_twins(objects(("g", 0.0), ("g", 0.1)), "r", radius_arcsec=0.5).any()
    assert find_twins(objects(), "r", radius_arcsec=0.5).tolist() == []
