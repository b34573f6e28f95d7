"""What is true of one detector of a simulated visit, held against what was measured on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from lsstpipe.algorithms.aperture import measure_apertures
from lsstpipe.algorithms.match import match_plane
from lsstpipe.algorithms.planes import Planes
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import INVALID, MaskPlane, has
from lsstpipe.image.photocalib import PhotoCalib, magnitude
from lsstpipe.image.psf import Psf, nearest_pixel, stamp_moments
from lsstpipe.measure.psf_truth import PsfShapes
from lsstpipe.measure.source_truth import field_cells

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

MATCH_PIX = 2.5
_EDGE_PIX = 25
_CLOSE_FWHM, _CLOSE_SIGMA = 2.5, 0.2
_NEAR_PIX, _NEAR_SHARE, _NEAR_SIGMA = 15.0, 0.01, 3.0
_FAR_PIX, _FAR_SHARE = 30.0, 10.0
_REAL_SNR = 1.5
_SKY_SHARE = 0.1
_GALAXY_GROWTH_PIX = 8.0
_APERTURE_PIX = 12.0
_GRID_PIX = 26
_N_PSF = 100
_MAS_PER_DEGREE = 3.6e6


@dataclass(frozen=True, slots=True, eq=False)
class VisitTruth:
    """The truth of one detector of a visit.

    Attributes
    ----------
    wcs
        True map.
    zero_point_mag
        Magnitude of one electron in the exposure.
    sky_electron
        Electrons of sky in a pixel.
    beta
        Exponent of the Moffat profile of the PSF.
    placed
        Objects on the detector and near it: ``id``, ``kind`` (0 a star), ``y``, ``x``, ``flux``
        (nJy), ``electrons``, ``psfFwhm``, ``psfA``, ``psfB``, ``psfC``.
    cosmic_electron
        Charge of cosmic rays in each pixel, shape ``(ny, nx)``.
    is_defect
        Pixels that are defective, same shape.
    has_trail
        Whether a satellite crossed the image.
    """

    wcs: SkyWcs
    zero_point_mag: float
    sky_electron: float
    beta: float
    placed: Catalog
    cosmic_electron: FloatImage
    is_defect: BoolArray
    has_trail: bool = False

    @property
    def alpha_pix(self) -> FloatArray:
        """Width of the Moffat profile at each object, pixels."""
        width: FloatArray = self.placed["psfFwhm"] / (2.0 * math.sqrt(2.0 ** (1 / self.beta) - 1.0))
        return width

    @property
    def peak_electron(self) -> FloatArray:
        """Electrons in the pixel of the centre of each object if it is a point."""
        return self.placed["electrons"] * (self.beta - 1.0) / (math.pi * self.alpha_pix**2)

    @property
    def effective_pixels(self) -> FloatArray:
        """Pixels whose noise a PSF flux has at each object, ``1 / sum(PSF**2)``."""
        inverse = (self.beta - 1.0) ** 2 / (math.pi * self.alpha_pix**2 * (2.0 * self.beta - 1.0))
        return 1.0 / inverse


@dataclass(frozen=True, slots=True, eq=False)
class StarTable:
    """True isolated stars of one detector and visit, and what was measured of each; NaN if nothing.

    Attributes
    ----------
    flux, flux_err, joint_flux
        PSF flux by the visit alone, its error, and the flux by the joint fit, nJy, ``(n,)``.
    true_flux, true_mag, limit_mag
        True flux, its magnitude, and the magnitude of five times the analytic error there,
        shape ``(n,)``.
    peak_electron
        Electrons in the brightest pixel, shape ``(n,)``.
    ra_mas, dec_mas
        Measured minus true position along ra times cos(dec) and dec, mas, shape ``(n,)``.
    cell
        Part of the detector that it lies in, shape ``(n,)``.
    is_detected, is_clean
        Whether a source was found, and whether that has no flag, shape ``(n,)``.
    """

    flux: FloatArray
    flux_err: FloatArray
    joint_flux: FloatArray
    true_flux: FloatArray
    true_mag: FloatArray
    limit_mag: FloatArray
    peak_electron: FloatArray
    ra_mas: FloatArray
    dec_mas: FloatArray
    cell: npt.NDArray[np.int64]
    is_detected: BoolArray
    is_clean: BoolArray

    @property
    def true_snr(self) -> FloatArray:
        """True flux over the measured error, shape ``(n,)``."""
        return self.true_flux / self.flux_err

    def select(self, rows: BoolArray) -> StarTable:
        """Keep some stars."""
        return StarTable(**{item.name: getattr(self, item.name)[rows] for item in fields(self)})


def join_tables(tables: list[StarTable]) -> StarTable:
    """Stack the tables of several detectors and visits.

    Parameters
    ----------
    tables
        At least one.
    """
    names = [item.name for item in fields(StarTable)]
    return StarTable(**{n: np.concatenate([getattr(t, n) for t in tables]) for n in names})


def match_stars(
    image: Exposure, sources: Catalog, truth: VisitTruth, calib: PhotoCalib | None
) -> StarTable:
    """Find what was measured of each true isolated star.

    Parameters
    ----------
    image
        The calibrated image.
    sources
        Its sources.
    truth
        What is true of it.
    calib
        Scale of the fluxes by the joint fit; None where it has none.
    """
    placed, (ny, nx) = truth.placed, image.image.shape
    noise = _noise_electron(image, truth)
    rows = np.flatnonzero(_isolated(truth, noise) & _inside(placed, (ny, nx)))
    y, x = placed["y"][rows], placed["x"][rows]
    at = nearest_pixel(y), nearest_pixel(x)
    usable = ~has(image.mask, MaskPlane.BAD | MaskPlane.NO_DATA | MaskPlane.SAT)[at]
    rows, y, x = rows[usable], y[usable], x[usable]
    pairs = match_plane(
        np.stack([y, x], axis=1), np.stack([sources["y"], sources["x"]], axis=1), MATCH_PIX
    )
    found = np.full(len(rows), -1)
    found[pairs.first] = pairs.second
    got = found >= 0
    own = sources.select(found[got])
    flux, error, joint, ra_mas, dec_mas = (np.full(len(rows), np.nan) for _ in range(5))
    flux[got], error[got] = own["psfFlux"], own["psfFluxErr"]
    if calib is not None:
        joint[got] = own["psfFlux"] * calib.factor(y=own["y"], x=own["x"])
    true_ra, true_dec = truth.wcs.pixel_to_sky(y=y[got], x=x[got])
    east = (own["ra"] - true_ra + 180.0) % 360.0 - 180.0
    ra_mas[got] = _MAS_PER_DEGREE * east * np.cos(np.deg2rad(true_dec))
    dec_mas[got] = _MAS_PER_DEGREE * (own["dec"] - true_dec)
    clean = np.zeros(len(rows), bool)
    clean[got] = ~_flagged(own)
    return StarTable(
        flux, error, joint, placed["flux"][rows], magnitude(placed["flux"][rows]),
        truth.zero_point_mag - 2.5 * np.log10(5.0 * noise[rows]), truth.peak_electron[rows], ra_mas,
        dec_mas, field_cells(y=y, x=x, shape=(ny, nx)), got, clean,
    )  # fmt: skip


def _flagged(sources: Catalog) -> BoolArray:
    """Find sources that a flag says not to trust."""
    flagged = sources.columns["psfFlux_flag"].astype(bool)
    for name in ("saturated", "bad", "cr", "edge", "interpolatedCenter", "nodata"):
        flagged = flagged | sources.columns[f"pixelFlags_{name}"].astype(bool)
    return flagged


def _inside(placed: Catalog, shape: tuple[int, ...]) -> BoolArray:
    """Find the objects that lie well inside the detector."""
    y, x = placed["y"], placed["x"]
    inside: BoolArray = (y > _EDGE_PIX) & (y < shape[0] - 1 - _EDGE_PIX)
    return inside & (x > _EDGE_PIX) & (x < shape[1] - 1 - _EDGE_PIX)


def _isolated(truth: VisitTruth, noise: FloatArray) -> BoolArray:
    """Find the stars whose flux no neighbour changes by a notable part of its error.

    ``noise`` is the error of a faint flux at each object, electrons.
    """
    placed = truth.placed
    isolated: BoolArray = np.asarray(placed.columns["kind"] == 0)
    place, flux = np.stack([placed["y"], placed["x"]], axis=1), placed["electrons"]
    pairs = cKDTree(place).query_pairs(_FAR_PIX, output_type="ndarray")
    for first, second in (pairs.T, pairs[:, ::-1].T):
        distance = np.hypot(*(place[first] - place[second]).T)
        close = distance < _CLOSE_FWHM * placed["psfFwhm"][first]
        harm = close & (flux[second] > _CLOSE_SIGMA * noise[first])
        notable = np.maximum(_NEAR_SHARE * flux[first], _NEAR_SIGMA * noise[first])
        harm |= (distance < _NEAR_PIX) & (flux[second] > notable)
        harm |= flux[second] > _FAR_SHARE * flux[first]
        isolated[first[harm]] = False
    return isolated


def _noise_electron(image: Exposure, truth: VisitTruth) -> FloatArray:
    """Predict the error of a faint PSF flux at each object, electrons."""
    scale = float(image.metadata["nanojansky_per_electron"])
    sky = float(np.median(image.variance[~has(image.mask, INVALID | MaskPlane.DETECTED)]))
    error: FloatArray = np.sqrt(sky * truth.effective_pixels) / scale
    return error


def judge_detections(image: Exposure, sources: Catalog, truth: VisitTruth) -> BoolArray:
    """Tell of each unflagged source whether something is really there, shape ``(n,)``.

    Parameters
    ----------
    image
        The calibrated image.
    sources
        Its sources.
    truth
        What is true of it.
    """
    own = sources.select(~_flagged(sources) & sources.columns["detect_isPrimary"].astype(bool))
    seen = truth.placed["electrons"] > _REAL_SNR * _noise_electron(image, truth)
    real = np.stack([truth.placed["y"], truth.placed["x"]], axis=1)[seen]
    if not len(real):
        return np.zeros(len(own), bool)
    distance, _ = cKDTree(real).query(np.stack([own["y"], own["x"]], axis=1))
    # An extended object reaches as far as it is bright.
    near: BoolArray = distance <= 2.0 * MATCH_PIX
    return near


def empty_pixels(image: Exposure, truth: VisitTruth) -> BoolArray:
    """Find the good pixels that no object lights by more than a tenth of the noise.

    Parameters
    ----------
    image
        The image, in electrons or nJy.
    truth
        What is true of it.

    Returns
    -------
    numpy.ndarray
        Shape ``(ny, nx)``.
    """
    noise = math.sqrt(max(truth.sky_electron, 1.0))
    with np.errstate(invalid="ignore"):
        reach = truth.alpha_pix * np.sqrt(
            np.clip((truth.peak_electron / (_SKY_SHARE * noise)) ** (1 / truth.beta) - 1.0, 0, None)
        )
    reach = reach + np.where(truth.placed.columns["kind"] == 0, 0.0, _GALAXY_GROWTH_PIX)
    empty = ~has(image.mask, INVALID | MaskPlane.EDGE)
    ny, nx = empty.shape
    for y, x, radius in zip(truth.placed["y"], truth.placed["x"], reach, strict=True):
        rows = np.arange(max(0, math.ceil(y - radius)), min(ny, math.floor(y + radius) + 1))
        columns = np.arange(max(0, math.ceil(x - radius)), min(nx, math.floor(x + radius) + 1))
        if radius > 0 and len(rows) and len(columns):
            disc = (rows - y)[:, None] ** 2 + (columns - x) ** 2 <= radius**2
            empty[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] &= ~disc
    return empty


def measure_empty_sky(image: Exposure, empty: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Measure the flux in apertures of 12 pixels where there is nothing.

    Parameters
    ----------
    image
        Image without background.
    empty
        Pixels without an object, shape ``(ny, nx)``.

    Returns
    -------
    flux, flux_err
        In the unit of the image, shape ``(n,)``.
    """
    y, x = (grid.ravel().astype(np.float64) for grid in np.mgrid[tuple(
        slice(_GRID_PIX // 2, length, _GRID_PIX) for length in empty.shape)])  # fmt: skip
    lit = Planes((~empty).astype(np.float32), np.ones_like(image.image), np.zeros_like(image.mask))
    touched = measure_apertures(lit, y=y, x=x, radii=(_APERTURE_PIX + 1.0,))
    clear = (touched.flux[:, 0] == 0) & ~touched.flag[:, 0]
    y, x = y[clear], x[clear]
    planes = Planes(image.image, image.variance, image.mask)
    found = measure_apertures(planes, y=y, x=x, radii=(_APERTURE_PIX,))
    return found.flux[:, 0], found.error[:, 0]


@dataclass(frozen=True, slots=True, eq=False)
class PsfTable:
    """Second moments of the PSF's model and of the truth at places of one or more images.

    Attributes
    ----------
    model, truth
        Moments iyy, ixx, ixy, shape ``(3, n)`` each.
    image
        Number of the image, shape ``(n,)``.
    """

    model: FloatArray
    truth: FloatArray
    image: npt.NDArray[np.int64]

    def shapes(self) -> PsfShapes:
        """Give sizes and ellipticities."""
        (size, e), (true_size, true_e) = (_size_and_shape(m) for m in (self.model, self.truth))
        return PsfShapes(size, true_size, e, true_e, self.image)


def _size_and_shape(moments: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Turn moments iyy, ixx, ixy into their sum and the ellipticities."""
    iyy, ixx, ixy = moments
    return iyy + ixx, np.stack([(ixx - iyy) / (ixx + iyy), 2.0 * ixy / (ixx + iyy)])


def compare_psf(psf: Psf, truth: VisitTruth, shape: tuple[int, int]) -> PsfTable:
    """Compare the PSF with the truth at the places of up to 100 objects, drawn on their pixels.

    Parameters
    ----------
    psf
        The model.
    truth
        What is true.
    shape
        Pixels of the detector.
    """
    rows = np.flatnonzero(_inside(truth.placed, shape))
    rows = rows[:: max(1, len(rows) // _N_PSF)][:_N_PSF]
    y, x = (np.round(truth.placed[axis][rows]) for axis in ("y", "x"))
    model = [stamp_moments(stamp) for stamp in psf.stamps(y=y, x=x)]
    half = psf.size // 2
    dy, dx = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    a, b, c = (truth.placed[f"psf{letter}"][rows] for letter in "ABC")
    true = [
        stamp_moments(
            (1.0 + (a[i] * dx**2 + 2.0 * b[i] * dx * dy + c[i] * dy**2) / width**2) ** -truth.beta
        )
        for i, width in enumerate(truth.alpha_pix[rows])
    ]
    own, truth_moments = (np.array(m, dtype=np.float64).reshape(-1, 3).T for m in (model, true))
    return PsfTable(own, truth_moments, np.zeros(len(rows), dtype=np.int64))


def join_psf(tables: list[PsfTable]) -> PsfTable:
    """Stack the tables of several detectors and visits, an image each."""
    return PsfTable(
        np.concatenate([t.model for t in tables], axis=1),
        np.concatenate([t.truth for t in tables], axis=1),
        np.repeat(np.arange(len(tables)), [len(t.image) for t in tables]),
    )
