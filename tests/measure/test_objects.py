from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.image.catalog import Catalog, concatenate
from lsstpipe.measure.objects import (
    depth_metrics,
    point_sources,
    pull_metric,
    size_metric,
    table_metric,
)
from lsstpipe.tasks.metrics import arrange_forced, in_own_band
from tests.report.simulated_campaign import Campaign, simulate_campaign


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    return simulate_campaign(seed=3)


def change(catalog: Catalog, **columns: object) -> Catalog:
    return Catalog(catalog.schema, {**catalog.columns, **columns})  # type: ignore[dict-item]


def test_point_sources_are_primary_unflagged_and_within_the_range(campaign: Campaign) -> None:
    objects = campaign.object_table
    chosen = point_sources(objects, 20.0, 200.0)
    snr = objects["psfFlux"] / objects["psfFluxErr"]
    np.testing.assert_array_equal(
        chosen, (snr >= 20) & (snr <= 200) & (objects["extendedness"] == 0)
    )
    flagged = change(objects, psfFlux_flag=np.ones(len(objects), bool))
    assert not point_sources(flagged, 20.0, 200.0).any()
    assert not point_sources(
        change(objects, detect_isPrimary=np.zeros(len(objects), bool)), 20.0, 200.0
    ).any()


@pytest.mark.parametrize(("factor", "ok"), [(1.0, True), (0.8, False), (1.25, False)])
def test_errors_of_the_coadd_that_are_wrong_miss_the_bound_of_depth(
    campaign: Campaign, rng: np.random.Generator, factor: float, ok: bool
) -> None:
    objects = change(campaign.object_table, psfFluxErr=factor * campaign.object_table["psfFluxErr"])
    forced = arrange_forced(campaign.forced_source_table, "psf", ())
    gain, best = depth_metrics(objects, forced, rng)
    assert gain.value == pytest.approx(-2.5 * np.log10(factor), abs=1e-6)
    assert gain.ok is ok
    assert best.value < gain.value


def test_a_coadd_psf_that_is_too_narrow_misses_the_bound_of_size(
    campaign: Campaign, rng: np.random.Generator
) -> None:
    objects = campaign.object_table
    assert size_metric(objects, rng).ok
    narrow = change(objects, ixxPSF=0.94 * objects["ixxPSF"], iyyPSF=0.94 * objects["iyyPSF"])
    metric = size_metric(narrow, rng)
    assert metric.value == pytest.approx(100 * (0.94**-0.5 - 1), abs=0.4)
    assert metric.ok is False


def test_the_light_of_an_object_in_visits_of_another_band_is_left_out(campaign: Campaign) -> None:
    objects, table = campaign.object_table, campaign.forced_source_table
    band = table.columns["band"].copy()
    visits = np.unique(table.columns["visit"])[:3]
    elsewhere = np.isin(table.columns["visit"], visits)
    band[elsewhere] = "z"
    mixed = Catalog(table.schema, table.columns | {"band": band})
    found = in_own_band(mixed, objects)
    assert len(found) == (~elsewhere).sum()
    assert not np.isin(visits, found.columns["visit"]).any()
    assert len(in_own_band(mixed, objects.select(np.zeros(0, np.int64)))) == 0


@pytest.mark.parametrize(("factor", "ok"), [(1.0, True), (0.6, False), (1.5, False)])
def test_errors_of_forced_photometry_that_are_wrong_miss_the_bound(
    campaign: Campaign, rng: np.random.Generator, factor: float, ok: bool
) -> None:
    table = campaign.forced_source_table
    forced = arrange_forced(change(table, psfFluxErr=factor * table["psfFluxErr"]), "psf", ())
    metric = pull_metric(campaign.object_table, forced, rng)
    assert metric.value == pytest.approx(1.0 / factor, rel=0.08)
    assert metric.ok is ok


def test_repeated_keys_and_twin_objects_are_counted(campaign: Campaign) -> None:
    objects, forced = campaign.object_table, campaign.forced_source_table
    sources = campaign.source_table
    assert table_metric(objects, forced, sources).value == 0
    twice = concatenate(forced.schema, [forced, forced.select(np.arange(7))])
    assert table_metric(objects, twice, sources).value == 7
    twin = objects.select(np.array([0]))
    twin.columns["objectId"][:] = 10**9
    metric = table_metric(concatenate(objects.schema, [objects, twin]), forced, sources)
    assert (metric.value, metric.ok) == (1.0, False)
    twin.columns["band"][:] = "z"
    metric = table_metric(concatenate(objects.schema, [objects, twin]), forced, sources)
    assert metric.value == 0, "the same source, as an object of another band"


def test_empty_tables_cannot_be_judged(rng: np.random.Generator, campaign: Campaign) -> None:
    none = np.zeros(0, np.int64)
    objects = campaign.object_table.select(none)
    table = campaign.forced_source_table.select(none)
    forced = arrange_forced(table, "psf", ())
    assert [m.ok for m in depth_metrics(objects, forced, rng)] == [None, None]
    assert size_metric(objects, rng).ok is None
    assert pull_metric(objects, forced, rng).ok is None
    assert table_metric(objects, table, campaign.source_table.select(none)).ok is None
