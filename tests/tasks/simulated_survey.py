"""Catalogues of a camera of four detectors on dithered visits in two bands: the truth is known."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.astrometry import fit_to_map
from lsstpipe.data_model import DataId
from lsstpipe.geometry.box import Box
from lsstpipe.geometry.proper_motion import move_stars
from lsstpipe.geometry.sphere import gnomonic_deproject
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.columns import ISOLATED_STAR
from lsstpipe.image.detector import Amplifier, Detector
from lsstpipe.image.focal_plane import focal_position
from lsstpipe.image.reference import reference_schema
from lsstpipe.instruments.camera import Camera
from lsstpipe.tasks.base import Json

FloatArray = npt.NDArray[np.float64]

SCALE = 0.168
CENTRE = (150.0, 2.2)
FIELD_EDGE_PIX = 0.75 * 3600 / SCALE
MJD = 58000.0
BANDS = ("r", "i")
ZERO_POINT = 31.0


def make_detector(
    number: int, *, y: float, x: float, quarter_turns: int, shape: tuple[int, int]
) -> Detector:
    box = Box(0, 0, *shape)
    amplifier = Amplifier("1", box, box, 1.0, 5.0, 60000.0, 50000.0)
    return Detector(
        number, f"d{number}", *shape, (amplifier,), *shape,
        focal_y_pix=y, focal_x_pix=x, quarter_turns=quarter_turns,
    )  # fmt: skip


# Off the centre of the field, where the distortion is strong; the last one lies on its side.
CAMERA = Camera(
    "four",
    {
        0: make_detector(0, y=2200.0, x=3000.0, quarter_turns=0, shape=(4176, 2048)),
        1: make_detector(1, y=2200.0, x=5100.0, quarter_turns=2, shape=(4176, 2048)),
        2: make_detector(2, y=-2100.0, x=3000.0, quarter_turns=0, shape=(4176, 2048)),
        5: make_detector(5, y=-1100.0, x=6150.0, quarter_turns=1, shape=(4000, 2000)),
    },
    {"r": "r", "i": "i"},
    SCALE,
    0.05,
)


@dataclass(frozen=True)
class Plan:
    """How the sky is observed."""

    n_visits: int = 6
    """Visits a band."""
    n_stars: int = 1200
    years: float = 3.0
    dither_pix: float = 500.0
    turn_deg: float = 5.0
    """By how much the last visit of a band is turned."""
    motion_mas: float = 10.0
    has_motions: bool = True
    first_error_mag: float = 0.006
    seed: int = 1
    camera: Camera = field(default=CAMERA, compare=False)


class Survey:
    """Stars, visits, and the catalogues that they make."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rng = rng = np.random.default_rng(plan.seed)
        n = plan.n_stars
        on_y, on_x = rng.uniform(-5200, 5200, n), rng.uniform(1000, 8200, n)
        self.ra, self.dec = self._to_sky(on_y, on_x, (0.0, 0.0), 0.0)
        self.motion = rng.normal(0, plan.motion_mas, (n, 2))
        self.mag = np.stack([np.log10(rng.uniform(10**3.6, 10**4.4, n)) * 5] * 2)
        self.mag[1] -= rng.normal(0.4, 0.3, n)
        self.dates: dict[int, float] = {}
        self.band: dict[int, int] = {}
        self.zero_point: dict[tuple[int, int], float] = {}
        self.first_zero_point: dict[tuple[int, int], float] = {}
        self.truth: dict[tuple[int, int], SkyWcs] = {}
        self.first: dict[tuple[int, int], SkyWcs] = {}
        self.constant = {
            (b, d): float(rng.normal(0, 0.01)) for b in (0, 1) for d in plan.camera.detectors
        }
        columns = [self._observe(100 * b + k, b, k) for b in (0, 1) for k in range(plan.n_visits)]
        self.table = {
            name: np.concatenate([part[name] for visit in columns for part in visit])
            for name in columns[0][0]
        }
        seen, number = np.unique(self.table["star"], return_inverse=True)
        self.star = seen.astype(np.int64)
        self.table["isolatedStarId"] = number.astype(np.float64)

    def _to_sky(
        self, on_y: FloatArray, on_x: FloatArray, shift: tuple[float, float], turn_deg: float
    ) -> tuple[FloatArray, FloatArray]:
        """Map the focal plane to the sky, with the distortion of a wide camera."""
        stretch = 1 + 0.025 * (np.hypot(on_y, on_x) / FIELD_EDGE_PIX) ** 2
        angle = np.deg2rad(turn_deg)
        v, u = on_y * stretch * SCALE / 3600, -on_x * stretch * SCALE / 3600
        east = u * np.cos(angle) + v * np.sin(angle) + shift[1]
        north = v * np.cos(angle) - u * np.sin(angle) + shift[0]
        return gnomonic_deproject(east, north, centre_deg=CENTRE)

    def _observe(self, visit: int, band: int, k: int) -> list[dict[str, FloatArray]]:
        plan, rng = self.plan, self.rng
        self.band[visit] = band
        self.dates[visit] = MJD + plan.years * 365.25 * k / max(plan.n_visits - 1, 1) + 3 * band
        turn = plan.turn_deg if k == plan.n_visits - 1 else 0.0
        shift = rng.uniform(-1, 1, 2) * plan.dither_pix * SCALE / 3600
        zero_point = ZERO_POINT - 0.3 * rng.random()
        slope = rng.normal(0, 0.002, 2)
        parts = []
        for number, detector in plan.camera.detectors.items():
            key = (visit, number)
            y, x = (
                g.ravel()
                for g in np.meshgrid(
                    np.linspace(0, detector.ny - 1, 20), np.linspace(0, detector.nx - 1, 20)
                )
            )
            focal = focal_position(detector, y=y, x=x)
            sky = self._to_sky(*focal, (float(shift[0]), float(shift[1])), turn)
            shape = (detector.ny, detector.nx)
            self.truth[key] = fit_to_map(sky, y=y, x=x, order=5, shape=shape)
            # A first map is wrong by some 15 mas, differently over the detector.
            off = rng.normal(0, 0.06, 6)
            v, u = y / detector.ny - 0.5, x / detector.nx - 0.5
            self.first[key] = fit_to_map(
                sky,
                y=y + off[0] + off[1] * v + off[2] * u,
                x=x + off[3] + off[4] * v + off[5] * u,
                order=3,
                shape=shape,
            )
            parts.append(self._measure(key, detector, zero_point, slope))
        return parts

    def photometric_truth(
        self, key: tuple[int, int], slope: FloatArray, zero_point: float, position: FloatArray
    ) -> FloatArray:
        """Give the zero point at positions of the focal plane."""
        v, u = position / 6000.0
        shared = 0.012 * (u**2 + v**2) - 0.006 * u * v
        own = slope[0] * v + slope[1] * u
        constant = self.constant[self.band[key[0]], key[1]]
        return np.asarray(zero_point + shared + own + constant)

    def _measure(
        self, key: tuple[int, int], detector: Detector, zero_point: float, slope: FloatArray
    ) -> dict[str, FloatArray]:
        rng, band = self.rng, self.band[key[0]]
        years = np.full(len(self.ra), (self.dates[key[0]] - MJD) / 365.25)
        moved = move_stars(self.ra, self.dec, (self.motion[:, 0], self.motion[:, 1]), years)
        y, x = self.truth[key].sky_to_pixel(*moved)
        inside = (y > 10) & (y < detector.ny - 11) & (x > 10) & (x < detector.nx - 11)
        star = np.flatnonzero(inside)
        y, x, mag = y[star], x[star], self.mag[band][star]
        position = np.stack(focal_position(detector, y=y, x=x))
        middle = np.stack(
            focal_position(detector, y=[(detector.ny - 1) / 2], x=[(detector.nx - 1) / 2])
        )
        self.zero_point[key] = float(self.photometric_truth(key, slope, zero_point, middle)[0])
        first = self.zero_point[key] + rng.normal(0, self.plan.first_error_mag)
        self.first_zero_point[key] = first
        error_mag = np.hypot(0.001, 0.02 * 10 ** (0.4 * (mag - 21)))
        true = self.photometric_truth(key, slope, zero_point, position)
        # What a detector by itself makes of the light: nJy by its first zero point.
        flux = 10 ** (-0.4 * (mag - true + first - 31.4))
        flux = flux * (1 + rng.normal(0, 1, len(star)) * np.hypot(error_mag, 0.002) / 1.0857)
        error_pix = np.hypot(0.01, 0.02 * 10 ** (0.3 * (mag - 20)))
        n = len(star)
        y = y + rng.normal(0, 1, n) * np.hypot(error_pix, 0.01)
        x = x + rng.normal(0, 1, n) * np.hypot(error_pix, 0.01)
        ra, dec = self.first[key].pixel_to_sky(y=y, x=x)
        ones = np.ones(n)
        return {
            "star": star.astype(np.float64), "visit": key[0] * ones, "detector": key[1] * ones,
            "ra": ra, "dec": dec, "x": x, "y": y, "xErr": error_pix, "yErr": error_pix,
            "psfFlux": flux, "psfFluxErr": flux * error_mag / 1.0857,
        }  # fmt: skip

    def stars(self) -> Catalog:
        table = self.table
        same = {"ap06Flux": table["psfFlux"], "ap06FluxErr": table["psfFluxErr"]}
        return Catalog(
            ISOLATED_STAR,
            {
                **{name: values for name, values in table.items() if name != "star"},
                **same,
                "sourceId": np.arange(len(table["star"])),
            },
        )

    def summaries(self) -> dict[DataId, Json]:
        return {
            DataId(instrument="four", visit=visit, detector=detector): {
                "band": BANDS[self.band[visit]],
                "mid_mjd": self.dates[visit],
                "wcs": wcs.to_json_dict(),
                "photometry": {"zero_point_mag": self.first_zero_point[visit, detector]},
            }
            for (visit, detector), wcs in self.first.items()
        }

    def reference(self) -> Catalog:
        """Make a catalogue of a third of the stars: 0.3 mas, 0.1 mas/yr, 10 mmag."""
        rng, plan = np.random.default_rng(plan_seed(self.plan)), self.plan
        own = np.flatnonzero(rng.random(plan.n_stars) < 0.35)
        n, error = len(own), 0.3 / 3.6e6
        years = np.full(n, -2.0)
        ra, dec = move_stars(
            self.ra[own], self.dec[own], (self.motion[own, 0], self.motion[own, 1]), years
        )
        columns: dict[str, npt.ArrayLike] = {
            "id": own, "ra": ra + rng.normal(0, error, n), "dec": dec + rng.normal(0, error, n),
            "raErr": np.full(n, error), "decErr": np.full(n, error),
            "pmRa": self.motion[own, 0] + rng.normal(0, 0.1, n),
            "pmDec": self.motion[own, 1] + rng.normal(0, 0.1, n),
            "pmRaErr": np.full(n, 0.1), "pmDecErr": np.full(n, 0.1),
            "epoch": np.full(n, (MJD - 2 * 365.25) if plan.has_motions else np.nan),
        }  # fmt: skip
        for band, mag in zip(BANDS, self.mag, strict=True):
            flux = 10 ** (-0.4 * (mag[own] + rng.normal(0, 0.01, n) - 31.4))
            columns |= {f"{band}_flux": flux, f"{band}_fluxErr": 0.01 * flux}
        columns |= {"flux": columns["r_flux"], "fluxErr": columns["r_fluxErr"]}
        return Catalog(reference_schema(BANDS), columns)


def plan_seed(plan: Plan) -> int:
    return plan.seed + 1000
