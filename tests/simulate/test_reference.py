"""The reference catalogue and the numbers of its shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lsstpipe.simulate.presets import find_preset
from lsstpipe.simulate.reference import htm_index, reference_columns, write_reference_catalog
from lsstpipe.simulate.sky import make_scene
from lsstpipe.simulate.survey import make_survey

SURVEY = make_survey(find_preset("ci_small"), 4)


def test_the_eight_first_triangles_are_the_octants() -> None:
    ra = np.array([45.0, 135.0, 225.0, 315.0] * 2)
    dec = np.repeat([-40.0, 40.0], 4)
    assert htm_index(ra, dec, level=0).tolist() == [8, 9, 10, 11, 15, 14, 13, 12]


def test_every_point_of_the_sky_has_one_trixel_and_they_are_of_about_one_size(
    rng: np.random.Generator,
) -> None:
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, 200000)))
    counts = np.bincount(htm_index(rng.uniform(0, 360, 200000), dec, level=3))
    assert not counts[:512].any()
    # Trixels of one level differ in area by a factor of two.
    assert counts[512:].min() > 200000 / 512 / 2.2
    assert counts[512:].max() < 200000 / 512 * 2.2


def test_real_shards_are_numbered_so(test_data: Path) -> None:
    paths = sorted((test_data / "refcat_cosmos").glob("gaia*.fits.gz"))
    assert paths
    for path in paths:
        table = fits.getdata(path, 1)
        numbers = htm_index(np.degrees(table["coord_ra"]), np.degrees(table["coord_dec"]))
        assert np.unique(numbers).tolist() == [int(path.name.split("_")[3])]


def test_shards_hold_the_stars_that_are_not_missing(tmp_path: Path) -> None:
    n = write_reference_catalog(SURVEY, tmp_path)
    scene = make_scene(SURVEY)
    ids = np.concatenate([fits.getdata(path, 1)["id"] for path in tmp_path.glob("*.fits")])
    assert len(ids) == n == len(np.unique(ids))
    r = scene.mags[:, 1]
    there = scene.id[(scene.kind == 0) & (r > 13) & (r < 21.5)]
    assert set(ids) <= set(there)
    assert 1 - n / len(there) == pytest.approx(0.1, abs=0.05)


def test_positions_motions_and_fluxes_are_true_to_their_errors() -> None:
    scene = make_scene(SURVEY)
    columns = reference_columns(scene, 4)
    rows = columns["id"].astype(int) - 1
    mas = np.radians(1 / 3600e3)
    for name, truth in (
        ("coord_dec", np.radians(scene.dec_deg[rows])),
        ("pm_ra", scene.pm_ra_mas[rows] * mas),
        ("pm_dec", scene.pm_dec_mas[rows] * mas),
    ):
        pull = (columns[name] - truth) / columns[f"{name}Err"]
        assert np.std(pull) == pytest.approx(1, abs=0.12)
    assert np.std(columns["pm_ra"]) / mas == pytest.approx(10, rel=0.12)
    colour = scene.mags[rows, 0] - scene.mags[rows, 1]
    mag = 31.4 - 2.5 * np.log10(columns["r_flux"]) - scene.mags[rows, 1]
    slope, _ = np.polyfit(colour, mag, 1)
    assert slope == pytest.approx(0.02, abs=0.004)
