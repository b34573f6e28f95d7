from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lsstpipe.config.campaign import Campaign, campaign_model
from lsstpipe.errors import UserError
from lsstpipe.execute.reference_catalog import read_reference_catalog
from lsstpipe.geometry.sphere import angular_separation_deg
from lsstpipe.image.reference import as_seen, flux_in
from tests.io.test_reference_shards import MAS, modern, write


def make_campaign(path: str | list[str], **settings: Any) -> Campaign:
    """Make a campaign of the ST-10 that looks at COSMOS."""
    text = yaml.safe_dump(
        {
            "name": "small", "instrument": "st10", "raws": ["*.fits"], "repo": "repo",
            "reference_catalog": {"path": path, "format": "lsst_shards", **settings},
            "pointing": {"ra_deg": 150.25, "dec_deg": 2.23, "radius_arcmin": 3.0},
            "skymap": {
                "name": "small", "pixel_scale_arcsec": 2.4, "patch_inner_y": 500,
                "patch_inner_x": 500, "tracts": [{"ra_deg": 150.25, "dec_deg": 2.23}],
            },
        }
    )  # fmt: skip
    return campaign_model().model_validate(yaml.safe_load(text))


BANDS = {
    "clear": {"flux": "r", "colour_term": {"against": "i", "c0": 0.02, "c1": -0.1}},
    "I": {"flux": "i"},
}


def stars(n: int = 40, seed: int = 1, **columns: Any) -> dict[str, Any]:
    """Make a shard of stars around the pointing."""
    rng = np.random.default_rng(seed)
    table: dict[str, Any] = modern(n)
    table["coord_ra"] = (np.deg2rad(150.25 + rng.uniform(-0.3, 0.3, n)), "rad")
    table["coord_dec"] = (np.deg2rad(2.23 + rng.uniform(-0.3, 0.3, n)), "rad")
    table["i_flux"] = (np.full(n, 5000.0), "nJy")
    table["i_fluxErr"] = (np.full(n, 50.0), "nJy")
    return table | columns


def test_fluxes_are_those_of_the_bands_of_the_camera(tmp_path: Path) -> None:
    write(tmp_path / "a.fits", stars())
    found = read_reference_catalog(make_campaign(str(tmp_path), bands=BANDS))
    colour = -2.5 * np.log10(3631.0 / 5000.0)
    expected = 3631.0 * 10 ** (-0.4 * (0.02 - 0.1 * colour))
    np.testing.assert_allclose(flux_in(found, "clear")[0], expected, rtol=1e-9)
    np.testing.assert_allclose(flux_in(found, "I")[0], 5000.0)
    # The first band is that of stars whose band does not matter.
    assert (found["flux"] == flux_in(found, "I")[0]).all()
    assert np.isnan(flux_in(found, "z")[0]).all()


def test_without_bands_each_flux_is_that_of_the_band_of_its_name(tmp_path: Path) -> None:
    write(tmp_path / "a.fits", stars())
    found = read_reference_catalog(make_campaign(str(tmp_path)))
    np.testing.assert_allclose(flux_in(found, "r")[0], 3631.0)
    np.testing.assert_allclose(flux_in(found, "i")[0], 5000.0)
    assert np.isnan(flux_in(found, "clear")[0]).all()


def test_the_only_flux_of_a_catalogue_is_taken_for_all_bands(tmp_path: Path) -> None:
    one = {name: column for name, column in stars().items() if not name.startswith("i_")}
    write(tmp_path / "a.fits", one)
    found = read_reference_catalog(make_campaign(str(tmp_path)))
    np.testing.assert_allclose(flux_in(found, "any")[0], 3631.0)


def test_entries_of_one_star_are_merged(tmp_path: Path) -> None:
    n = 40
    first = stars(n)
    rng = np.random.default_rng(2)
    flux = np.full(n, 3631.0)
    flux[:5] = np.nan
    write(tmp_path / "a.fits", first | {"r_flux": (flux, "nJy")})
    shifted = np.asarray(first["coord_dec"][0]) + 60 * MAS * rng.uniform(-1, 1, n)
    again = first | {
        "coord_dec": (shifted, "rad"), "id": (np.arange(n) + 1000, ""),
        "coord_raErr": (np.full(n, 90 * MAS), "rad"),
    }  # fmt: skip
    write(tmp_path / "b.fits", again)
    found = read_reference_catalog(make_campaign(str(tmp_path)))
    assert len(found) == n
    assert sorted(found["id"].tolist()) == list(range(5, 5 + n))
    assert np.isfinite(found["flux"]).all()


def test_stars_move_to_the_date_of_the_image(tmp_path: Path) -> None:
    write(tmp_path / "a.fits", stars(pm_decErr=(np.full(40, MAS), "rad/year")))
    found = read_reference_catalog(make_campaign(str(tmp_path)))
    seen = as_seen(found, band="r", mjd=57205.9 + 10 * 365.25)
    np.testing.assert_allclose((seen["dec"] - found["dec"]) * 3.6e6, -40.0, rtol=1e-5)
    on_ra = (seen["ra"] - found["ra"]) * 3.6e6 * np.cos(np.deg2rad(found["dec"]))
    np.testing.assert_allclose(on_ra, 70.0, rtol=1e-5)
    # 1 mas a year for ten years.
    grown = np.hypot(found["decErr"], 10.0 / 3.6e6)
    np.testing.assert_allclose(seen["decErr"], grown, rtol=1e-5)


def test_stars_and_shards_far_from_the_pointing_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a.fits", stars())
    far = stars(40, 2, coord_ra=(np.deg2rad(np.linspace(151.5, 152, 40)), "rad"))
    write(tmp_path / "b.fits", far)
    # By its name this one lies on another part of the sky, so that it is not even opened.
    (tmp_path / "131072.fits").write_bytes(b"not FITS")
    found = read_reference_catalog(make_campaign([f"{tmp_path}/*.fits"]))
    assert len(found) == 40
    assert found["ra"].max() < 151


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"bands": {"clear": {"flux": "u"}}}, r"has no flux 'u'; it has i, r\."),
        (
            {"bands": {"clear": {"flux": "r", "colour_term": {"against": "y"}}}},
            "has no flux 'y'",
        ),
    ],
)
def test_a_band_that_is_not_there_is_one_sentence(
    tmp_path: Path, settings: dict[str, Any], sentence: str
) -> None:
    write(tmp_path / "a.fits", stars())
    with pytest.raises(UserError, match=sentence):
        read_reference_catalog(make_campaign(str(tmp_path), **settings))


def test_a_catalogue_of_another_field_or_without_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="names no FITS file"):
        read_reference_catalog(make_campaign(str(tmp_path)))
    write(tmp_path / "a.fits", modern(0))
    with pytest.raises(UserError, match="no shard with stars"):
        read_reference_catalog(make_campaign(str(tmp_path)))
    write(tmp_path / "b.fits", stars(coord_ra=(np.deg2rad(np.full(40, 20.0)), "rad")))
    with pytest.raises(UserError, match=re.escape("has no star within")):
        read_reference_catalog(make_campaign(str(tmp_path)))


def test_real_catalogues_agree_with_each_other(test_data: Path) -> None:
    folder = test_data / "refcat_cosmos"
    bands = {"clear": {"flux": "r", "colour_term": {"against": "i"}}}
    ps1 = read_reference_catalog(make_campaign(f"{folder}/ps1*", bands=bands))
    gaia = read_reference_catalog(make_campaign(f"{folder}/gaia*"))
    assert angular_separation_deg(ps1["ra"], ps1["dec"], 150.25, 2.23).max() < 0.6
    bright = gaia["flux"] > 10 ** (-0.4 * (18 - 31.4))
    # The positions of PS1 were tied to those that Gaia measured, whatever its own dates.
    apart = [
        angular_separation_deg(ps1["ra"], ps1["dec"], ra, dec).min() * 3.6e6
        for ra, dec in zip(gaia["ra"][bright], gaia["dec"][bright], strict=True)
    ]
    assert len(apart) > 100
    assert np.median(apart) < 30
