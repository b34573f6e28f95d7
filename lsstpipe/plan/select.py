"""Select from the registry what a plan starts from, by a constant number of queries."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lsstpipe.config import Campaign
from lsstpipe.config.campaign import Stages
from lsstpipe.data_model import DataId
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.errors import RepositoryError, UserError
from lsstpipe.geometry.skymap import PatchGrid, SkyMap, Tract
from lsstpipe.image.exposure import ObservationInfo
from lsstpipe.instruments import get_camera
from lsstpipe.plan.build import Builder
from lsstpipe.plan.layout import ingest_manifest_path
from lsstpipe.plan.quanta import Quanta
from lsstpipe.plan.rows import IndexArray, Rows
from lsstpipe.plan.selection import RAW_COLUMNS, Selection
from lsstpipe.registry.calibrations import Calibration
from lsstpipe.registry.registry import Registry
from lsstpipe.repository import registry_url
from lsstpipe.stages import STAGES

_HEADER_POINTING_ERROR_DEG = 0.1
_NO_OUTLINE = np.full((4, 3), np.nan)


def build_plan(campaign: Campaign, stages: Stages = STAGES) -> Quanta:
    """Make the quanta of a campaign from what its repository has.

    Parameters
    ----------
    campaign
        The settings.
    stages
        The table of stages.

    Raises
    ------
    UserError
        If there is no repository, nothing was ingested, or raws are missing.
    """
    return Builder(campaign, select(campaign), stages).build()


def select(campaign: Campaign) -> Selection:
    """Find the raws of a campaign and what exists besides.

    Parameters
    ----------
    campaign
        The settings.

    Raises
    ------
    UserError
        If there is no repository or nothing was ingested.
    """
    ingested = _read_ingested(campaign)
    where = f"instrument = '{campaign.instrument}'"
    with Registry.open(registry_url(campaign.repo)) as registry:
        found = [
            (info, record)
            for info, record in registry.query_exposures(where=where)
            if str(record.id) in ingested
        ]
        existing = {
            name: [record] if record is not None else []
            for name, data_id in (
                ("reference_catalog", DataId()),
                ("skymap", DataId(skymap=campaign.skymap.name)),
            )
            for record in [registry.find(name, data_id, [campaign.run])]
        }
        calibrations = _find_calibrations(registry, campaign)
        known = registry.query_outlines("exposure")
    if not found:
        raise UserError(
            f"The repository {campaign.repo} has no raws of '{campaign.name}'; ingest some first."
        )
    patches, polygons = make_patches(make_skymap(campaign))
    infos, records = [info for info, _ in found], [record for _, record in found]
    return Selection(
        _raw_rows(infos, campaign),
        records,
        patches,
        polygons,
        field_radius_deg(campaign),
        existing,
        calibrations,
        is_ordered=bool(campaign.calibrations),
        infos=infos,
        outlines=np.array([known.get(record.data_id, _NO_OUTLINE) for record in records]),
        margin_deg=_size_error_deg(campaign) + _pointing_error_deg(campaign),
    )


def make_skymap(campaign: Campaign) -> SkyMap:
    """Make the sky map that a campaign describes.

    Parameters
    ----------
    campaign
        The settings.
    """
    settings = campaign.skymap
    return SkyMap(
        settings.name,
        tuple(
            Tract(
                number,
                (tract.ra_deg, tract.dec_deg),
                settings.pixel_scale_arcsec,
                PatchGrid(
                    tract.n_patches_y,
                    tract.n_patches_x,
                    settings.patch_inner_y,
                    settings.patch_inner_x,
                    settings.border_pix,
                ),
            )
            for number, tract in enumerate(settings.tracts)
        ),
    )


def field_radius_deg(campaign: Campaign) -> float:
    """Give the radius around a pointing within which every pixel of a detector is.

    Half the diagonal of the largest detector, and how far off the pointing may be: an exposure that
    turns out not to overlap a patch is found to have no work there.

    Parameters
    ----------
    campaign
        The settings.
    """
    camera = get_camera(campaign.instrument)
    scale_deg = camera.pixel_scale_arcsec / 3600
    size_deg = _half_diagonal_pix(campaign) * scale_deg
    return size_deg + _size_error_deg(campaign) + _pointing_error_deg(campaign)


def _half_diagonal_pix(campaign: Campaign) -> float:
    """Give half the diagonal of the largest detector."""
    camera = get_camera(campaign.instrument)
    return max(math.hypot(d.ny, d.nx) for d in camera.detectors.values()) / 2


def _size_error_deg(campaign: Campaign) -> float:
    """Give how much farther from its centre a corner may be than the camera says."""
    camera = get_camera(campaign.instrument)
    scale_deg = camera.pixel_scale_arcsec / 3600
    return _half_diagonal_pix(campaign) * scale_deg * camera.scale_tolerance


def _pointing_error_deg(campaign: Campaign) -> float:
    """Give how far a pointing may be off."""
    pointing = campaign.pointing
    return pointing.radius_arcmin / 60 if pointing else _HEADER_POINTING_ERROR_DEG


def _read_ingested(campaign: Campaign) -> frozenset[str]:
    """Read the ids of the raws that the campaign selected."""
    path: Path = ingest_manifest_path(campaign.repo)
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        raise RepositoryError(
            f"Nothing was ingested into {campaign.repo} yet; `lsstpipe ingest` does it."
        ) from None
    return frozenset(raw["id"] for raw in manifest["raws"])


def _find_calibrations(registry: Registry, campaign: Campaign) -> dict[str, list[Calibration]]:
    """Find all certified calibrations by type, in the order of the search, by one question."""
    names = list(campaign.calibrations) or sorted(
        c.name for c in registry.collections() if c.kind == "CALIBRATION"
    )
    if not names:
        return {}
    found: dict[str, list[Calibration]] = {
        kind.name: [] for kind in DATASET_TYPES.values() if kind.is_calibration
    }
    for item in registry.query_calibrations(None, names):
        found[item.dataset.dataset_type].append(item)
    return found


def _raw_rows(infos: Sequence[ObservationInfo], campaign: Campaign) -> Rows:
    """Make the columns of raws, with the campaign's pointing where a header has none."""
    columns = {name: np.array([getattr(info, name) for info in infos]) for name in RAW_COLUMNS}
    unknown = np.isnan(columns["ra_deg"]) | np.isnan(columns["dec_deg"])
    if campaign.pointing is not None:
        columns["ra_deg"] = np.where(unknown, campaign.pointing.ra_deg, columns["ra_deg"])
        columns["dec_deg"] = np.where(unknown, campaign.pointing.dec_deg, columns["dec_deg"])
    elif np.any(unknown & (columns["observation_type"] == "science")):
        raise UserError(
            f"{int(unknown.sum())} raws of '{campaign.name}' have no pointing in their headers; "
            "give the section 'pointing' with ra_deg, dec_deg and radius_arcmin."
        )
    return Rows(columns, len(infos))


def make_patches(
    skymap: SkyMap, tracts: IndexArray | None = None
) -> tuple[Rows, npt.NDArray[np.float64]]:
    """Make the columns and the outer polygons of patches.

    Parameters
    ----------
    skymap
        Its tracts.
    tracts
        Numbers of those to take; None for all.
    """
    chosen = [skymap.tracts[i] for i in tracts.tolist()] if tracts is not None else skymap.tracts
    polygons = [tract.patch_polygons() for tract in chosen] or [np.empty((0, 4, 3))]
    counts = [len(own) for own in polygons] if chosen else []
    n_patches = sum(counts)
    rows = Rows(
        {
            "skymap": np.full(n_patches, skymap.name),
            "tract": np.repeat(np.array([t.index for t in chosen], dtype=np.int64), counts),
            "patch": np.concatenate([np.arange(n) for n in counts] or [np.empty(0, np.int64)]),
        }
    )
    return rows, np.concatenate(polygons)
