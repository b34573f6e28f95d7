"""The reference catalogue: most stars of the sky as an earlier survey measured them.

Written in the format of LSST's reference catalogues: one FITS table a trixel of level 7 of the
Hierarchical Triangular Mesh, named by its number; angles in radians, fluxes in nJy.
"""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.geometry.sphere import unit_vectors
from lsstpipe.simulate.seeds import random_for
from lsstpipe.simulate.sky import BANDS, REFERENCE_MJD, Scene, make_scene
from lsstpipe.simulate.survey import Survey

FloatArray = npt.NDArray[np.float64]
Values = npt.NDArray[np.float64] | npt.NDArray[np.int64]

_LEVEL = 7
_MISSING = 0.1
_MAGS = (13.0, 21.5)
_ERROR_MAS, _ERROR_MAGS = (0.05, 1.0), (15.0, 21.0)
_FLUX_SCATTER_MAG = 0.005
COLOUR_TERM = 0.02
"""Magnitudes that the catalogue is too faint per magnitude of g - r above the pivot."""
COLOUR_PIVOT_MAG = 0.72
_AB_ZERO_POINT_MAG = 31.4

_AXES = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, -1]], float)
_ROOTS = ((1, 5, 2), (2, 5, 3), (3, 5, 4), (4, 5, 1), (1, 0, 4), (4, 0, 3), (3, 0, 2), (2, 0, 1))
"""Corners of the eight first triangles (S0 to S3, N0 to N3), numbered 8 to 15."""


def htm_index(
    ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike, level: int = _LEVEL
) -> npt.NDArray[np.int64]:
    """Find the numbers of the trixels that positions are in.

    Kunszt, Szalay & Thakar (2001): each triangle is halved along its sides into four.

    Parameters
    ----------
    ra_deg, dec_deg
        Positions, degrees, shape ``(n,)``.
    level
        How often the first eight triangles are divided.

    Returns
    -------
    numpy.ndarray
        Integers, shape ``(n,)``.
    """
    points = unit_vectors(ra_deg, dec_deg)
    number = np.zeros(len(points), dtype=np.int64)
    corners = np.zeros((len(points), 3, 3))
    for i, root in enumerate(_ROOTS):
        triangle = np.broadcast_to(_AXES[list(root)], corners.shape)
        here = (number == 0) & _is_inside(points, triangle)
        number[here], corners[here] = 8 + i, triangle[here]
    for _ in range(level):
        v0, v1, v2 = corners[:, 0], corners[:, 1], corners[:, 2]
        w0, w1, w2 = _between(v1, v2), _between(v0, v2), _between(v0, v1)
        parts = [(v0, w2, w1), (v1, w0, w2), (v2, w1, w0), (w0, w1, w2)]
        child = np.full(len(points), 3, dtype=np.int64)
        triangles = [np.stack(part, axis=1) for part in parts]
        for i in (2, 1, 0):
            child[_is_inside(points, triangles[i])] = i
        corners = np.stack(triangles, axis=1)[np.arange(len(points)), child]
        number = 4 * number + child
    return number


def _between(a: FloatArray, b: FloatArray) -> FloatArray:
    """Give the middles of the sides between corners."""
    middle = a + b
    return np.asarray(middle / np.linalg.norm(middle, axis=1, keepdims=True), dtype=np.float64)


def _is_inside(points: FloatArray, triangles: FloatArray) -> npt.NDArray[np.bool_]:
    """Tell which points are in their triangles."""
    inside = np.ones(len(points), dtype=bool)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        side = np.cross(triangles[:, i], triangles[:, j])
        inside &= np.einsum("ij,ij->i", side, points) >= 0
    return inside


def write_reference_catalog(survey: Survey, folder: Path) -> int:
    """Write the reference catalogue of a survey.

    Parameters
    ----------
    survey
        The survey.
    folder
        Where the shards go.

    Returns
    -------
    int
        Number of stars.
    """
    columns = reference_columns(make_scene(survey), survey.seed)
    shards = htm_index(np.degrees(columns["coord_ra"]), np.degrees(columns["coord_dec"]))
    for shard in np.unique(shards):
        table = _table({name: values[shards == shard] for name, values in columns.items()})
        sink = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(sink)
        write_atomically(folder / f"{shard}.fits", sink.getvalue())
    return len(shards)


def reference_columns(scene: Scene, seed: int) -> dict[str, Values]:
    """Measure the stars as an earlier survey did.

    Parameters
    ----------
    scene
        The sky.
    seed
        Chooses errors, and which stars are missing.
    """
    rng = random_for("reference", seed)
    r = scene.mags[:, BANDS.index("r")]
    listed = (scene.kind == 0) & (r > _MAGS[0]) & (r < _MAGS[1])
    listed &= rng.random(len(scene)) >= _MISSING
    rows = np.flatnonzero(listed)
    n = len(rows)
    share = np.clip((r[rows] - _ERROR_MAGS[0]) / (_ERROR_MAGS[1] - _ERROR_MAGS[0]), 0, 1)
    error = _ERROR_MAS[0] * (_ERROR_MAS[1] / _ERROR_MAS[0]) ** share
    mas = math.radians(1 / 3600e3)
    dec = np.radians(scene.dec_deg[rows])
    noise = error * rng.standard_normal((4, n))
    columns: dict[str, Values] = {
        "id": scene.id[rows],
        "coord_ra": np.radians(scene.ra_deg[rows]) + noise[0] * mas / np.cos(dec),
        "coord_dec": dec + noise[1] * mas,
        "coord_raErr": error * mas,
        "coord_decErr": error * mas,
        "epoch": np.full(n, REFERENCE_MJD),
        "pm_ra": (scene.pm_ra_mas[rows] + noise[2]) * mas,
        "pm_dec": (scene.pm_dec_mas[rows] + noise[3]) * mas,
        "pm_raErr": error * mas,
        "pm_decErr": error * mas,
    }
    colour = scene.mags[rows, 0] - scene.mags[rows, 1] - COLOUR_PIVOT_MAG
    for i, band in enumerate(BANDS):
        mag = scene.mags[rows, i] + COLOUR_TERM * colour
        mag = mag + _FLUX_SCATTER_MAG * rng.standard_normal(n)
        flux = 10 ** (-0.4 * (mag - _AB_ZERO_POINT_MAG))
        columns[f"{band}_flux"] = flux
        columns[f"{band}_fluxErr"] = flux * _FLUX_SCATTER_MAG * math.log(10) / 2.5
    return columns


def _table(columns: dict[str, Values]) -> fits.BinTableHDU:
    """Put columns into a table of the format."""
    made = [
        fits.Column(name=name, format="K" if name == "id" else "D", unit=_unit(name), array=values)
        for name, values in columns.items()
    ]
    table = fits.BinTableHDU.from_columns(made)
    table.header["HIERARCH REFCAT_FORMAT_VERSION"] = 1
    return table


def _unit(name: str) -> str | None:
    """Name the unit of a column."""
    if name == "id":
        return None
    if "flux" in name:
        return "nJy"
    if name == "epoch":
        return "day"
    return "rad/year" if name.startswith("pm_") else "rad"
