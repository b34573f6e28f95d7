"""Shards of reference catalogues in the format of Rubin's pipelines: FITS tables by HTM number."""

from __future__ import annotations

import gzip
import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from lsstpipe.errors import InputFileError
from lsstpipe.geometry.htm import trixel_range

FloatArray = npt.NDArray[np.float64]

HTM_LEVEL = 7
_NUMBER = re.compile(r"(?<!\d)(\d{6})(?!\d)")
_FLUX = re.compile(r"(.+)_flux$")
_JANSKY = 1e9
_MJD_OF_1970, _MJD_OF_2000, _DAYS_PER_YEAR = 40587.0, 51544.5, 365.25
_FIRST_MJD, _LAST_MJD = 40000.0, 90000.0
_FIRST_YEAR, _LAST_YEAR = 1950.0, 2150.0
_FIRST_SECOND = 1e7
_LARGEST_MOTION = 11000.0
"""Barnard's star, which is the fastest, moves by 10.4 arcsec a year; mas/yr."""

_MAS_PER_RADIAN = float(np.rad2deg(3.6e6))


@dataclass(frozen=True, slots=True)
class Shard:
    """The stars of a shard.

    Attributes
    ----------
    identity
        Number of each star, shape ``(n,)``.
    columns
        ``ra``, ``dec``, ``raErr``, ``decErr`` in degrees; ``pmRa``, ``pmDec`` and their errors in
        mas/yr, 0 and NaN where there are none; ``epoch`` as MJD, NaN where there is none.
    flux, flux_err
        In nJy by the catalogue's own band; NaN where there is none.
    """

    identity: npt.NDArray[np.int64]
    columns: dict[str, FloatArray]
    flux: dict[str, FloatArray]
    flux_err: dict[str, FloatArray]


def shard_number(path: str | Path) -> int | None:
    """Find the HTM number in the name of a shard; None where it has none.

    Parameters
    ----------
    path
        Path of the shard.
    """
    valid = trixel_range(HTM_LEVEL)
    numbers = [int(found) for found in _NUMBER.findall(Path(path).name)]
    return next((number for number in reversed(numbers) if number in valid), None)


def read_shard(path: str | Path) -> Shard | None:
    """Read a shard.

    Both generations of the format are understood: names of errors (``_fluxErr``, ``_fluxSigma``),
    fluxes in nJy or, without a unit and a version, in Jy, dates as MJD, Julian year or seconds.

    Parameters
    ----------
    path
        A FITS table; it may be gzipped.

    Returns
    -------
    shard
        None where it has no rows.

    Raises
    ------
    InputFileError
        If it cannot be read, lacks positions or fluxes, or has a date that cannot be true.
    """
    try:
        content = Path(path).read_bytes()
        plain = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        if not plain:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            with fits.open(io.BytesIO(plain), memmap=False) as hdus:
                tables = [h for h in hdus if isinstance(h, fits.BinTableHDU)]
                if not tables or not tables[0].header["NAXIS2"]:
                    return None
                return _translate(tables[0], str(path))
    except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputFileError(f"{path} is not a shard of a reference catalogue: {reason}") from error


def _translate(table: Any, path: str) -> Shard:
    """Put a table into lsstpipe's names and units."""
    units = {column.name: (column.unit or "").lower() for column in table.columns}
    data = table.data
    if not {"coord_ra", "coord_dec"} <= set(units):
        raise InputFileError(f"{path} has no columns coord_ra and coord_dec.")
    bands = [found[1] for name in units if (found := _FLUX.match(name))]
    if not bands:
        raise InputFileError(f"{path} has no column whose name ends in _flux.")
    n = len(data)

    def read(*names: str) -> tuple[FloatArray, str]:
        for name in names:
            if name in units:
                return np.asarray(data[name], dtype=np.float64), units[name]
        return np.full(n, np.nan), ""

    columns = {
        name: _degrees(*read(*theirs))
        for name, theirs in (
            ("ra", ("coord_ra",)),
            ("dec", ("coord_dec",)),
            ("raErr", ("coord_raErr", "coord_ra_err")),
            ("decErr", ("coord_decErr", "coord_dec_err")),
        )
    }
    moving = _has_motion(table)
    for name, theirs in (("pmRa", "pm_ra"), ("pmDec", "pm_dec")):
        motion, error = (
            _milliarcsec(*read(*names)) for names in ((theirs,), (f"{theirs}Err", f"{theirs}_err"))
        )
        # Catalogues without proper motions have columns of them that hold no such thing.
        known = moving & (error > 0) & (np.abs(motion) < _LARGEST_MOTION)
        columns[name] = np.where(known, motion, 0.0)
        columns[f"{name}Err"] = np.where(known, error, np.nan)
    columns["epoch"] = _mjd(*read("epoch"), path)
    scale = _flux_scale(table, units[f"{bands[0]}_flux"], path)
    flux = {band: read(f"{band}_flux")[0] * scale for band in bands}
    flux_err = {band: read(f"{band}_fluxErr", f"{band}_fluxSigma")[0] * scale for band in bands}
    return Shard(np.asarray(data["id"], dtype=np.int64), columns, flux, flux_err)


def _degrees(values: FloatArray, unit: str) -> FloatArray:
    """Turn angles into degrees; they are radians unless they say otherwise."""
    return values if unit.startswith("deg") else np.rad2deg(values)


def _milliarcsec(values: FloatArray, unit: str) -> FloatArray:
    """Turn proper motions into mas/yr; without a unit there are none."""
    # The first format had columns of proper motions, but no unit and nothing of use in them.
    scale = 1.0 if unit.startswith("mas") else _MAS_PER_RADIAN if unit else np.nan
    return values * scale


def _has_motion(table: Any) -> npt.NDArray[np.bool_]:
    """Find the stars whose proper motions are not flagged as bad."""
    flags = [table.header.get(f"TFLAG{k + 1}") for k in range(64)]
    if "pm_flag" in flags and "flags" in table.columns.names:
        bad = np.atleast_2d(table.data["flags"])[:, flags.index("pm_flag")]
        return ~np.asarray(bad, dtype=np.bool_)
    return np.ones(len(table.data), dtype=np.bool_)


def _flux_scale(table: Any, unit: str, path: str) -> float:
    """Give the nJy of a unit of flux."""
    if unit in ("njy", "jy"):
        return 1.0 if unit == "njy" else _JANSKY
    if unit:
        raise InputFileError(f"{path} has fluxes in '{unit}'; allowed are nJy and Jy.")
    # Before version 1 of the format fluxes were in Jy and did not say so.
    return 1.0 if int(table.header.get("REFCAT_FORMAT_VERSION", 0)) >= 1 else _JANSKY


def _mjd(epoch: FloatArray, unit: str, path: str) -> FloatArray:
    """Turn dates into MJD."""
    known = np.isfinite(epoch)
    if not known.any():
        return epoch
    middle = float(np.median(epoch[known]))
    if _FIRST_MJD < middle < _LAST_MJD:
        mjd = epoch
    elif _FIRST_YEAR < middle < _LAST_YEAR:
        mjd = _MJD_OF_2000 + (epoch - 2000.0) * _DAYS_PER_YEAR
    elif middle > _FIRST_SECOND:
        mjd = _MJD_OF_1970 + epoch / 86400.0
    else:
        mjd = np.full_like(epoch, np.nan)
    if not (np.abs(mjd[known] - 0.5 * (_FIRST_MJD + _LAST_MJD)) < 25000.0).all():
        raise InputFileError(
            f"{path} has stars of the date {middle:g} {unit or '(no unit)'}; allowed are MJD "
            f"{_FIRST_MJD:g} to {_LAST_MJD:g}, Julian years, and seconds since 1970."
        )
    return mjd
