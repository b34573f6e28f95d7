"""Dimension records of Rubin's Butler: what it must know of a data ID before it takes a dataset."""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lsstpipe.butler import Butler
from lsstpipe.data_model import DataId
from lsstpipe.errors import RepositoryError
from lsstpipe.execute.butler_yaml import Region, Time, Timespan, day_of
from lsstpipe.geometry.region import polygons_from_sky
from lsstpipe.geometry.skymap import SkyMap, Tract
from lsstpipe.image.exposure import ObservationInfo
from lsstpipe.instruments import get_camera

Row = dict[str, Any]
Key = tuple[str, int]

VISIT_SYSTEM = 0
"""Number of the only visit system: one exposure is one visit."""

_SECONDS_PER_DAY = 86_400.0


def make_dimensions(butler: Butler, data_ids: Iterable[DataId]) -> list[dict[str, Any]]:
    """Make the records that data IDs need, as entries of an export, in an order that can be loaded.

    Parameters
    ----------
    butler
        The repository, which knows exposures and sky maps.
    data_ids
        The data IDs.

    Raises
    ------
    RepositoryError
        If the repository does not know an exposure or a sky map.
    """
    wanted = list(dict.fromkeys(data_ids))
    elements = _Instruments(butler, wanted).elements() | _sky_elements(butler, wanted)
    return [
        {"type": "dimension", "element": name, "records": rows}
        for name, rows in elements.items()
        if rows
    ]


class _Instruments:
    """Records of cameras and of what they observed.

    Parameters
    ----------
    butler
        The repository.
    data_ids
        What is wanted.
    """

    def __init__(self, butler: Butler, data_ids: Sequence[DataId]) -> None:
        self._infos: dict[Key, ObservationInfo] = {}
        for info, _ in butler.registry.query_exposures():
            self._infos.setdefault((info.instrument, info.exposure), info)
        self._outlines: dict[Key, dict[int, npt.NDArray[np.float64]]] = defaultdict(dict)
        for data_id, corners in butler.registry.query_outlines("exposure").items():
            own = self._outlines[_key(data_id, "exposure")]
            own[data_id.integer("detector")] = corners
        self._visits = sorted({_key(d, "visit") for d in data_ids if "visit" in d})
        taken = {_key(d, "exposure") for d in data_ids if "exposure" in d}
        # A visit is defined by the exposure of its number.
        self._exposures = sorted(taken | set(self._visits))
        for key in self._exposures:
            if key not in self._infos:
                raise RepositoryError(f"The repository knows no exposure {key[1]} of {key[0]}.")
            _span(self._infos[key])  # refused before a day is counted that no calendar has
        bands = {d["band"] for d in data_ids if "band" in d}
        named = {str(d["instrument"]) for d in data_ids if "instrument" in d}
        # Of a coadd the band alone is known; a band there is where a filter has it.
        self._names = sorted(
            named | {i.instrument for i in self._infos.values() if i.band in bands}
        )

    def elements(self) -> dict[str, list[Row]]:
        """Make all records, by element."""
        nights = {(name, self._day(name, number)) for name, number in self._exposures}
        return {
            "instrument": [_instrument(name) for name in self._names],
            "physical_filter": [row for name in self._names for row in self._filters(name)],
            "detector": [row for name in self._names for row in _detectors(name)],
            "day_obs": [_night(*night) for night in sorted(nights)],
            "group": [{"instrument": i, "name": str(n)} for i, n in self._exposures],
            "exposure": [self._exposure(key) for key in self._exposures],
            "visit_system": [
                {"instrument": name, "id": VISIT_SYSTEM, "name": "one-to-one"}
                for name in self._names
            ],
            "visit": [self._visit(key) for key in self._visits],
            "visit_definition": [
                {"instrument": i, "exposure": n, "visit": n} for i, n in self._visits
            ],
            "visit_system_membership": [
                {"instrument": i, "visit_system": VISIT_SYSTEM, "visit": n} for i, n in self._visits
            ],
            "visit_detector_region": list(self._visit_detectors()),
        }

    def _filters(self, name: str) -> list[Row]:
        bands = dict(get_camera(name).bands)
        for info in self._infos.values():
            if info.instrument == name:
                bands.setdefault(info.physical_filter, info.band)
        return [{"instrument": name, "name": f, "band": band} for f, band in bands.items()]

    def _day(self, name: str, number: int) -> int:
        return day_of(self._infos[name, number].mid_mjd)

    def _shared(self, key: Key) -> Row:
        """Make what exposures and visits have in common."""
        info = self._infos[key]
        span = _span(info)
        return {
            "instrument": info.instrument,
            "id": info.exposure,
            "day_obs": self._day(*key),
            "physical_filter": info.physical_filter,
            "seq_num": None,
            "exposure_time": info.exposure_time_s,
            "target_name": info.target,
            "observation_reason": info.observation_type,
            "science_program": None,
            "azimuth": None,
            "zenith_angle": _zenith_angle(info.airmass),
            "datetime_begin": span.begin,
            "datetime_end": span.end,
        }

    def _exposure(self, key: Key) -> Row:
        info = self._infos[key]
        is_science = info.observation_type == "science"
        return self._shared(key) | {
            "group": str(info.exposure),
            "obs_id": str(info.exposure),
            "dark_time": info.dark_time_s,
            "observation_type": info.observation_type,
            "seq_start": None,
            "seq_end": None,
            "tracking_ra": _known(info.ra_deg),
            "tracking_dec": _known(info.dec_deg),
            "sky_angle": None,
            "has_simulated": None,
            "can_see_sky": True if is_science else None,
        }

    def _visit(self, key: Key) -> Row:
        own = list(self._outlines.get(key, {}).values())
        region = Region(_hull(np.concatenate(own))) if own else None
        return self._shared(key) | {"name": str(key[1]), "region": region}

    def _visit_detectors(self) -> Iterator[Row]:
        for name, number in self._visits:
            for detector, corners in self._outlines.get((name, number), {}).items():
                yield {
                    "instrument": name,
                    "detector": detector,
                    "visit": number,
                    "region": Region(corners),
                }


def _key(data_id: DataId, name: str) -> Key:
    return str(data_id["instrument"]), data_id.integer(name)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _zenith_angle(airmass: float) -> float | None:
    """Give the zenith distance in degrees by the plane-parallel law."""
    return math.degrees(math.acos(1 / airmass)) if airmass >= 1.0 else None


def _instrument(name: str) -> Row:
    most = 2**63 - 1
    return {
        "name": name,
        "visit_max": most,
        "visit_system": VISIT_SYSTEM,
        "exposure_max": most,
        "detector_max": 1 + max(get_camera(name).detectors),
        "class_name": None,
    }


def _detectors(name: str) -> list[Row]:
    return [
        {
            "instrument": name,
            "id": number,
            "full_name": detector.name,
            "name_in_raft": None,
            "raft": None,
            "purpose": "SCIENCE",
        }
        for number, detector in get_camera(name).detectors.items()
    ]


def _span(info: ObservationInfo) -> Timespan:
    """Say when an exposure was taken; refuse a time that would turn into all times."""
    half = info.exposure_time_s / 2 / _SECONDS_PER_DAY
    if (span := Timespan.from_mjd(info.mid_mjd - half, info.mid_mjd + half)) is None:
        raise RepositoryError(
            f"Exposure {info.exposure} of {info.instrument} was taken at MJD {info.mid_mjd:.10g}, "
            "and Rubin's Butler holds only times from 1970 to 2100."
        )
    return span


def _night(name: str, day: int) -> Row:
    noon = Time.parse(f"{day // 10000}-{day // 100 % 100:02d}-{day % 100:02d} 12:00:00").mjd
    span = Timespan.from_mjd(noon, noon + 1)
    assert span is not None, "an exposure of this night is within"
    return {
        "instrument": name,
        "id": day,
        "datetime_begin": span.begin,
        "datetime_end": span.end,
    }


def _sky_elements(butler: Butler, data_ids: Sequence[DataId]) -> dict[str, list[Row]]:
    """Make the records of sky maps, with all patches of the tracts that are wanted."""
    elements: dict[str, list[Row]] = {"skymap": [], "tract": [], "patch": []}
    for name in sorted({str(d["skymap"]) for d in data_ids if "skymap" in d}):
        own = [d for d in data_ids if d.get("skymap") == name and "tract" in d]
        skymap = _read_skymap(butler, name)
        elements["skymap"].append(_skymap(skymap))
        for number in sorted({d.integer("tract") for d in own}):
            tract = skymap.tracts[number]
            y, x = tract.grid.box.corners()
            outline = Region(polygons_from_sky(*tract.wcs.pixel_to_sky(y=y, x=x)))
            elements["tract"].append({"skymap": name, "id": number, "region": outline})
            elements["patch"] += _patches(name, tract)
    return elements


def _read_skymap(butler: Butler, name: str) -> SkyMap:
    found = butler.registry.query_datasets("skymap", f"skymap = '{name}'")
    if not found:
        raise RepositoryError(f"The repository has no sky map '{name}'.")
    plain = butler.store.read(found[-1])
    assert isinstance(plain, dict)
    return SkyMap.from_json_dict(plain)


def _skymap(skymap: SkyMap) -> Row:
    text = json.dumps(skymap.to_json_dict(), sort_keys=True)
    grids = [tract.grid for tract in skymap.tracts]
    return {
        "name": skymap.name,
        "hash": hashlib.sha1(text.encode(), usedforsecurity=False).digest(),
        "tract_max": len(skymap.tracts),
        "patch_nx_max": max(grid.n_x for grid in grids),
        "patch_ny_max": max(grid.n_y for grid in grids),
    }


def _patches(name: str, tract: Tract) -> list[Row]:
    rows = []
    for number, corners in enumerate(tract.patch_polygons()):
        row, column = divmod(number, tract.grid.n_x)
        rows.append(
            {
                "skymap": name,
                "tract": tract.index,
                "id": number,
                "cell_x": column,
                "cell_y": row,
                "region": Region(corners),
            }
        )
    return rows


def _hull(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Give the smallest convex polygon around unit vectors, shape ``(n, 3)``.

    Great circles are straight lines of the gnomonic projection, so its hull is that of the sphere.
    """
    from scipy.spatial import ConvexHull

    centre = points.mean(axis=0)
    centre /= np.linalg.norm(centre)
    axis = np.eye(3)[np.argmin(np.abs(centre))]
    east = np.cross(axis, centre)
    east /= np.linalg.norm(east)
    basis = np.stack([east, np.cross(centre, east)])
    plane = points @ basis.T / (points @ centre)[:, None]
    corners: npt.NDArray[np.float64] = points[ConvexHull(plane).vertices]
    return corners
