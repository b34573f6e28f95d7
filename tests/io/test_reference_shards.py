from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits

from lsstpipe.errors import InputFileError
from lsstpipe.io.reference_shards import read_shard, shard_number

MAS = np.deg2rad(1 / 3.6e6)


def write(path: Path, columns: dict[str, tuple[npt.ArrayLike, str]]) -> Path:
    """Write a table; each column is its values and its unit."""
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(name, "K" if name == "id" else "D", unit or None, array=np.asarray(values))
            for name, (values, unit) in columns.items()
        ]
    )
    table.writeto(path)
    return path


def modern(n: int = 3) -> dict[str, tuple[npt.ArrayLike, str]]:
    return {
        "id": (np.arange(n) + 5, ""),
        "coord_ra": (np.deg2rad(np.full(n, 150.0)), "rad"),
        "coord_dec": (np.deg2rad(np.full(n, 2.0)), "rad"),
        "coord_raErr": (np.full(n, 2 * MAS), "rad"),
        "coord_decErr": (np.full(n, 3 * MAS), "rad"),
        "epoch": (np.full(n, 57205.9), "day"),
        "pm_ra": (np.full(n, 7 * MAS), "rad/year"),
        "pm_dec": (np.full(n, -4 * MAS), "rad/year"),
        "pm_raErr": (np.full(n, 0.5 * MAS), "rad/year"),
        "pm_decErr": (np.full(n, np.nan), "rad/year"),
        "r_flux": (np.full(n, 3631.0), "nJy"),
        "r_fluxErr": (np.full(n, 36.0), "nJy"),
    }


def test_a_shard_comes_in_degrees_milliarcseconds_and_nanojanskys(tmp_path: Path) -> None:
    shard = read_shard(write(tmp_path / "231856.fits", modern()))
    assert shard is not None
    assert shard.identity.tolist() == [5, 6, 7]
    expected = {
        "ra": 150.0, "dec": 2.0, "raErr": 2 / 3.6e6, "decErr": 3 / 3.6e6, "epoch": 57205.9,
        "pmRa": 7.0, "pmRaErr": 0.5,
    }  # fmt: skip
    for name, value in expected.items():
        np.testing.assert_allclose(shard.columns[name], value, rtol=1e-12)
    # A motion without an error is none.
    assert (shard.columns["pmDec"] == 0).all()
    assert np.isnan(shard.columns["pmDecErr"]).all()
    np.testing.assert_allclose(shard.flux["r"], 3631.0)
    np.testing.assert_allclose(shard.flux_err["r"], 36.0)


@pytest.mark.parametrize(
    ("epoch", "mjd"), [(57205.9, 57205.9), (2015.5, 57205.875), (1435706400.0, 57203.9722222)]
)
def test_dates_are_understood(tmp_path: Path, epoch: float, mjd: float) -> None:
    columns = modern() | {"epoch": (np.full(3, epoch), "")}
    shard = read_shard(write(tmp_path / "a.fits", columns))
    assert shard is not None
    np.testing.assert_allclose(shard.columns["epoch"], mjd, rtol=1e-9)


def test_a_date_that_cannot_be_true_is_refused(tmp_path: Path) -> None:
    columns = modern() | {"epoch": (np.full(3, 24.0), "day")}
    with pytest.raises(InputFileError, match="stars of the date 24 day; allowed are MJD"):
        read_shard(write(tmp_path / "a.fits", columns))


def test_fluxes_of_the_first_format_are_in_jansky(tmp_path: Path) -> None:
    columns = modern() | {"r_flux": (np.full(3, 3.631e-6), "")}
    columns["r_fluxSigma"] = (np.full(3, 3.6e-8), "")
    del columns["r_fluxErr"]
    shard = read_shard(write(tmp_path / "a.fits", columns))
    assert shard is not None
    np.testing.assert_allclose(shard.flux["r"], 3631.0)
    np.testing.assert_allclose(shard.flux_err["r"], 36.0)
    columns["r_flux"] = (np.full(3, 3631.0), "")
    path = write(tmp_path / "c.fits", columns)
    with fits.open(path, mode="update") as hdus:
        hdus[1].header["HIERARCH REFCAT_FORMAT_VERSION"] = 1
    later = read_shard(path)
    assert later is not None
    np.testing.assert_allclose(later.flux["r"], 3631.0)
    odd = modern() | {"r_flux": (np.full(3, 1.0), "adu")}
    with pytest.raises(InputFileError, match="allowed are nJy and Jy"):
        read_shard(write(tmp_path / "b.fits", odd))


def test_empty_shards_are_none(tmp_path: Path) -> None:
    assert read_shard(write(tmp_path / "a.fits", modern(0))) is None
    (tmp_path / "b.fits").write_bytes(b"")
    assert read_shard(tmp_path / "b.fits") is None
    fits.PrimaryHDU().writeto(tmp_path / "c.fits")
    assert read_shard(tmp_path / "c.fits") is None


def test_files_that_are_no_shard_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.fits").write_bytes(gzip.compress(b"no FITS at all" * 500))
    with pytest.raises(InputFileError, match="is not a shard"):
        read_shard(tmp_path / "a.fits")
    columns = modern()
    del columns["coord_dec"]
    with pytest.raises(InputFileError, match="coord_ra and coord_dec"):
        read_shard(write(tmp_path / "b.fits", columns))
    columns = {name: value for name, value in modern().items() if "flux" not in name}
    with pytest.raises(InputFileError, match="ends in _flux"):
        read_shard(write(tmp_path / "c.fits", columns))


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("231856.fits", 231856),
        ("ps1_pv3_3pi_20170110_231857_refcats_gen2.fits.gz", 231857),
        ("stars.fits", None),
        ("000123.fits", None),
    ],
)
def test_the_number_of_a_shard_is_in_its_name(name: str, number: int | None) -> None:
    assert shard_number(name) == number


def test_real_shards_of_two_generations_are_read(test_data: Path) -> None:
    folder = test_data / "refcat_cosmos"
    counts = {}
    for path in sorted(folder.iterdir()):
        shard = read_shard(path)
        assert shard is not None
        counts[path.name[:3], shard_number(path)] = len(shard.identity)
        columns = shard.columns
        assert 149.9 < columns["ra"].min() < columns["ra"].max() < 151.4
        assert 1.5 < columns["dec"].min() < columns["dec"].max() < 3.1
        assert 55900 < np.median(columns["epoch"]) < 57300
        assert np.hypot(columns["pmRa"], columns["pmDec"]).max() < 1000

    assert counts["ps1", 231856] == 22151
    assert counts["gai", 231859] == 981
    assert len(counts) == 8
