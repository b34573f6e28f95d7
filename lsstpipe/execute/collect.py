"""Collect: load the manifests of a plan into the registry; as often as you like."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from lsstpipe.butler import registry_url
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.execute.ingest import read_ingest_manifest
from lsstpipe.execute.manifest import Manifest, read_manifest
from lsstpipe.execute.policy import check_flagged
from lsstpipe.plan.layout import manifest_path
from lsstpipe.plan.read import Plan
from lsstpipe.registry.provenance import Document
from lsstpipe.registry.registry import Registry

BATCH = 500
"""Manifests a transaction."""

_MARGIN_DAYS = 0.5


def collect(plan: Plan) -> tuple[int, int]:
    """Load all manifests that there are of a plan, certify its calibrations.

    Parameters
    ----------
    plan
        The plan.

    Returns
    -------
    n_manifests, n_datasets
        How many were loaded.

    Raises
    ------
    UserError
        If a stage has more flagged quanta than it may.
    """
    repo = plan.campaign.repo
    paths = [
        path
        for stage, chunks in plan.chunks.items()
        for name in chunks
        if (path := manifest_path(repo, stage, name)).exists()
    ]
    n_datasets = 0
    loaded: list[Manifest] = []
    with Registry.open(registry_url(repo)) as registry:
        for batch in _batches(paths):
            manifests = [read_manifest(path) for path in batch]
            n_datasets += _load(registry, manifests)
            loaded += manifests
        _certify(registry, plan, loaded)
    check_flagged(plan, loaded, whole_only=False)
    return len(paths), n_datasets


def _batches(paths: Sequence[Path]) -> Iterator[list[Path]]:
    remaining = iter(paths)
    while batch := list(islice(remaining, BATCH)):
        yield batch


def _load(registry: Registry, manifests: Sequence[Manifest]) -> int:
    """Load manifests in one transaction, the texts that they name in another before it."""
    documents: dict[str, Document] = {}
    for manifest in manifests:
        for kind, texts in (("config", manifest.configs), ("environment", manifest.environments)):
            documents |= {
                key: Document(kind, json.dumps(text, sort_keys=True)) for key, text in texts.items()
            }
    registry.insert_documents(documents)
    entries = [entry for manifest in manifests for entry in manifest.quanta]
    files = [file for entry in entries for file in entry.files]
    registry.load(files, [entry.record for entry in entries])
    return len(files)


def _certify(registry: Registry, plan: Plan, manifests: Sequence[Manifest]) -> None:
    """Let the calibrations hold from the first to the last raw, and half a day around."""
    calibrations = [
        file.id
        for manifest in manifests
        for entry in manifest.quanta
        for file in entry.files
        if DATASET_TYPES[file.dataset_type].is_calibration
    ]
    times = [raw["mid_mjd"] for raw in read_ingest_manifest(plan.campaign.repo)["raws"]]
    if calibrations and times:
        begin, end = math.floor(min(times)) - _MARGIN_DAYS, math.ceil(max(times)) + _MARGIN_DAYS
        registry.certify(f"{plan.campaign.run}/calib", calibrations, begin, end)
