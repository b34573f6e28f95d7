"""Read the reference catalogue of a campaign, of either format, as the tasks want it."""

from __future__ import annotations

import csv
import glob
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.colour_term import apply_colour_term
from lsstpipe.algorithms.duplicates import find_duplicates
from lsstpipe.config import Campaign
from lsstpipe.config.campaign import ReferenceBand, ReferenceCatalog
from lsstpipe.errors import InputFileError, UserError
from lsstpipe.geometry.htm import trixel_circle
from lsstpipe.geometry.sphere import angular_separation_deg
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.exposure import ObservationInfo
from lsstpipe.image.reference import reference_schema
from lsstpipe.io.reference_shards import Shard, read_shard, shard_number
from lsstpipe.plan.select import field_radius_deg

FloatArray = npt.NDArray[np.float64]
Field = tuple[float, float, float]
"""Centre and radius of a circle on the sky, degrees."""

_MAG_TO_RELATIVE = math.log(10) / 2.5


def read_reference_catalog(campaign: Campaign, infos: Sequence[ObservationInfo] = ()) -> Catalog:
    """Read the reference catalogue of a campaign.

    Entries closer than ``duplicate_radius_arcsec`` are merged: the one with the smallest error of
    its position stays, and takes fluxes that it lacks from the others. Of a sharded catalogue only
    the stars around the pointings are kept.

    Parameters
    ----------
    campaign
        Path, format, bands and errors.
    infos
        Headers of the raws.

    Returns
    -------
    stars
        Columns of `reference_schema` with the bands of the campaign; fluxes in nJy.

    Raises
    ------
    UserError
        If a file is absent, of another format, or no star is in the field.
    """
    settings = campaign.reference_catalog
    fields = _find_fields(campaign, infos)
    if settings.format == "lsst_shards":
        stars = _read_shards(settings, fields)
    else:
        stars = _read_csv(settings)
    _check_overlap(settings, stars, fields)
    return _merge(stars, settings.duplicate_radius_arcsec)


def _find_fields(campaign: Campaign, infos: Sequence[ObservationInfo]) -> list[Field]:
    """Give a circle for each place that a detector looked at."""
    radius = field_radius_deg(campaign)
    if campaign.pointing is not None:
        return [(campaign.pointing.ra_deg, campaign.pointing.dec_deg, radius)]
    return [
        (info.ra_deg, info.dec_deg, radius)
        for info in infos
        if info.observation_type == "science" and math.isfinite(info.ra_deg + info.dec_deg)
    ]


def _inside(ra: FloatArray, dec: FloatArray, fields: Sequence[Field]) -> npt.NDArray[np.bool_]:
    """Find the positions in any of the fields."""
    inside = np.zeros(len(ra), dtype=np.bool_)
    for centre_ra, centre_dec, radius in fields:
        inside |= angular_separation_deg(ra, dec, centre_ra, centre_dec) <= radius
    return inside


def _check_overlap(settings: ReferenceCatalog, stars: Catalog, fields: Sequence[Field]) -> None:
    """Refuse a catalogue without a star where the telescope looked."""
    if not fields or _inside(stars["ra"], stars["dec"], fields).any():
        return
    ra, dec, radius = fields[0]
    distance = angular_separation_deg(stars["ra"], stars["dec"], ra, dec)
    nearest = f"the nearest is {distance.min():.2f} degrees away" if len(stars) else "it is empty"
    raise UserError(
        f"{_name(settings)} has no star within {radius:.2f} degrees of the pointing "
        f"({ra:g} {dec:g}): {nearest}."
    )


def _name(settings: ReferenceCatalog) -> str:
    """Name the catalogue in a message."""
    return settings.path if isinstance(settings.path, str) else settings.path[0]


def _read_csv(settings: ReferenceCatalog) -> Catalog:
    """Read a table of positions and magnitudes."""
    path = _name(settings)
    try:
        lines = Path(path).read_text().splitlines()
        if not lines or lines[0].lstrip("# ").strip() != settings.format:
            raise InputFileError(
                f"{path} must begin with the line '# {settings.format}', got "
                f"{lines[0][:60] if lines else 'an empty file'!r}."
            )
        rows = [tuple(float(v) for v in row) for row in csv.reader(lines[1:]) if row]
        ra, dec, mag = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    except (OSError, UnicodeDecodeError) as error:
        raise InputFileError(f"{path} cannot be read: {error}.") from error
    except ValueError as error:
        raise InputFileError(
            f"{path} must have rows of three numbers ({settings.format}): {error}."
        ) from error
    flux = 10 ** (-0.4 * (mag - settings.zero_point_mag))
    n, error_deg = len(ra), settings.position_error_arcsec / 3600
    return Catalog(
        reference_schema(),
        {
            "id": np.arange(1, n + 1),
            "ra": ra,
            "dec": dec,
            "raErr": np.full(n, error_deg),
            "decErr": np.full(n, error_deg),
            "flux": flux,
            "fluxErr": flux * settings.magnitude_error * _MAG_TO_RELATIVE,
            "pmRa": np.zeros(n),
            "pmDec": np.zeros(n),
            "pmRaErr": np.full(n, np.nan),
            "pmDecErr": np.full(n, np.nan),
            "epoch": np.full(n, np.nan),
        },
    )


def _read_shards(settings: ReferenceCatalog, fields: Sequence[Field]) -> Catalog:
    """Read the shards that overlap the fields."""
    shards = []
    for path in _find_shards(settings):
        number = shard_number(path)
        if number is not None and fields and not _overlaps(trixel_circle(number), fields):
            continue
        shard = read_shard(path)
        if shard is not None:
            shards.append(_cut(shard, fields))
    if not shards:
        raise UserError(
            f"{_name(settings)} has no shard with stars that overlaps the pointings of the raws."
        )
    columns = {
        name: np.concatenate([shard.columns[name] for shard in shards])
        for name in shards[0].columns
    }
    least = settings.position_error_arcsec / 3600
    for name in ("raErr", "decErr"):
        columns[name] = np.where(columns[name] > 0, columns[name], least)
    rules = settings.bands or {band: ReferenceBand(flux=band) for band in shards[0].flux}
    fluxes = {band: _band_flux(shards, rule, settings) for band, rule in rules.items()}
    whole = next(iter(fluxes.values()))
    # One flux alone serves all bands of the camera; of several, each serves that of its name.
    bands = fluxes if settings.bands or len(fluxes) > 1 else {}
    for band, (flux, error) in bands.items():
        columns |= {f"{band}_flux": flux, f"{band}_fluxErr": error}
    identity = np.concatenate([shard.identity for shard in shards])
    return Catalog(
        reference_schema(bands),
        {"id": identity, "flux": whole[0], "fluxErr": whole[1], **columns},
    )


def _find_shards(settings: ReferenceCatalog) -> list[str]:
    """Find the files of a sharded catalogue, each once, sorted."""
    patterns = [settings.path] if isinstance(settings.path, str) else list(settings.path)
    found: set[str] = set()
    for pattern in patterns:
        if Path(pattern).is_dir():
            found |= {str(p) for p in Path(pattern).iterdir() if ".fits" in p.suffixes}
        else:
            found |= set(glob.glob(pattern))  # noqa: PTH207  (Path.glob takes no absolute one)
    if not found:
        raise InputFileError(f"{', '.join(patterns)} names no FITS file.")
    return sorted(found)


def _overlaps(circle: Field, fields: Sequence[Field]) -> bool:
    """Tell whether a circle touches a field."""
    return any(
        angular_separation_deg(circle[0], circle[1], ra, dec) <= circle[2] + radius
        for ra, dec, radius in fields
    )


def _cut(shard: Shard, fields: Sequence[Field]) -> Shard:
    """Keep the stars in the fields."""
    if not fields:
        return shard
    own = _inside(shard.columns["ra"], shard.columns["dec"], fields)
    flux, flux_err, columns = (
        {name: values[own] for name, values in table.items()}
        for table in (shard.flux, shard.flux_err, shard.columns)
    )
    return Shard(shard.identity[own], columns, flux, flux_err)


def _band_flux(
    shards: Sequence[Shard], rule: ReferenceBand, settings: ReferenceCatalog
) -> tuple[FloatArray, FloatArray]:
    """Give flux and error in a band of the camera."""
    known = set.intersection(*(set(shard.flux) for shard in shards))
    term = rule.colour_term
    for name in (rule.flux, *((term.against,) if term else ())):
        if name not in known:
            raise UserError(
                f"{_name(settings)} has no flux '{name}'; it has {', '.join(sorted(known))}."
            )
    flux = np.concatenate([shard.flux[rule.flux] for shard in shards])
    error = np.concatenate([shard.flux_err[rule.flux] for shard in shards])
    usual = np.abs(flux) * settings.magnitude_error * _MAG_TO_RELATIVE
    error = np.where(error > 0, error, usual)
    if term is None:
        return np.where(flux > 0, flux, np.nan), error
    other = np.concatenate([shard.flux[term.against] for shard in shards])
    return apply_colour_term(flux, other, (term.c0, term.c1, term.c2)), error


def _merge(stars: Catalog, radius_arcsec: float) -> Catalog:
    """Join entries of one star."""
    size = np.hypot(stars["raErr"], stars["decErr"])
    keeper = find_duplicates(stars["ra"], stars["dec"], size, radius_arcsec=radius_arcsec)
    extra = np.flatnonzero(keeper != np.arange(len(stars)))
    columns = {name: values.copy() for name, values in stars.columns.items()}
    for name, values in columns.items():
        if not name.lower().endswith("flux"):
            continue
        for row in extra.tolist():
            if np.isnan(values[keeper[row]]):
                for own in (name, f"{name}Err"):
                    columns[own][keeper[row]] = columns[own][row]
    merged = Catalog(stars.schema, columns)
    return merged.select(np.unique(keeper))
