"""Any sequence of calls leaves a registry that agrees with a model of it in plain Python."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from lsstpipe.errors import ConflictError, RepositoryError
from lsstpipe.registry import loading
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.registry import Registry
from tests.postgres_server import PostgresServer
from tests.registry.test_registry import dark, image

RUNS = ("a", "b")
DARKS = [dark(run, detector) for run in RUNS for detector in (0, 1)]

records = st.builds(
    image,
    st.integers(0, 3),
    st.sampled_from(RUNS),
    st.sampled_from(("x", "y")),
)
batches = st.lists(records, max_size=4)


class Crash(Exception):  # noqa: N818  (it stands for the end of the process)
    """The process ends before its transaction does."""


class RegistryMachine(RuleBasedStateMachine):
    """Calls in any order, each made on the registry and on the model.

    The model: datasets by id, the frozen runs, tagged ids, and the certified darks with their
    ranges.
    """

    make_url: Callable[[], str]

    @initialize()
    def begin(self) -> None:
        """Make an empty registry with darks in both runs."""
        self.registry = Registry.create(self.make_url())
        self.registry.load(DARKS)
        self.datasets: dict[Any, DatasetRecord] = {record.id: record for record in DARKS}
        self.frozen: set[str] = set()
        self.tagged: set[Any] = set()
        self.valid: dict[Any, tuple[float, float]] = {}

    def teardown(self) -> None:
        """Close the registry."""
        if hasattr(self, "registry"):
            self.registry.close()

    def _may_load(self, batch: list[DatasetRecord]) -> bool:
        """Tell whether a frozen run has all of a batch as it is."""
        last = {record.id: record for record in batch}.values()
        return all(self.datasets.get(r.id) == r for r in last if r.run in self.frozen)

    @rule(batch=batches)
    def load(self, batch: list[DatasetRecord]) -> None:
        """Newer records replace older ones, except in frozen runs."""
        if self._may_load(batch):
            self.registry.load(batch)
            self.datasets |= {record.id: record for record in batch}
        else:
            with pytest.raises(ConflictError):
                self.registry.load(batch)

    @rule(record=records)
    def put(self, record: DatasetRecord) -> None:
        """As a load of one."""
        if self._may_load([record]):
            self.registry.put(record)
            self.datasets[record.id] = record
        else:
            with pytest.raises(ConflictError):
                self.registry.put(record)

    @rule(batch=batches)
    def ingest(self, batch: list[DatasetRecord]) -> None:
        """Nothing is replaced; one contradiction refuses all."""
        contents: dict[Any, set[str]] = {}
        for record in batch:
            contents.setdefault(record.id, set()).add(record.checksum)
            if record.id in self.datasets:
                contents[record.id].add(self.datasets[record.id].checksum)
        new = {r.id: r for r in batch if r.id not in self.datasets}
        # A run that is named in a batch with something new takes all of it or nothing.
        touched = {record.run for record in batch} if new else set()
        if any(len(seen) > 1 for seen in contents.values()) or touched & self.frozen:
            with pytest.raises(ConflictError):
                self.registry.ingest(batch)
        else:
            assert self.registry.ingest(batch) == len(new)
            self.datasets |= new

    @rule(batch=batches)
    def crash_while_loading(self, batch: list[DatasetRecord]) -> None:
        """What was not committed never was."""
        with pytest.raises((Crash, ConflictError)):
            self._load_and_crash(batch)

    def _load_and_crash(self, batch: list[DatasetRecord]) -> None:
        with self.registry.database.write() as connection:
            loading.load(connection, self.registry.type_ids, batch, ())
            raise Crash

    @rule(record=records)
    def tag(self, record: DatasetRecord) -> None:
        """Only what exists can be tagged, and one dataset of a data ID."""
        if record.id not in self.datasets:
            return
        others = [self.datasets[key].data_id for key in self.tagged - {record.id}]
        if record.data_id in others:
            with pytest.raises(ConflictError):
                self.registry.tag("tag", [record.id])
        else:
            self.registry.tag("tag", [record.id])
            self.tagged.add(record.id)

    @rule(record=records)
    def release(self, record: DatasetRecord) -> None:
        """What was released may be pruned again."""
        if self.tagged:
            held = {record.id} & self.tagged
            assert self.registry.release("tag", [record.id]) == len(held)
            self.tagged -= held

    @rule(record=st.sampled_from(DARKS), begin=st.integers(0, 5), length=st.integers(1, 5))
    def certify(self, record: DatasetRecord, begin: int, length: int) -> None:
        """Two darks of one detector never hold at once, and one has no second range."""
        if record.id not in self.datasets:
            return
        others = [
            span
            for key, span in self.valid.items()
            if key != record.id and self.datasets[key].data_id == record.data_id
        ]
        own = self.valid.get(record.id, (begin, begin + length))
        is_apart = own[0] > begin + length or own[1] < begin
        if is_apart or any(first < begin + length and last > begin for first, last in others):
            with pytest.raises(ConflictError):
                self.registry.certify("calibs", [record.id], begin, begin + length)
        else:
            self.registry.certify("calibs", [record.id], begin, begin + length)
            self.valid[record.id] = (begin, begin + length)

    @rule(batch=st.lists(st.one_of(records, st.sampled_from(DARKS)), max_size=2))
    def prune(self, batch: list[DatasetRecord]) -> None:
        """What is absent, held or frozen stays, and all that was to go with it."""
        ids = [record.id for record in batch]
        expected: type[Exception] | None = None
        if any(r.run in self.frozen or r.id in self.tagged or r.id in self.valid for r in batch):
            expected = ConflictError
        if any(key not in self.datasets for key in ids):
            expected = RepositoryError
        if expected is None:
            self.registry.prune(ids)
            self.datasets = {k: v for k, v in self.datasets.items() if k not in ids}
        else:
            with pytest.raises(expected):
                self.registry.prune(ids)

    @rule(run=st.sampled_from(RUNS))
    def remove_run(self, run: str) -> None:
        """A run that is frozen or of which something is held stays."""
        own = {key for key, record in self.datasets.items() if record.run == run}
        if run not in {item.name for item in self.registry.collections()}:
            with pytest.raises(RepositoryError):
                self.registry.remove_run(run)
        elif run in self.frozen or own & (self.tagged | set(self.valid)):
            with pytest.raises(ConflictError):
                self.registry.remove_run(run)
        else:
            assert {record.id for record in self.registry.remove_run(run)} == own
            self.datasets = {k: v for k, v in self.datasets.items() if k not in own}

    @rule(run=st.just("b"))
    def freeze(self, run: str) -> None:
        """One of the runs may be closed; the other lets the rest go on."""
        if run in {item.name for item in self.registry.collections()}:
            self.registry.freeze(run)
            self.frozen.add(run)

    @invariant()
    def it_says_what_the_model_says(self) -> None:
        """No dataset twice, none missing; one calibration at a time."""
        if not hasattr(self, "registry"):
            return
        found = self.registry.query_datasets()
        assert len(found) == len(self.datasets)
        assert {record.id: record for record in found} == self.datasets
        for record in found:
            assert self.registry.find(record.dataset_type, record.data_id, [record.run]) == record
        if self.valid:
            held = self.registry.query_calibrations("dark", ["calibs"])
            spans = {c.dataset.id: (c.valid_begin_mjd, c.valid_end_mjd) for c in held}
            assert spans == self.valid


def check(make_url: Callable[[], str], n_examples: int) -> None:
    """Run the machine on registries that a function names."""
    machine = type("Machine", (RegistryMachine,), {"make_url": staticmethod(make_url)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=n_examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_any_sequence_on_sqlite() -> None:
    with tempfile.TemporaryDirectory(prefix="lsstpipe-invariants-") as folder:
        count = iter(range(10_000))
        check(lambda: f"sqlite:///{Path(folder) / str(next(count))}", 20)


def test_any_sequence_on_postgresql(postgres: PostgresServer) -> None:
    check(postgres.create_database, 8)
