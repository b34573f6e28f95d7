"""Load what the report shows from a repository: the one place of the report that reads files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from lsstpipe import io
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.photocalib import magnitude
from lsstpipe.report.coadd_picture import assemble_patches
from lsstpipe.report.manifests import (
    Records,
    find_files,
    list_exceptions,
    sum_stages,
)
from lsstpipe.report.page import CoaddPicture, FloatArray, Page, StarSizes
from lsstpipe.report.products import load_lightcurve, load_metrics, parse_lightcurve, read_all
from lsstpipe.report.remarks import list_remarks

_UNIX_EPOCH_MJD = 40587.0
_LINKED = ("object_table", "forced_source_table", "source_table", "visit_table", "metrics")


def load_page(repo: Path, records: Records) -> Page:
    """Load the page of a repository.

    Parameters
    ----------
    repo
        Its folder.
    records
        What its manifests say.

    Raises
    ------
    RepositoryError
        If the stage ``report`` has not run there.
    """
    measured = load_metrics(repo, records)
    frames = sorted(
        read_all(repo, records, "visit_detector_summary", dict), key=lambda f: f["mid_mjd"]
    )
    astrometry = tuple(read_all(repo, records, "joint_astrometry", dict))
    photometry = tuple(read_all(repo, records, "joint_photometry", dict))
    remarks = list_remarks(frames, astrometry=astrometry, photometry=photometry)
    return Page(
        title=_title(records, measured),
        subtitle=_subtitle(frames, records),
        metrics=tuple(measured["metrics"]),
        target=measured["target"],
        lightcurve=parse_lightcurve(load_lightcurve(repo, records)),
        frames=tuple(frames),
        joint_astrometry=astrometry,
        joint_photometry=photometry,
        coadd=_load_coadd(repo, records),
        sizes=_star_sizes(read_all(repo, records, "source_table", Catalog)),
        stages=sum_stages(records),
        exceptional=list_exceptions(records) + remarks,
        provenance=_provenance(records),
        links=_links(records),
    )


def _load_coadd(repo: Path, records: Records) -> CoaddPicture | None:
    """Load the coadd of the first tract and band, with its primary objects."""
    files = find_files(records, "deep_coadd")
    if not files:
        return None
    first = files[0][0]
    same = ("skymap", "tract", "band")
    patches = []
    for data_id, path in files:
        if data_id.subset(same) == first.subset(same):
            patch = io.read(repo / path, "exposure")
            if isinstance(patch, Exposure):
                patches.append(patch)
    wcs = patches[0].wcs
    if wcs is None:
        raise TypeError("A coadd must have a WCS.")
    objects = _primary_objects(read_all(repo, records, "object_table", Catalog))
    image, y0, x0 = assemble_patches(patches)
    return CoaddPicture(image, y0, x0, wcs, str(first["band"]), *objects)


def _primary_objects(
    tables: list[Catalog],
) -> tuple[FloatArray, FloatArray, FloatArray, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Give position, flux and whether a point source of the primary objects of the first tract."""
    if not tables:
        return np.empty(0), np.empty(0), np.empty(0), np.empty(0, bool)
    primary = tables[0].select(tables[0].columns["detect_isPrimary"].astype(bool))
    flux = np.nan_to_num(primary["psfFlux"])
    return primary["y"], primary["x"], flux, primary["extendedness"] == 0


def _star_sizes(tables: list[Catalog]) -> StarSizes | None:
    """Compare the sizes of the PSF stars of all visits with their PSFs."""
    if not tables:
        return None
    sources = tables[0]
    reserved = sources.columns["calib_psf_reserved"].astype(bool)
    stars = sources.columns["calib_psf_used"].astype(bool) | reserved
    if not stars.any():
        return None
    size = (sources["ixx"] + sources["iyy"])[stars]
    psf = (sources["ixxPSF"] + sources["iyyPSF"])[stars]
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = np.sqrt(size / psf) - 1.0
    return StarSizes(magnitude(sources["psfFlux"][stars]), difference, reserved[stars])


def _title(records: Records, measured: dict[str, Any]) -> str:
    """Name the page after the target, else after the campaign."""
    target = measured["target"]
    campaign = str(records.campaign.get("name", ""))
    return f"{target['name']}: {campaign}" if target and campaign else campaign or "Production"


def _subtitle(frames: list[dict[str, Any]], records: Records) -> str:
    """Say in a line what was run."""
    if not frames:
        return "No frame came through."
    night = _date(frames[0]["mid_mjd"])
    filters = sorted({str(frame["physical_filter"]) for frame in frames})
    exposure = float(np.median([frame["exposure_time_s"] for frame in frames]))
    hours = 24 * (frames[-1]["mid_mjd"] - frames[0]["mid_mjd"])
    n_refused = len(records.refused)
    return (
        f"{len(frames)} frames of {exposure:g} s by {frames[0]['instrument']} in {hours:.1f} hours "
        f"on {night:%d %B %Y}, {', '.join(filters)}"
        + (f"; files refused: {n_refused}." if n_refused else ".")
    )


def _date(mjd: float) -> datetime:
    """Turn an MJD into a calendar date; the half minute between TAI and UTC is not shown."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=mjd - _UNIX_EPOCH_MJD)


def _provenance(records: Records) -> dict[str, str]:
    """Say what made the products."""
    entries = [entry for stage in records.quanta.values() for entry in stage]
    started = [entry["started_mjd"] for entry in entries if entry["started_mjd"] > 0]
    result = {
        "lsstpipe": ", ".join(sorted({entry["code_version"] for entry in entries})),
        "campaign": str(records.campaign.get("name", "")),
        "run": str(records.campaign.get("run", "")),
        "plan": records.plan_digest,
        "settings": ", ".join(sorted({entry["config_digest"][:12] for entry in entries})),
        "hosts": ", ".join(sorted({entry["host"] for entry in entries})),
        "started": f"{_date(min(started)):%Y-%m-%d %H:%M:%S} UTC" if started else "",
    }
    for environment in records.environments.values():
        versions = ", ".join(f"{name} {value}" for name, value in sorted(environment.items()))
        result["environment"] = versions
    return {name: value for name, value in result.items() if value}


def _links(records: Records) -> dict[str, str]:
    """List the products that a reader may want."""
    links = {"lightcurve": "lightcurve.csv"} if find_files(records, "lightcurve") else {}
    for name in _LINKED:
        files = find_files(records, name)
        for index, (_, path) in enumerate(files):
            links[name if len(files) == 1 else f"{name} {index + 1}"] = path
    for data_id, path in find_files(records, "deep_coadd"):
        links[f"deep_coadd, patch {data_id['patch']}, band {data_id['band']}"] = path
    return links
