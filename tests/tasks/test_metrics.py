from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from lsstpipe.data_model import DataId
from lsstpipe.tasks import metrics
from lsstpipe.tasks.base import read_ports
from tests.report.simulated_campaign import Campaign, simulate_campaign
from tests.report.simulated_repository import measure


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    return simulate_campaign(seed=2)


@pytest.fixture(scope="module")
def outputs(campaign: Campaign) -> metrics.Outputs:
    return measure(campaign)


def by_id(outputs: metrics.Outputs) -> dict[str, Any]:
    return {metric["id"]: metric for metric in outputs.metrics["metrics"]}


def test_a_good_campaign_meets_the_bounds_that_its_truth_meets(outputs: metrics.Outputs) -> None:
    found = by_id(outputs)
    assert set(found) == {
        "TRANSIT-1", "TRANSIT-2", "TRANSIT-3", "AST-0", "AST-0b", "AST-0c", "AM1-pix", "PHO-4",
        "PHO-4r", "COA-3", "COA-3b", "COA-4", "COA-4b", "COA-2", "FRC-2", "TAB-1",
    }  # fmt: skip
    assert [m["id"] for m in found.values() if m["ok"] is False and m["id"] != "TRANSIT-2"] == []


def test_every_metric_has_what_a_program_reads(outputs: metrics.Outputs) -> None:
    for metric in outputs.metrics["metrics"]:
        assert set(metric) == {
            "id", "name", "value", "unit", "gate", "stretch", "tolerance", "ok", "excellent", "n",
            "error", "note",
        }  # fmt: skip
    json.dumps(outputs.metrics, allow_nan=False)


def test_the_same_input_gives_the_same_output(campaign: Campaign, outputs: metrics.Outputs) -> None:
    assert measure(campaign) == outputs


def test_a_campaign_without_a_target_is_judged_without_a_light_curve(campaign: Campaign) -> None:
    found = measure(campaign, target_ra_deg=None, target_dec_deg=None)
    assert found.metrics["target"] is None
    assert "TRANSIT-1" not in by_id(found)
    assert found.lightcurve.splitlines()[-1].startswith("visit,mjd_tai")


def test_a_target_that_is_not_there_fails_its_metric_alone(campaign: Campaign) -> None:
    found = measure(campaign, target_dec_deg=10.0)
    metric = by_id(found)["TRANSIT-1"]
    assert metric["ok"] is None
    assert "no object within" in metric["note"]
    assert by_id(found)["AST-0"]["ok"] is True


def test_a_missing_frame_shows_in_the_count(campaign: Campaign) -> None:
    assert by_id(measure(campaign, n_frames=25))["AST-0"]["ok"] is False


def test_aperture_fluxes_can_make_the_light_curve(campaign: Campaign) -> None:
    fit = measure(campaign, flux="ap05").metrics["target"]
    assert fit["flux"] == "ap05"
    assert fit["fit"]["depth"] == pytest.approx(0.024, abs=0.006)


def test_the_mean_of_psf_and_aperture_flux_lies_halfway_and_is_as_good_as_the_worse_flag(
    campaign: Campaign,
) -> None:
    table = campaign.forced_source_table
    psf, aperture, mean = (
        metrics.arrange_forced(table, flux, ("pixelFlags_saturated",))
        for flux in metrics.LIGHT_CURVE_FLUXES
    )
    assert mean.flux == pytest.approx(0.5 * (psf.flux + aperture.flux), nan_ok=True)
    assert mean.flux_err == pytest.approx(0.5 * (psf.flux_err + aperture.flux_err), nan_ok=True)
    assert (mean.good == psf.good & aperture.good).all()
    assert measure(campaign, flux="mean").metrics["target"]["fit"]["depth"] == pytest.approx(
        0.024, abs=0.006
    )


def test_no_products_at_all_are_a_valid_empty_campaign() -> None:
    nothing = metrics.Inputs(**{port.name: {} for port in fields(metrics.Inputs)})
    found = metrics.run(nothing, metrics.Config(), DataId())
    assert all(metric["ok"] is None for metric in found.metrics["metrics"])


def test_flagged_measurements_are_not_arranged(campaign: Campaign) -> None:
    table = campaign.forced_source_table
    matrix = metrics.arrange_forced(table, "psf", ("pixelFlags_saturated",))
    n_saturated = int(table.columns["pixelFlags_saturated"].sum())
    assert n_saturated > 0
    assert int(matrix.good.sum()) == len(table) - n_saturated
    assert np.isfinite(matrix.mjd).all()


def test_the_ports_are_read_from_the_annotations() -> None:
    assert {port.name for port in read_ports(metrics, "Outputs")} == {"metrics", "lightcurve"}
    assert all(port.is_many for port in read_ports(metrics, "Inputs"))
