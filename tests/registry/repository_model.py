"""A repository in plain Python, and a process that ends at a step of what it does to a real one."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from lsstpipe.butler import Butler
from lsstpipe.data_model import DataId, DatasetRef, make_ref
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.datastore.stored import compute_checksum
from lsstpipe.errors import ConflictError, RepositoryError
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.registry import Registry

RUNS = ("a", "b")
CONTENTS = [b'{"n": 0}\n', b'{"n": 1}\n', b'{"n": 2}\n']
CHAINS = ("inner", "outer")
SUMMARY, PTC = "visit_detector_summary", "ptc"

_STEPS = {"open", "write", "fsync", "replace", "unlink", "execute", "executemany", "copy_expert"}
"""Calls of the system and of databases: what happens between two of them nobody else sees."""
KILLED, REFUSED = 9, 3


Act = Callable[[Butler], object]


def ref_of(kind: str, run: str, n: int) -> DatasetRef:
    where = DataId(instrument="st10", visit=n, detector=0, exposure=n)
    return make_ref(DATASET_TYPES[kind], where, run)


def record_of(ref: DatasetRef, content: bytes, path: str = "") -> DatasetRecord:
    checksum = compute_checksum(content)
    return DatasetRecord(
        ref.id,
        ref.dataset_type.name,
        ref.data_id,
        ref.run,
        path or ref.path,
        len(content),
        checksum,
    )


def is_own(record: DatasetRecord) -> bool:
    """Whether the file lies in the repository, and was not only registered where it lay."""
    return not record.path.startswith("/")


@dataclass
class State:
    """All that a registry says: rows, collections with kind and freeze, tags, spans, chains."""

    rows: dict[UUID, DatasetRecord] = field(default_factory=dict)
    collections: dict[str, tuple[str, bool]] = field(default_factory=dict)
    tagged: set[UUID] = field(default_factory=set)
    valid: dict[UUID, tuple[float, float]] = field(default_factory=dict)
    chains: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, registry: Registry) -> State:
        found = registry.query_datasets()
        assert len({(r.dataset_type, r.data_id, r.run) for r in found}) == len(found)
        state = cls({record.id: record for record in found}, chains=registry.chains())
        state.collections = {c.name: (c.kind, c.is_frozen) for c in registry.collections()}
        if "tag" in state.collections:
            state.tagged = {record.id for record in registry.query_datasets(None, "", ["tag"])}
        if "calibs" in state.collections:
            held = registry.query_calibrations(PTC, ["calibs"])
            state.valid = {c.dataset.id: (c.valid_begin_mjd, c.valid_end_mjd) for c in held}
        return state

    def is_frozen(self, run: str) -> bool:
        return self.collections.get(run, ("RUN", False))[1]

    def is_held(self, key: UUID) -> bool:
        return key in self.tagged or key in self.valid

    def add(self, *records: DatasetRecord) -> None:
        self.rows |= {record.id: record for record in records}
        self.collections |= {r.run: ("RUN", self.is_frozen(r.run)) for r in records}

    def drop(self, *keys: UUID) -> None:
        for key in keys:
            self.rows.pop(key, None)
            self.tagged.discard(key)
            self.valid.pop(key, None)

    def reaches(self, name: str, wanted: str) -> bool:
        """Whether a chain has a collection, at any depth; the one that closes a cycle is last."""
        seen, stack = set(), list(self.chains.get(name, ()))
        while stack:
            if (item := stack.pop()) not in seen:
                seen.add(item)
                stack += self.chains.get(item, ())
        return wanted in seen

    def flatten(self, name: str) -> list[str]:
        """Give what a search of a collection goes through, in order."""
        if name not in self.chains:
            return [name]
        found = [item for child in self.chains[name] for item in self.flatten(child)]
        return list(dict.fromkeys(found))


def _is_step(call: Any) -> bool:
    return call.__name__ in _STEPS and not isinstance(call.__self__, str)


def act_and_die(repo: Path, act: Act, at_step: int) -> int:
    """Do it in a process that ends without any ceremony at a step; give its exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        n_steps = 0

        def count(_frame: object, event: str, what: Any) -> None:
            nonlocal n_steps
            if event in {"c_call", "c_return"} and _is_step(what):
                n_steps += 1
                if n_steps > at_step:
                    os._exit(KILLED)

        with Butler(repo) as butler:
            sys.setprofile(count)
            act(butler)
            sys.setprofile(None)
        status = 0
    except (ConflictError, RepositoryError):
        status = REFUSED
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
