"""Collect: load the manifests of a plan into the registry; as often as you like.

Several collectors of one plan do no harm: ids are deterministic and the newest record of an id is
the one that counts.
"""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.errors import RepositoryError
from lsstpipe.execute.ingest import read_ingest_manifest
from lsstpipe.execute.manifest import Manifest, read_manifest
from lsstpipe.execute.policy import FlagTally
from lsstpipe.plan.layout import manifest_path
from lsstpipe.plan.read import Plan, read_quantum_ids
from lsstpipe.registry.provenance import Document
from lsstpipe.registry.registry import Registry
from lsstpipe.repository import registry_url

BATCH_QUANTA = 50_000
"""Quanta a transaction: the number of statements does not depend on it, memory does."""

_MARGIN_DAYS = 0.5


@dataclass(slots=True)
class Collected:
    """What was loaded.

    Attributes
    ----------
    n_manifests, n_quanta, n_datasets
        How many.
    n_missing
        Chunks of the plan that have no manifest yet.
    """

    n_manifests: int = 0
    n_quanta: int = 0
    n_datasets: int = 0
    n_missing: int = 0


@dataclass(slots=True)
class Collector:
    """Loads the manifests of a plan as they come.

    Attributes
    ----------
    plan
        The plan.
    registry
        Where they go.
    result
        What was loaded so far.
    """

    plan: Plan
    registry: Registry
    result: Collected = field(default_factory=Collected)
    _seen: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _quanta: dict[str, frozenset[bytes]] = field(default_factory=dict)
    _calibrations: dict[uuid.UUID, None] = field(default_factory=dict)
    _documents: set[str] = field(default_factory=set)
    _tally: FlagTally = field(default_factory=FlagTally)

    def collect_new(self) -> int:
        """Load the manifests that were written since the last call; give their number.

        Raises
        ------
        RepositoryError
            If one is damaged or of another plan; those before it are loaded.
        """
        n_before = self.result.n_manifests
        batch: list[Manifest] = []
        n_quanta = 0
        for path in self._find_new():
            manifest = read_manifest(path)
            self._check(path, manifest)
            batch.append(manifest)
            n_quanta += len(manifest.quanta)
            if n_quanta >= BATCH_QUANTA:
                self._load(batch)
                batch, n_quanta = [], 0
        if batch:
            self._load(batch)
        return self.result.n_manifests - n_before

    def finish(self) -> Collected:
        """Certify the calibrations and judge how much was flagged.

        Raises
        ------
        UserError
            If a stage has more flagged quanta than it may.
        """
        times = [raw["mid_mjd"] for raw in read_ingest_manifest(self.plan.campaign.repo)["raws"]]
        if self._calibrations and times:
            # They hold from the first to the last raw, and half a day around.
            begin, end = math.floor(min(times)) - _MARGIN_DAYS, math.ceil(max(times)) + _MARGIN_DAYS
            name = f"{self.plan.campaign.run}/calib"
            self._release_apart(name, begin, end)
            # Manifests still name what was pruned.
            there = self.registry.find_known(list(self._calibrations))
            self.registry.certify(name, there, begin, end)
        self._tally.check(self.plan, whole_only=False)
        return self.result

    def _release_apart(self, name: str, begin: float, end: float) -> None:
        """Take out calibrations that hold at other times: they were made anew, of other raws."""
        apart = [
            item.dataset.id
            for item in self.registry.calibrations_of(name)
            if item.dataset.id in self._calibrations
            and (item.valid_begin_mjd > end or item.valid_end_mjd < begin)
        ]
        if apart:
            self.registry.release(name, apart)

    def _find_new(self) -> Iterator[Path]:
        """Find manifests that are new, or were written again, in the order of the stages."""
        self.result.n_missing = 0
        for stage, chunks in self.plan.chunks.items():
            for name in chunks:
                path = manifest_path(self.plan.campaign.repo, stage, name)
                try:
                    status = path.stat()
                except FileNotFoundError:
                    self.result.n_missing += 1
                    continue
                version = (status.st_mtime_ns, status.st_size)
                if self._seen.get(path) != version:
                    self._seen[path] = version
                    yield path

    def _check(self, path: Path, manifest: Manifest) -> None:
        """Refuse a manifest that does not belong to the plan."""
        shard = self.plan.chunks[path.parent.name][path.stem].shard
        if shard not in self._quanta:
            # Those of one shard at a time: chunks come stage by stage, and so do shards.
            self._quanta = {shard: read_quantum_ids(self.plan, shard)}
        known = self._quanta[shard]
        own = (self.plan.campaign.run, path.parent.name, path.stem)
        found = (manifest.run, manifest.stage, manifest.chunk)
        if found != own or any(q.record.id.bytes not in known for q in manifest.quanta):
            raise RepositoryError(
                f"{path} is a manifest of another plan (run '{manifest.run}', {manifest.stage} "
                f"{manifest.chunk}); run the chunk with the plan in {self.plan.folder}."
            )

    def _load(self, manifests: list[Manifest]) -> None:
        """Load manifests in one transaction, the texts that they name in another before it."""
        documents: dict[str, Document] = {}
        for manifest in manifests:
            for kind, texts in (
                ("config", manifest.configs),
                ("environment", manifest.environments),
            ):
                documents |= {
                    key: Document(kind, json.dumps(text, sort_keys=True))
                    for key, text in texts.items()
                    if key not in self._documents
                }
        if documents:
            self.registry.insert_documents(documents)
            self._documents |= set(documents)
        entries = [entry for manifest in manifests for entry in manifest.quanta]
        files = [file for entry in entries for file in entry.files]
        self.registry.load(files, [entry.record for entry in entries])
        for manifest in manifests:
            self._tally.add(manifest)
        for file in files:
            if DATASET_TYPES[file.dataset_type].is_calibration:
                self._calibrations[file.id] = None
        self.result.n_manifests += len(manifests)
        self.result.n_quanta += len(entries)
        self.result.n_datasets += len(files)


def collect(plan: Plan) -> Collected:
    """Load all manifests that there are of a plan, certify its calibrations.

    Parameters
    ----------
    plan
        The plan.

    Raises
    ------
    UserError
        If a stage has more flagged quanta than it may.
    """
    with Registry.open(registry_url(plan.campaign.repo)) as registry:
        collector = Collector(plan, registry)
        collector.collect_new()
        return collector.finish()


def follow(
    plan: Plan, interval_s: float, on_new: Callable[[Collected], None] = lambda result: None
) -> Collected:
    """Load the manifests of a plan as its jobs write them, until all are there.

    Parameters
    ----------
    plan
        The plan.
    interval_s
        Seconds between two looks.
    on_new
        Called with what was loaded so far when something was.

    Raises
    ------
    UserError
        If a stage has more flagged quanta than it may.
    """
    with Registry.open(registry_url(plan.campaign.repo)) as registry:
        collector = Collector(plan, registry)
        while True:
            if collector.collect_new():
                on_new(collector.result)
            if not collector.result.n_missing:
                return collector.finish()
            time.sleep(interval_s)
