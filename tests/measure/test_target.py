from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.lightcurve import EnsembleConfig, FluxMatrix
from lsstpipe.algorithms.transit import TransitPrior
from lsstpipe.errors import AlgorithmError
from lsstpipe.measure.lightcurve_csv import COLUMNS, format_lightcurve
from lsstpipe.measure.target import TargetResult, find_target, measure_target, target_metrics
from lsstpipe.tasks.metrics import arrange_forced
from tests.report.simulated_campaign import DEPTH, TARGET_DEG, Campaign, simulate_campaign


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    return simulate_campaign(seed=2)


@pytest.fixture(scope="module")
def forced(campaign: Campaign) -> FluxMatrix:
    return arrange_forced(campaign.forced_source_table, "psf", ("pixelFlags_saturated",))


@pytest.fixture(scope="module")
def result(campaign: Campaign, forced: FluxMatrix) -> TargetResult:
    return measure_target(forced, campaign.target_id, EnsembleConfig(), TransitPrior(2.5, 0.25))


def test_the_target_is_the_object_at_its_position(campaign: Campaign) -> None:
    ra, dec = TARGET_DEG
    found = find_target(campaign.object_table, ra_deg=ra, dec_deg=dec, radius_arcsec=2.0)
    assert found == campaign.target_id


def test_a_position_without_an_object_is_refused_with_the_distance(campaign: Campaign) -> None:
    with pytest.raises(AlgorithmError, match="the nearest is"):
        find_target(campaign.object_table, ra_deg=10.0, dec_deg=0.0, radius_arcsec=2.0)


def test_an_object_that_is_not_primary_is_not_the_target(campaign: Campaign) -> None:
    objects = campaign.object_table.select(np.zeros(len(campaign.object_table), np.int64))
    objects.columns["detect_isPrimary"][:] = False
    with pytest.raises(AlgorithmError, match="no object within 2 arcsec"):
        find_target(objects, ra_deg=TARGET_DEG[0], dec_deg=TARGET_DEG[1], radius_arcsec=2.0)


def test_the_transit_of_the_simulation_is_measured(result: TargetResult) -> None:
    assert abs(result.fit.depth - DEPTH) < 3 * result.fit.depth_err
    assert result.fit.depth_err < 0.005
    assert np.mean(result.fit.baseline) == pytest.approx(1.0, abs=1e-3)


def test_variable_stars_are_not_among_the_comparison_stars(
    campaign: Campaign, result: TargetResult
) -> None:
    chosen = {item.object_id for item in result.comparisons}
    assert not chosen & {*campaign.variable_ids, campaign.target_id}
    assert result.ensemble.n_variable >= len(campaign.variable_ids)
    assert len(chosen) >= 10


def test_comparison_stars_show_no_transit(result: TargetResult) -> None:
    pulls = [item.depth / item.depth_err for item in result.comparisons]
    assert abs(np.mean(pulls)) < 0.6
    assert 0.6 < np.std(pulls) < 1.5
    assert max(item.depth for item in result.comparisons) < 0.75 * result.fit.depth


def test_comparison_stars_come_in_the_order_of_likeness(
    forced: FluxMatrix, result: TargetResult
) -> None:
    target = np.median(forced.flux[forced.row(result.object_id)])
    away = [
        abs(np.log(np.nanmedian(forced.flux[forced.row(item.object_id)]) / target))
        for item in result.comparisons
    ]
    assert away == sorted(away)


def test_metrics_carry_value_error_and_bound(result: TargetResult) -> None:
    depth, scatter, significance = target_metrics(result, 1.9, 2.9)
    assert depth.value == pytest.approx(100 * result.fit.depth)
    assert (depth.low, depth.high, depth.n) == (1.9, 2.9, len(result.curve.mjd))
    assert scatter.n == int(result.fit.is_out.sum())
    assert scatter.error == pytest.approx(100 * result.fit.scatter_out_err)
    assert significance.ok


def test_the_csv_reads_back_as_what_was_fitted(result: TargetResult) -> None:
    lines = format_lightcurve(result, "TrES-1").splitlines()
    comments = [line for line in lines if line.startswith("#")]
    assert all(any(f"# {name}: " in line for line in comments) for name in COLUMNS)
    rows = [line for line in lines if not line.startswith("#")]
    table = np.genfromtxt(rows[1:], delimiter=",")
    assert rows[0].split(",") == list(COLUMNS)
    np.testing.assert_allclose(table[:, 1], result.curve.mjd, atol=1e-7)
    np.testing.assert_allclose(table[:, 3], result.curve.flux, atol=1e-6)
    np.testing.assert_allclose(table[:, 3] - table[:, 5], result.fit.residual, atol=2e-6)
    assert table[0, 2] == 0.0


def test_the_csv_without_a_target_is_a_header_alone() -> None:
    lines = format_lightcurve(None, "").splitlines()
    assert lines[-1] == ",".join(COLUMNS)
    assert all(line.startswith("#") for line in lines[:-1])
