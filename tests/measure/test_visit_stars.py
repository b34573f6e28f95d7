from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.catalog import Catalog, Schema
from lsstpipe.image.columns import ISOLATED_STAR, SOURCE
from lsstpipe.image.photocalib import AB_NJY, PhotoCalib, photo_calib_to_json
from lsstpipe.measure.visit_stars import (
    gather_stars,
    join_samples,
    requirement_metrics,
    reserved_offsets,
)

N_STAR, N_VISIT = 60, 4
MAG = 19.0
BANDS = ["g", "r"]


def fill(schema: Schema, n: int, **columns: Any) -> Catalog:
    empty = {c.name: np.zeros(n, c.dtype) for c in schema.columns}
    return Catalog(schema, empty | columns)


def wcs() -> SkyWcs:
    scale = 0.2 / 3600
    return SkyWcs((1000.0, 1000.0), (150.0, 2.0), ((-scale, 0.0), (0.0, scale)))


@pytest.fixture
def products(rng: np.random.Generator) -> tuple[Catalog, Catalog, list[dict[str, Any]]]:
    star, visit = (grid.ravel() for grid in np.mgrid[:N_STAR, :N_VISIT])
    n = len(star)
    y, x = rng.uniform(0, 2000, (2, N_STAR))
    # Each visit is as much fainter as its final scale makes good.
    flux = 10 ** (-0.4 * (MAG - AB_NJY)) / (1.0 + visit)
    shared = {
        "sourceId": 100 + np.arange(n), "visit": visit, "psfFlux": flux, "psfFluxErr": flux / 500,
        "x": x[star], "y": y[star],
    }  # fmt: skip
    isolated = fill(ISOLATED_STAR, n, isolatedStarId=star, **shared)
    moments = {"ixx": np.full(n, 4.2), "iyy": np.full(n, 3.8)} | {
        name: np.full(n, 4.0) for name in ("ixxPSF", "iyyPSF")
    }
    sources = fill(
        SOURCE, n, detect_isPrimary=np.ones(n, bool), band=np.array(BANDS)[visit % 2], **shared,
        **moments,
    )  # fmt: skip
    summaries = [
        {
            "visit": v,
            "detectors": [
                {
                    "detector": 0,
                    "wcs": wcs().to_json_dict(),
                    "photo_calib": photo_calib_to_json(PhotoCalib(1.0 + v, 0.001)),
                }
            ],
        }
        for v in range(N_VISIT)
    ]
    return isolated, sources.select(rng.permutation(n)), summaries


def test_positions_and_magnitudes_are_those_of_the_final_calibration(products: Any) -> None:
    isolated, sources, summaries = products
    sample = gather_stars(isolated, sources, summaries, BANDS)
    assert sample.n_star == N_STAR
    assert sample.mag == pytest.approx(MAG)
    ra, dec = wcs().pixel_to_sky(y=isolated["y"], x=isolated["x"])
    assert sample.ra_deg == pytest.approx(ra, abs=1e-9)
    assert sample.dec_deg == pytest.approx(dec, abs=1e-9)
    assert sample.band.tolist() == (sample.visit % 2).tolist()
    assert sample.e1 == pytest.approx(0.05)
    assert sample.snr == pytest.approx(500.0)
    assert not sample.is_flagged.any()


def test_flags_come_from_the_source_of_the_same_id(products: Any) -> None:
    isolated, sources, summaries = products
    sources.columns["pixelFlags_cr"] = sources.columns["sourceId"] == 101
    sample = gather_stars(isolated, sources, summaries, BANDS)
    assert np.flatnonzero(sample.is_flagged).tolist() == [1]


def test_a_detector_without_final_calibration_and_a_lost_source_are_left_out(
    products: Any,
) -> None:
    isolated, sources, summaries = products
    sample = gather_stars(isolated, sources, summaries[1:], BANDS)
    assert 0 not in sample.visit
    assert sample.n_star == N_STAR
    lost = sources.select(sources.columns["sourceId"] != 100)
    assert len(gather_stars(isolated, lost, summaries, BANDS).star) == N_STAR * N_VISIT - 1


def test_equal_numbers_of_two_tracts_are_two_stars(products: Any) -> None:
    sample = gather_stars(*products, BANDS)
    both = join_samples([sample, sample])
    assert both.n_star == 2 * N_STAR
    assert (both.count == N_VISIT).all()


def test_each_band_is_judged_by_itself_and_against_r(products: Any) -> None:
    metrics = requirement_metrics(gather_stars(*products, BANDS), BANDS)
    ids = [metric.id for metric in metrics]
    assert len(ids) == len(set(ids))
    assert {"PA1:g", "PA1:r", "AM1:g", "TE1:r", "AB1:g", "AB1:r"} <= set(ids)
    single = requirement_metrics(gather_stars(*products, BANDS), ["g"])
    assert {"PA1", "AM1"} <= {metric.id for metric in single}
    assert "AB1" not in {metric.id for metric in single}


def test_stars_kept_out_of_the_fits_of_all_tracts_are_held_against_the_catalogue() -> None:
    stars = {"ra_mas": [3.0] * 40, "dec_mas": [4.0] * 40, "err_mas": [2.0] * 40}
    found = reserved_offsets([{"reserved_stars": stars}, {"reserved_stars": stars}])
    assert (found.id, found.n, found.value) == ("AA1", 80, 5.0)
    assert reserved_offsets([]).ok is None
