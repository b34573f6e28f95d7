"""Ingest: read the raws, refuse those that cannot be used, register the rest."""

from __future__ import annotations

import glob
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from lsstpipe import io
from lsstpipe.butler import Butler, ProductStore
from lsstpipe.config import Campaign
from lsstpipe.data_model import DataId, DatasetRef, make_ref
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.datastore import Datastore, Stored
from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.datastore.stored import compute_checksum
from lsstpipe.errors import ConflictError, InputFileError, UserError
from lsstpipe.execute.reference_catalog import read_reference_catalog
from lsstpipe.geometry.skymap import SkyMap
from lsstpipe.geometry.sphere import sky_positions
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.exposure import ObservationInfo
from lsstpipe.instruments import get_camera, read_info
from lsstpipe.plan.layout import ingest_manifest_path
from lsstpipe.plan.select import make_skymap
from lsstpipe.registry.exposures import Polygon
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.registry import Registry
from lsstpipe.repository import read_repository, registry_url

SCHEMA_VERSION = 1
RAW_RUN = "raw"
"""Run of all raws: a raw is the same for every campaign."""

_FILES_A_PROCESS = 16
"""Fewer are read before another process has started."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that was not ingested, and why in one sentence."""

    path: str
    message: str


@dataclass(slots=True)
class Ingested:
    """What became of the files of a campaign.

    Attributes
    ----------
    infos, records
        Headers and datasets of the raws that can be used, in one order.
    refused
        The other files.
    n_new
        How many raws were not registered before.
    """

    infos: list[ObservationInfo] = field(default_factory=list)
    records: list[DatasetRecord] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    n_new: int = 0


def find_raws(campaign: Campaign) -> list[str]:
    """Find the files of a campaign, each once, sorted.

    Parameters
    ----------
    campaign
        The settings.

    Raises
    ------
    UserError
        If there are none.
    """
    found = {path for pattern in campaign.raws for path in _expand(pattern)}
    if not found:
        raise UserError(f"No file matches 'raws' = {', '.join(campaign.raws)} below {Path.cwd()}.")
    return sorted(found)


def _expand(pattern: str) -> list[str]:
    """Find the files that a pattern names, as it names them."""
    return glob.glob(pattern, recursive=True)  # noqa: PTH207  (Path.glob takes no absolute one)


def ingest(
    campaign: Campaign,
    paths: Sequence[str],
    on_file: Callable[[str], None] = lambda path: None,
    *,
    n_jobs: int = 1,
) -> Ingested:
    """Ingest the raws, the reference catalogue and the sky map of a campaign.

    Doing it again changes nothing. A file that cannot be used is refused and the rest goes on.

    Parameters
    ----------
    campaign
        The settings.
    paths
        The files.
    on_file
        Called with each file when it has been read.
    n_jobs
        Number of processes that read; the result is the same for any.

    Returns
    -------
    result
        What became of them; the same is in the manifest of the ingest.

    Raises
    ------
    UserError
        If none of the files can be used, the reference catalogue has no star in the field, the run
        is frozen with another sky map or catalogue, or the repository cannot be written.
    """
    result = Ingested()
    read: list[tuple[str, ObservationInfo, Stored]] = []
    for path, found in zip(paths, _read_files(paths, campaign.instrument, n_jobs), strict=True):
        if isinstance(found, Refusal):
            result.refused.append(found)
        else:
            read.append((path, *found))
        on_file(path)
    stars = read_reference_catalog(campaign, [info for _, info, _ in read])
    settings = None
    if campaign.registry:
        settings = replace(read_repository(campaign.repo), registry=campaign.registry)
    Butler.create(campaign.repo, settings=settings, exist_ok=True)
    store = ProductStore(campaign.repo)
    skymap = make_skymap(campaign)
    inputs = _make_inputs(campaign, stars, skymap)
    with Registry.open(registry_url(campaign.repo)) as registry:
        _refuse_frozen(registry, campaign.run, inputs)
        known = {record.id: record for _, record in registry.query_exposures()}
        taken: dict[uuid.UUID, DatasetRecord] = {}
        for path, info, stored in read:
            try:
                _add_raw(result, info, path, stored, known, taken)
            except ConflictError as error:
                result.refused.append(Refusal(path, str(error)))
        if result.records:
            regions = _outline(campaign, result)
            result.n_new = registry.insert_exposures(result.infos, result.records, regions)
        registry.insert_patches(skymap.name, _outline_patches(skymap))
        written = [store.write(ref, value) for ref, value in inputs.items()]
        registry.load(written)
    _write_manifest(campaign, result, written)
    if not result.records:
        raise UserError(
            f"None of the {len(paths)} files can be used; the first: {result.refused[0].message}"
        )
    return result


def _read_files(
    paths: Sequence[str], instrument: str, n_jobs: int
) -> Iterator[tuple[ObservationInfo, Stored] | Refusal]:
    """Read files in their order, by several processes where there are enough for them."""
    read = partial(_read_file, instrument=instrument)
    n_jobs = min(n_jobs, len(paths) // _FILES_A_PROCESS)
    if n_jobs <= 1:
        yield from map(read, paths)
        return
    with ProcessPoolExecutor(n_jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(read, paths)


def _read_file(path: str, instrument: str) -> tuple[ObservationInfo, Stored] | Refusal:
    """Read what the header of a file says and what the file is; or say why it cannot be used."""
    try:
        info = read_info(path, get_camera(instrument))
        return info, Datastore("/").describe(str(Path(path).absolute()))
    except InputFileError as error:
        return Refusal(path, str(error))


def _add_raw(
    result: Ingested,
    info: ObservationInfo,
    path: str,
    stored: Stored,
    known: Mapping[uuid.UUID, DatasetRecord],
    taken: dict[uuid.UUID, DatasetRecord],
) -> None:
    """Name a raw; refuse it if the same exposure is registered, or came before it, otherwise.

    What is registered goes first: a file that is added later cannot take its place.
    """
    data_id = DataId(instrument=info.instrument, exposure=info.exposure, detector=info.detector)
    ref = make_ref(DATASET_TYPES["raw"], data_id, RAW_RUN)
    registered = known.get(ref.id)
    if registered is not None and registered.checksum != stored.checksum:
        raise ConflictError(
            f"{path} has other pixels than {registered.path}, which is registered as the same "
            f"exposure ({data_id}); leave it out, or use a new repository."
        )
    record = DatasetRecord(
        ref.id, "raw", data_id, RAW_RUN, stored.path, stored.size, stored.checksum
    )
    other = taken.setdefault(ref.id, record)
    if other.checksum != stored.checksum:
        raise ConflictError(
            f"{path} has other pixels than {other.path}, which is the same exposure "
            f"({data_id}); leave one of them out."
        )
    if other is record:
        result.infos.append(info)
        result.records.append(record)


def _outline(campaign: Campaign, result: Ingested) -> dict[DataId, Polygon]:
    """Outline the raws on the sky whose pointing is known."""
    camera = get_camera(campaign.instrument)
    regions: dict[DataId, Polygon] = {}
    for info, record in zip(result.infos, result.records, strict=True):
        pointing = {name: getattr(info, name) for name in ("ra_deg", "dec_deg", "rotation_deg")}
        corners = camera.footprint(camera.detector(info.detector), **pointing)
        if corners is not None:
            regions[record.data_id] = corners
    return regions


def _outline_patches(skymap: SkyMap) -> list[tuple[int, int, Polygon]]:
    """Outline all patches of a sky map."""
    outlined: list[tuple[int, int, Polygon]] = []
    for tract in skymap.tracts:
        ra_deg, dec_deg = sky_positions(tract.patch_polygons())
        corners = np.stack([ra_deg, dec_deg], axis=-1).tolist()
        outlined += [(tract.index, p.index, corners[n]) for n, p in enumerate(tract.patches)]
    return outlined


def _make_inputs(campaign: Campaign, stars: Catalog, skymap: SkyMap) -> dict[DatasetRef, object]:
    """Make the reference catalogue and the sky map as datasets of the campaign's run."""
    values = (
        ("reference_catalog", DataId(), stars),
        ("skymap", DataId(skymap=skymap.name), skymap.to_json_dict()),
    )
    return {
        make_ref(DATASET_TYPES[name], data_id, campaign.run): value
        for name, data_id, value in values
    }


def _refuse_frozen(registry: Registry, run: str, inputs: Mapping[DatasetRef, object]) -> None:
    """Refuse other inputs than a frozen run has, before anything is written over its files."""
    try:
        registry.require_open(run)
    except ConflictError as error:
        for ref, value in inputs.items():
            known = registry.find(ref.dataset_type, ref.data_id, [run])
            content = io.write(value, ref.dataset_type.storage)
            if known is None or known.checksum != compute_checksum(content):
                raise ConflictError(f"{error} Give the campaign another `run`.") from error


def _write_manifest(campaign: Campaign, result: Ingested, inputs: Sequence[DatasetRecord]) -> None:
    """Write what was ingested and what was refused."""
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "stage": "ingest",
        "campaign": campaign.name,
        "run": campaign.run,
        "raws": [
            {
                "id": str(record.id),
                "path": record.path,
                "size": record.size,
                "checksum": record.checksum,
                "exposure": info.exposure,
                "detector": info.detector,
                "observation_type": info.observation_type,
                "mid_mjd": info.mid_mjd,
            }
            for info, record in zip(result.infos, result.records, strict=True)
        ],
        "refused": [asdict(item) for item in result.refused],
        "inputs": [
            {
                "id": str(r.id),
                "dataset_type": r.dataset_type,
                "path": r.path,
                "checksum": r.checksum,
            }
            for r in inputs
        ],
    }
    path = ingest_manifest_path(campaign.repo)
    write_atomically(path, (json.dumps(manifest, indent=1) + "\n").encode())


def read_ingest_manifest(repo: str | Path) -> dict[str, Any]:
    """Read what the ingest of a repository did; empty lists where there was none.

    Parameters
    ----------
    repo
        Folder of the repository.
    """
    path = ingest_manifest_path(repo)
    if not path.exists():
        return {"schema_version": SCHEMA_VERSION, "raws": [], "refused": [], "inputs": []}
    manifest: dict[str, Any] = json.loads(path.read_text())
    return manifest
