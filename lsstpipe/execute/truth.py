"""Read what is true of a simulated survey, and hold the products of its campaign against it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lsstpipe import io
from lsstpipe.data_model import DataId
from lsstpipe.errors import UserError
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.photocalib import photo_calib_from_json
from lsstpipe.measure.visit_truth import VisitTruth
from lsstpipe.report.manifests import Records, find_files

Json = Mapping[str, Any]
FloatImage = npt.NDArray[np.float32]

_MUST_MASK = 1 | 2 | 4
"""Bits of defects that must be masked: columns and clusters; the dark takes care of hot pixels."""

_VISITS, _PLACED, _RAYS, _DETECTORS = "visits.json", "visits", "rays", "detectors"


@dataclass(frozen=True, slots=True)
class Survey:
    """The truth of a survey, read as it is asked for.

    Attributes
    ----------
    folder
        Where its files are.
    visits
        What is true of each visit, by its number.
    instrument
        Name of the camera.
    beta
        Exponent of the Moffat profile of the PSF.
    """

    folder: Path
    visits: Mapping[int, Json]
    instrument: str
    beta: float

    def expected(self) -> Iterator[tuple[int, int, str]]:
        """List visit, detector and band of every frame of the sky."""
        for number, visit in sorted(self.visits.items()):
            for detector in sorted(int(name) for name in visit["wcs"]):
                yield number, detector, str(visit["band"])

    def is_misled(self, visit: int, detector: int) -> bool:
        """Tell whether a header points beside the field on purpose, so that no solution is right.

        Parameters
        ----------
        visit, detector
            Their numbers.
        """
        return detector in self.visits[visit]["misled"]

    def image(self, detector: int, name: str) -> FloatImage:
        """Read an image of a detector: ``BIAS``, ``DARK``, ``DEFECTS``, ``FLAT_r``.

        Parameters
        ----------
        detector
            Its number.
        name
            Name of the extension.
        """
        from astropy.io import fits

        with fits.open(self.folder / _DETECTORS / f"{detector:03d}.fits") as hdus:
            return np.asarray(hdus[name].data, dtype=np.float32)

    def detector(self, detector: int) -> Json:
        """Read the figures of a detector: ``full_well_electron``, ``crosstalk`` and so on.

        Parameters
        ----------
        detector
            Its number.
        """
        path = self.folder / _DETECTORS / f"{detector:03d}.json"
        document = io.read(path, "json")
        if not isinstance(document, dict):
            raise TypeError(f"{path} must hold an object, got {type(document).__name__}.")
        return document

    def of(self, visit: int, detector: int) -> VisitTruth:
        """Read the truth of one detector of a visit.

        Parameters
        ----------
        visit, detector
            Their numbers.
        """
        about = self.visits[visit]
        bits = self.image(detector, "DEFECTS").astype(np.int64)
        defects = (bits & _MUST_MASK) != 0
        rays = _catalog(self.folder / _RAYS / f"{visit}-{detector:03d}.parquet")
        cosmic = np.zeros(defects.shape, dtype=np.float32)
        cosmic[rays.columns["y"].astype(np.int64), rays.columns["x"].astype(np.int64)] = rays[
            "electrons"
        ]
        return VisitTruth(
            wcs=SkyWcs.from_json_dict(about["wcs"][str(detector)]),
            zero_point_mag=float(about["zero_point_mag"]),
            sky_electron=float(about["sky_electron"]),
            beta=self.beta,
            placed=_catalog(self.folder / _PLACED / f"{visit}-{detector:03d}.parquet"),
            cosmic_electron=cosmic,
            is_defect=defects,
            has_trail=bool(about["has_trail"]),
        )


def read_survey(folder: Path) -> Survey:
    """Read what is true of the visits of a survey.

    Parameters
    ----------
    folder
        Its folder, or the folder ``truth`` in it.

    Raises
    ------
    UserError
        If there is no truth of a simulation.
    """
    inner = folder if (folder / _VISITS).is_file() else folder / "truth"
    if not (inner / _VISITS).is_file():
        raise UserError(
            f"{folder} holds no truth: it must have the file {_VISITS} that `lsstpipe simulate` "
            "writes."
        )
    document = io.read(inner / _VISITS, "json")
    if not isinstance(document, dict):
        raise UserError(f"{inner / _VISITS} must hold an object, got {type(document).__name__}.")
    visits = {int(visit["visit"]): visit for visit in document["visits"]}
    return Survey(inner, visits, str(document["instrument"]), float(document["psf"]["beta"]))


@dataclass(frozen=True, slots=True)
class Products:
    """The products of a campaign, read as they are asked for.

    Attributes
    ----------
    repo
        Folder of the repository.
    records
        What its manifests say.
    """

    repo: Path
    records: Records

    def exposure(self, kind: str, data_id: DataId) -> Exposure | None:
        """Read an exposure; None where it was not kept."""
        value = self._read(kind, data_id)
        return value if isinstance(value, Exposure) else None

    def flat(self, detector: int, band: str) -> Exposure | None:
        """Read the flat of a detector through the filter of a band; None where there is none."""
        for own, path in find_files(self.records, "flat"):
            value = io.read(self.repo / path, "exposure") if own["detector"] == detector else None
            if isinstance(value, Exposure) and value.info is not None and value.info.band == band:
                return value
        return None

    def catalog(self, kind: str, data_id: DataId) -> Catalog | None:
        """Read a catalogue; None where it was not kept."""
        value = self._read(kind, data_id)
        return value if isinstance(value, Catalog) else None

    def documents(self, kind: str) -> list[Json]:
        """Read all JSON products of a type."""
        values = [io.read(self.repo / path, "json") for _, path in find_files(self.records, kind)]
        return [value for value in values if isinstance(value, dict)]

    def document(self, kind: str, data_id: DataId) -> Json | None:
        """Read a JSON product; None where it was not kept."""
        value = self._read(kind, data_id)
        return value if isinstance(value, dict) else None

    def joint_calibs(self) -> dict[tuple[int, int], Any]:
        """Give the final scale of each visit and detector."""
        return {
            (int(summary["visit"]), int(part["detector"])): photo_calib_from_json(
                part["photo_calib"]
            )
            for summary in self.documents("visit_summary")
            for part in summary["detectors"]
        }

    def _read(self, kind: str, data_id: DataId) -> object:
        from lsstpipe.datasets import find_dataset_type

        for own, path in find_files(self.records, kind):
            if all(data_id[name] == own[name] for name in own if name in data_id):
                return io.read(self.repo / path, find_dataset_type(kind).storage)
        return None


def _catalog(path: Path) -> Catalog:
    value = io.read(path, "catalog")
    if not isinstance(value, Catalog):
        raise TypeError(f"{path} must hold a catalogue, got {type(value).__name__}.")
    return value
