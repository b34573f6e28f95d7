"""Campaigns of the size of public surveys for the planner: pointings and sky maps, never a pixel.

=============  =======  ======  ====================================================================
name           visits   raw TB  source
=============  =======  ======  ====================================================================
``rc2_tract``  112      0.12    HSC-RC2, tract 9615: 6,787 detector images overlap it (DMTN-137)
``rc2``        404      0.55    HSC-RC2, 3 tracts: 30,278 detector images (DMTN-157)
``pdr1_s18``   7,238    13.7    HSC PDR1 as processed in 2018 (DMTN-135), over its 108 deg^2
``pdr1``       42,265   80      as many visits a deg^2, over the area that makes 80 TB
``dc2``        264,550  1,300   as many visits a deg^2 as DC2, 19,852 on 300 deg^2 (RTN-039), over
                                the area that makes 1,300 TB
=============  =======  ======  ====================================================================

A raw of HSC has 18.2 MB (DMTN-135), one of DC2 26 MB (RTN-039). Tracts are those of Rubin's rings
sky map with 120 rings; each has 9 x 9 patches for HSC, 7 x 7 for DC2. Pointings are a
low-discrepancy sequence over the area, swept in right ascension, each sweep in the next band.
Calibrations are certified, as they were for DMTN-137. All of it follows from the name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from lsstpipe.config import Campaign, parse_campaign
from lsstpipe.data_model import DataId, DataIdValue, make_ref
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.errors import UserError
from lsstpipe.geometry.skymap import SkyMap
from lsstpipe.geometry.sphere import gnomonic_project, sky_positions, unit_vectors
from lsstpipe.instruments import get_camera
from lsstpipe.plan.rings import Area, touched_tracts, tract_centre
from lsstpipe.plan.rows import IndexArray, Rows
from lsstpipe.plan.select import make_patches, make_skymap
from lsstpipe.plan.selection import Selection, take_raws
from lsstpipe.plan.sharding import Pointings
from lsstpipe.registry.calibrations import Calibration
from lsstpipe.registry.records import DatasetRecord

FloatArray = npt.NDArray[np.float64]

_FIRST_MJD = 60000.0
_CALIBRATIONS = ("bias", "dark", "defects", "crosstalk", "flat")
_RUN, _INPUT_RUN = "survey", "inputs"
_FIELD_DEG2 = 1.77
"""A sweep has one pointing for each of these, the field of HSC."""
_PLASTIC = 1.32471795724474602596
"""The R2 sequence (Roberts 2018) takes multiples of 1 / this and 1 / this**2."""


@dataclass(frozen=True, slots=True)
class _Size:
    """How large a survey is.

    Attributes
    ----------
    instrument, pixel_scale_arcsec, n_patches
        The camera; scale of coadds and rows of patches of a tract, of 4000 x 4000 pixels each.
    n_visits, visits_a_night
        How many.
    fields
        What pointings cover.
    tracts
        Numbers in the rings sky map; none takes all that the fields touch.
    n_raws
        Of all raws those nearest to the tracts are taken, so many; 0 takes all.
    """

    instrument: str
    pixel_scale_arcsec: float
    n_patches: int
    n_visits: int
    visits_a_night: int
    fields: tuple[Area, ...]
    tracts: tuple[int, ...] = ()
    n_raws: int = 0


def _around(tract: int, half_deg: float) -> Area:
    """Cover a square around the middle of a tract near the equator."""
    ra, dec = tract_centre(tract)
    return ra - half_deg, ra + half_deg, dec - half_deg, dec + half_deg


_RC2 = (9615, 9697, 9813)

SURVEYS: dict[str, _Size] = {
    "rc2_tract": _Size("hsc", 0.168, 9, 112, 50, (_around(9615, 0.75),), (9615,), 6_787),
    "rc2": _Size(
        "hsc", 0.168, 9, 404, 50, tuple(_around(tract, 0.55) for tract in _RC2), _RC2, 30_278
    ),
    "pdr1_s18": _Size("hsc", 0.168, 9, 7_238, 100, ((330.0, 348.0, -3.0, 3.0),)),
    "pdr1": _Size("hsc", 0.168, 9, 42_265, 100, ((130.0, 209.0, -4.0, 4.0),)),
    "dc2": _Size("lsstcamsim", 0.2, 7, 264_550, 800, ((20.0, 137.8, -50.0, -10.0),)),
}
"""Every survey by name."""


class Survey:
    """A campaign that could be planned if its raws were there.

    Parameters
    ----------
    name
        One of `SURVEYS`.
    n_visits
        How many of its visits, the first ones; None for all.
    settings
        Settings of the campaign to add.

    Raises
    ------
    UserError
        If there is none of that name.
    """

    def __init__(
        self, name: str, n_visits: int | None = None, settings: dict[str, object] | None = None
    ) -> None:
        if name not in SURVEYS:
            raise UserError(f"There is no survey '{name}'; there are {', '.join(SURVEYS)}.")
        self.name = name
        self._size = SURVEYS[name]
        self._n_visits = min(n_visits or self._size.n_visits, self._size.n_visits)
        self._settings = settings or {}
        self._camera = get_camera(self._size.instrument)

    @cached_property
    def campaign(self) -> Campaign:
        """Its settings."""
        size = self._size
        pairs = [tract_centre(tract) for tract in size.tracts] or touched_tracts(size.fields)
        tracts = [
            {"ra_deg": ra, "dec_deg": dec, "n_patches_y": size.n_patches,
             "n_patches_x": size.n_patches}
            for ra, dec in pairs
        ]  # fmt: skip
        return parse_campaign(
            {
                "name": self.name,
                "instrument": size.instrument,
                "raws": ["*.fits"],
                "repo": f"runs/{self.name}",
                "run": _RUN,
                "reference_catalog": {"path": "stars.csv"},
                "skymap": {
                    "name": "rings",
                    "pixel_scale_arcsec": size.pixel_scale_arcsec,
                    "patch_inner_y": 4000,
                    "patch_inner_x": 4000,
                    "border_pix": 100,
                    "tracts": tracts,
                },
                **self._settings,
            }
        )

    @cached_property
    def skymap(self) -> SkyMap:
        """Its tracts."""
        return make_skymap(self.campaign)

    @cached_property
    def visits(self) -> Rows:
        """One row a visit, in the order of time, with the columns of raws that it has."""
        return self._all_visits.take(np.arange(self._n_visits))

    @cached_property
    def _all_visits(self) -> Rows:
        size = self._size
        number = np.arange(size.n_visits)
        per_field = -(-size.n_visits // len(size.fields))
        ra, dec = np.empty(size.n_visits), np.empty(size.n_visits)
        sweep = np.empty(size.n_visits, np.int64)
        for i, field in enumerate(size.fields):
            own = slice(i * per_field, (i + 1) * per_field)
            ra[own], dec[own], sweep[own] = _sweep(field, len(number[own]))
        night, place = np.divmod(number, size.visits_a_night)
        which = sweep % len(self._camera.bands)
        return Rows(
            {
                # As at Subaru, every other number.
                "exposure": 2 * number,
                "ra_deg": ra,
                "dec_deg": dec,
                "physical_filter": np.array(list(self._camera.bands))[which],
                "band": np.array(list(self._camera.bands.values()))[which],
                "mid_mjd": _FIRST_MJD + night + 0.2 + 0.5 * place / size.visits_a_night,
            }
        )

    @cached_property
    def radius_deg(self) -> float:
        """Radius of a detector on the sky, degrees; pointings are as they are said to be."""
        detectors = self._camera.detectors.values()
        diagonal = max(math.hypot(d.ny, d.nx) for d in detectors)
        scale = self._camera.pixel_scale_arcsec * (1 + self._camera.scale_tolerance)
        return diagonal / 2 * scale / 3600.0

    @cached_property
    def pointings(self) -> Pointings:
        """All its visits."""
        diagonal = max(
            math.hypot(detector.focal_y_pix, detector.focal_x_pix)
            for detector in self._camera.detectors.values()
        )
        scale = self._camera.pixel_scale_arcsec / 3600.0
        visits = self.visits
        return Pointings(
            visits["exposure"],
            visits["ra_deg"],
            visits["dec_deg"],
            diagonal * scale + self.radius_deg,
        )

    def select_all(self) -> Selection:
        """Make what a plan of everything starts from."""
        return self.select_visits(self.visits["exposure"])

    def select_detectors(self, detectors: IndexArray) -> Selection:
        """Make what a plan of the calibrations of some detectors starts from.

        Parameters
        ----------
        detectors
            Their numbers.
        """
        whole = self.select_all()
        keep = np.isin(whole.raws["detector"], detectors)
        return take_raws(whole, keep, self.visits["exposure"])

    def select_visits(self, visits: IndexArray) -> Selection:
        """Make what a plan of some visits starts from.

        Parameters
        ----------
        visits
            Their numbers.
        """
        chosen = self.visits.take(np.searchsorted(self.visits["exposure"], visits))
        raws = self._raws(chosen)
        patches, polygons = make_patches(self.skymap, self._near_tracts(chosen))
        existing = {
            "reference_catalog": [_record("reference_catalog", DataId())],
            "skymap": [_record("skymap", DataId(skymap="rings"))],
        }
        return Selection(
            raws,
            _Raws(raws),
            patches,
            polygons,
            self.radius_deg,
            existing,
            self._calibrations,
            visits=self.visits["exposure"],
        )

    def _near_tracts(self, visits: Rows) -> IndexArray:
        """Give the numbers of the tracts that visits can overlap."""
        centres = unit_vectors(*np.array([t.centre_deg for t in self.skymap.tracts]).T)
        half = self._size.n_patches * 4000 * self._size.pixel_scale_arcsec / 3600.0 / math.sqrt(2)
        # A little more than the tract's half diagonal and the visit's radius, as a chord.
        chord = math.radians(half + self.pointings.reach_deg + 0.1)
        tree = KDTree(unit_vectors(visits["ra_deg"], visits["dec_deg"]))
        distance, _ = tree.query(centres, distance_upper_bound=chord)
        return np.flatnonzero(np.isfinite(distance))

    @cached_property
    def _reach_deg(self) -> float:
        """Distance from the tracts within which the survey has raws, degrees."""
        if not self._size.n_raws:
            return math.inf
        distances = self._distances(*self._positions(self._all_visits))
        return float(np.partition(distances, self._size.n_raws - 1)[self._size.n_raws - 1])

    def _positions(self, visits: Rows) -> tuple[FloatArray, FloatArray]:
        """Place every detector of every visit on the sky, visit by visit."""
        camera = self._camera
        centre = (0.0, 0.0)
        offsets = [
            gnomonic_project(
                *camera.point(detector, ra_deg=0.0, dec_deg=0.0, rotation_deg=0.0)[:2],
                centre_deg=centre,
            )
            for _, detector in sorted(camera.detectors.items())
        ]
        xi, eta = np.tan(np.deg2rad(np.array(offsets, dtype=np.float64).T))
        ra, dec = np.deg2rad(visits["ra_deg"]), np.deg2rad(visits["dec_deg"])
        up = unit_vectors(visits["ra_deg"], visits["dec_deg"])
        east = np.stack([-np.sin(ra), np.cos(ra), np.zeros(len(ra))], axis=1)
        north = np.stack(
            [-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=1
        )
        places = (
            up[:, None] + xi[None, :, None] * east[:, None] + eta[None, :, None] * north[:, None]
        )
        places /= np.linalg.norm(places, axis=-1, keepdims=True)
        return sky_positions(places.reshape(-1, 3))

    def _raws(self, visits: Rows) -> Rows:
        """Give the raws of visits that the survey has."""
        camera = self._camera
        numbers = np.array(sorted(camera.detectors))
        n_raws = len(visits) * len(numbers)
        ra, dec = self._positions(visits)
        per_raw = visits.take(np.repeat(np.arange(len(visits)), len(numbers)))
        raws = Rows(
            {
                "instrument": np.full(n_raws, camera.name),
                "exposure": per_raw["exposure"],
                "detector": np.tile(numbers, len(visits)),
                "physical_filter": per_raw["physical_filter"],
                "band": per_raw["band"],
                "observation_type": np.full(n_raws, "science"),
                "ra_deg": ra,
                "dec_deg": dec,
                "mid_mjd": per_raw["mid_mjd"],
            }
        )
        return raws.take(self._distances(ra, dec) <= self._reach_deg)

    def _distances(self, ra_deg: FloatArray, dec_deg: FloatArray) -> FloatArray:
        """How far positions are from the middle of the nearest tract, along its axes, degrees."""
        if not self._size.n_raws:
            return np.zeros(len(ra_deg))
        distances = np.full(len(ra_deg), np.inf)
        for tract in self._size.tracts:
            plane = gnomonic_project(ra_deg, dec_deg, centre_deg=tract_centre(tract))
            distances = np.fmin(distances, np.maximum(*np.abs(plane)))
        return distances

    @cached_property
    def _calibrations(self) -> dict[str, list[Calibration]]:
        """Certify one set of calibrations for all times."""
        camera = self._camera
        found: dict[str, list[Calibration]] = {}
        for name in _CALIBRATIONS:
            filters = camera.bands if "physical_filter" in DATASET_TYPES[name].dimensions else [""]
            for number in sorted(camera.detectors):
                for text in filters:
                    more: dict[str, DataIdValue] = {"physical_filter": text} if text else {}
                    data_id = DataId({"instrument": camera.name, "detector": number, **more})
                    calibration = Calibration(_record(name, data_id), -math.inf, math.inf)
                    found.setdefault(name, []).append(calibration)
        return found


class _Raws(Sequence[DatasetRecord]):
    """The records of raws, each made when it is first asked for."""

    def __init__(self, raws: Rows) -> None:
        self._raws = raws
        self._made: dict[int, DatasetRecord] = {}

    def __len__(self) -> int:
        return len(self._raws)

    @overload
    def __getitem__(self, index: int) -> DatasetRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[DatasetRecord]: ...
    def __getitem__(self, index: int | slice) -> DatasetRecord | Sequence[DatasetRecord]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index not in self._made:
            names = DATASET_TYPES["raw"].dimensions
            values = {name: self._raws[name][index].item() for name in names}
            self._made[index] = _record("raw", DataId(values))
        return self._made[index]


def _record(name: str, data_id: DataId) -> DatasetRecord:
    """Say that a dataset exists."""
    ref = make_ref(DATASET_TYPES[name], data_id, _INPUT_RUN)
    return DatasetRecord(ref.id, name, ref.data_id, _INPUT_RUN, ref.path, 1, f"xxh3:{ref.id.hex}")


def _sweep(field: Area, n_points: int) -> tuple[FloatArray, FloatArray, IndexArray]:
    """Spread points over a field: positions, and the sweep that each belongs to, in order."""
    low_ra, high_ra, low_dec, high_dec = field
    sines = np.sin(np.deg2rad([low_dec, high_dec]))
    area = (high_ra - low_ra) * float(np.rad2deg(sines[1] - sines[0]))
    number = np.arange(n_points)
    sweep = number // max(1, round(area / _FIELD_DEG2))
    ra = low_ra + (high_ra - low_ra) * (number / _PLASTIC % 1.0)
    sine = sines[0] + (sines[1] - sines[0]) * (number / _PLASTIC**2 % 1.0)
    order = np.lexsort((ra, sweep))
    return ra[order], np.rad2deg(np.arcsin(sine))[order], sweep[order]
