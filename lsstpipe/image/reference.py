"""Reference catalogues: fluxes in the bands of a camera, and positions at the date of an image."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from lsstpipe.geometry.proper_motion import DAYS_PER_YEAR, move_stars
from lsstpipe.image.catalog import Catalog, Column, Schema
from lsstpipe.image.columns import REFERENCE

FloatArray = npt.NDArray[np.float64]

_MOTION = (
    Column("pmRa", "f8", "mas/yr", "Proper motion along ra times cos(dec); 0 if unknown."),
    Column("pmDec", "f8", "mas/yr", "Proper motion along dec; 0 if unknown."),
    Column("pmRaErr", "f8", "mas/yr", "Standard error of pmRa; NaN if unknown."),
    Column("pmDecErr", "f8", "mas/yr", "Standard error of pmDec; NaN if unknown."),
    Column("epoch", "f8", "d", "Date of the position, TAI MJD; NaN if unknown."),
)


def reference_schema(bands: Iterable[str] = ()) -> Schema:
    """Give the columns of a catalogue with proper motions and fluxes in some bands.

    Parameters
    ----------
    bands
        Bands of the camera.
    """
    fluxes = tuple(
        column
        for band in bands
        for column in (
            Column(f"{band}_flux", "f8", "nJy", f"Flux in the camera's {band}; NaN if unknown."),
            Column(f"{band}_fluxErr", "f8", "nJy", f"Standard error of {band}_flux."),
        )
    )
    return Schema(REFERENCE.name, (*REFERENCE.columns, *_MOTION, *fluxes))


def bands_of(reference: Catalog) -> tuple[str, ...]:
    """List the bands that a catalogue has fluxes in; empty where it has one flux for all.

    Parameters
    ----------
    reference
        A reference catalogue.
    """
    return tuple(name[:-5] for name in reference.columns if name.endswith("_flux"))


def flux_in(reference: Catalog, band: str) -> tuple[FloatArray, FloatArray]:
    """Look up the fluxes in a band.

    Parameters
    ----------
    reference
        A reference catalogue.
    band
        Band of the camera.

    Returns
    -------
    flux, error
        In nJy, shape ``(n,)``; NaN where the catalogue has bands, but not this one.
    """
    bands = bands_of(reference)
    if not bands:
        return reference["flux"], reference["fluxErr"]
    if band not in bands:
        unknown = np.full(len(reference), np.nan)
        return unknown, unknown
    return reference[f"{band}_flux"], reference[f"{band}_fluxErr"]


def has_motions(reference: Catalog) -> bool:
    """Tell whether a catalogue has proper motions and a date.

    Parameters
    ----------
    reference
        A reference catalogue.
    """
    return "epoch" in reference.columns and bool(np.isfinite(reference["epoch"]).any())


def positions_at(reference: Catalog, mjd: float) -> tuple[FloatArray, FloatArray]:
    """Move the stars to where they are on a date.

    Parameters
    ----------
    reference
        A reference catalogue.
    mjd
        The date.

    Returns
    -------
    ra_deg, dec_deg
        Positions, degrees; those of the catalogue where it has no proper motions.
    """
    if not has_motions(reference):
        return reference["ra"], reference["dec"]
    years = (mjd - reference["epoch"]) / DAYS_PER_YEAR
    motion = (reference["pmRa"], reference["pmDec"])
    return move_stars(reference["ra"], reference["dec"], motion, years)


def as_seen(reference: Catalog, *, band: str, mjd: float) -> Catalog:
    """Give a catalogue as an image sees it: one flux, and where the stars are.

    Parameters
    ----------
    reference
        A reference catalogue.
    band
        Band of the image; its fluxes become ``flux``.
    mjd
        Date of the image; the positions and their errors become those of then.
    """
    ra, dec = positions_at(reference, mjd)
    flux, error = flux_in(reference, band)
    seen = {"ra": ra, "dec": dec, "flux": flux, "fluxErr": error}
    if has_motions(reference):
        years = (mjd - reference["epoch"]) / DAYS_PER_YEAR
        for axis, motion in (("ra", "pmRa"), ("dec", "pmDec")):
            drift_deg = np.nan_to_num(reference[f"{motion}Err"] * years) / 3.6e6
            seen[f"{axis}Err"] = np.hypot(reference[f"{axis}Err"], drift_deg)
    return Catalog(reference.schema, {**reference.columns, **seen})
