"""Registry and files agree after any sequence of calls, whatever step a process is killed at."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

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

from lsstpipe.butler import Butler
from lsstpipe.cli import prune
from lsstpipe.data_model import make_id
from lsstpipe.datastore.atomic import find_temporaries
from lsstpipe.datastore.stored import compute_checksum
from lsstpipe.errors import ConflictError, InputFileError, RepositoryError
from lsstpipe.execute.orphans import find_orphans, remove_orphans
from lsstpipe.execute.sweep import sweep
from lsstpipe.registry.records import QuantumRecord
from lsstpipe.repository import Repository
from tests.postgres_server import PostgresServer
from tests.registry.repository_model import (
    CHAINS,
    CONTENTS,
    KILLED,
    PTC,
    REFUSED,
    RUNS,
    SUMMARY,
    Act,
    State,
    act_and_die,
    is_own,
    record_of,
    ref_of,
)

runs = st.sampled_from(RUNS)
kinds = st.sampled_from((SUMMARY, PTC))
numbers = st.integers(0, 1)
values = st.integers(0, 2)
deaths = st.none() | st.integers(0, 15) | st.integers(0, 70)
"""The step at which a process dies, if it does."""


class RepositoryMachine(RuleBasedStateMachine):
    """Calls in any order on a repository and on the model; some of them in a process that dies.

    Beside what the registry says, the model knows which files may be left without a row, and which
    may hold what their rows do not say yet.
    """

    make_repository: Callable[[], Path]

    @initialize()
    def begin(self) -> None:
        """Make an empty repository, and frames that lie elsewhere."""
        self.repo = self.make_repository()
        self.elsewhere = self.repo.with_name(f"{self.repo.name}-elsewhere")
        self.elsewhere.mkdir()
        self.butler = Butler(self.repo)
        self.state = State()
        self.clock = itertools.count(60000.0)
        self.left: set[str] = set()
        self.torn: set[str] = set()
        self.was_killed = False

    def teardown(self) -> None:
        """Close what is open."""
        if hasattr(self, "butler"):
            self.butler.registry.close()

    def _do(
        self, act: Act, after: State | None, at: int | None, written: tuple[str, ...] = ()
    ) -> None:
        """Do something, to its end or to a step, and see that all of it took effect or nothing.

        ``after`` is None for what is refused; ``written`` are the files that go before their rows.
        """
        before = self.state
        expected = before if after is None else after
        if at is not None:
            self.butler.registry.close()  # a connection must not be in two processes
            status = act_and_die(self.repo, act, at)
        elif after is None:
            with pytest.raises((ConflictError, RepositoryError)):
                act(self.butler)
            status = REFUSED
        else:
            act(self.butler)
            status = 0
        found = State.read(self.butler.registry)
        if status == KILLED:
            assert found in (before, expected)
            self.was_killed = True
            self.torn |= set(written)
        else:
            assert status == (REFUSED if after is None else 0)
            assert found == expected
        if status == 0:
            self.torn -= set(written)
        else:
            gone = {r.path for k, r in before.rows.items() if k not in found.rows and is_own(r)}
            self.left |= gone | set(written)
        self.state = found

    @rule(run=runs, kind=kinds, n=numbers, value=values, at=deaths)
    def put(self, run: str, kind: str, n: int, value: int, at: int | None) -> None:
        """The file goes first, then the row."""
        ref = ref_of(kind, run, n)
        after = None
        if not self.state.is_frozen(run):
            after = copy.deepcopy(self.state)
            after.add(record_of(ref, CONTENTS[value]))

        def act(butler: Butler) -> None:
            butler.run = run
            butler.put({"n": value}, kind, ref.data_id)

        self._do(act, after, at, (ref.path,))

    @rule(run=runs, n=numbers, value=values, is_flagged=st.booleans(), at=deaths)
    def run_job(self, run: str, n: int, value: int, is_flagged: bool, at: int | None) -> None:
        """A job writes files, a collector their rows; what an earlier attempt made is forgotten."""
        if self.state.is_frozen(run):
            return
        key = make_id(run, "job", str(n))
        refs = [ref_of(kind, run, n) for kind in ((SUMMARY,) if is_flagged else (SUMMARY, PTC))]
        records = [replace(record_of(ref, CONTENTS[value]), quantum_id=key) for ref in refs]
        outputs = tuple(record.id for record in records)
        quantum = QuantumRecord(
            key, run, "visit", "job", str(n), refs[0].data_id, "done", outputs=outputs,
            started_mjd=next(self.clock),
        )  # fmt: skip
        after = copy.deepcopy(self.state)
        stale = [r for r in after.rows.values() if r.quantum_id == key and r.id not in outputs]
        after.drop(*(record.id for record in stale))
        after.add(*records)

        def act(butler: Butler) -> None:
            for ref in refs:
                butler.store.write(ref, {"n": value}, key)
            butler.registry.load(records, [quantum])

        self._do(act, after, at, tuple(ref.path for ref in refs))
        self.left |= {record.path for record in stale}

    @rule(
        run=runs,
        items=st.lists(st.tuples(kinds, numbers, values), min_size=1, max_size=3),
        at=deaths,
    )
    def ingest(self, run: str, items: list[tuple[str, int, int]], at: int | None) -> None:
        """Files that lie elsewhere are registered, all or none; nothing is replaced."""
        records = []
        for kind, n, value in items:
            ref, content = ref_of(kind, run, n), CONTENTS[value]
            path = self.elsewhere / f"{ref.id}-{value}.json"
            path.write_bytes(content)
            records.append(record_of(ref, content, str(path)))
        after: State | None = copy.deepcopy(self.state)
        assert after is not None
        new = [r for r in records if r.id not in after.rows]
        after.add(*new)
        if any(after.rows[r.id].checksum != r.checksum for r in records) or (
            new and self.state.is_frozen(run)
        ):
            after = None
        self._do(lambda butler: butler.registry.ingest(records), after, at)

    @rule(run=runs, n=numbers, begin=st.integers(0, 3), length=st.integers(1, 3))
    def certify(self, run: str, n: int, begin: int, length: int) -> None:
        """Two calibrations of one detector never hold at once, and one has no second range."""
        ref, span = ref_of(PTC, run, n), (float(begin), float(begin + length))
        after: State | None = None
        rivals = {
            self.state.valid[key]
            for key, record in self.state.rows.items()
            if key in self.state.valid and key != ref.id and record.data_id == ref.data_id
        }
        own = self.state.valid.get(ref.id, span)
        is_apart = own[0] > span[1] or own[1] < span[0]
        if (
            ref.id in self.state.rows
            and not is_apart
            and not any(a < span[1] and b > span[0] for a, b in rivals)
        ):
            after = copy.deepcopy(self.state)
            after.collections["calibs"] = ("CALIBRATION", False)
            after.valid[ref.id] = span
        self._do(lambda butler: butler.registry.certify("calibs", [ref.id], *span), after, None)

    @rule(run=runs, kind=kinds, n=numbers)
    def tag(self, run: str, kind: str, n: int) -> None:
        """What is tagged is held; of one data ID a tag holds one."""
        ref = ref_of(kind, run, n)
        key = ref.id
        if key in self.state.rows:
            after = None
            held = [self.state.rows[k] for k in self.state.tagged - {key}]
            if (kind, ref.data_id) not in {(r.dataset_type, r.data_id) for r in held}:
                after = copy.deepcopy(self.state)
                after.collections["tag"] = ("TAGGED", False)
                after.tagged.add(key)
            self._do(lambda butler: butler.registry.tag("tag", [key]), after, None)

    @rule(name=st.sampled_from(("tag", "calibs")))
    def release(self, name: str) -> None:
        """What a collection held may go again."""
        after = None
        if name in self.state.collections:
            after = copy.deepcopy(self.state)
            (after.tagged if name == "tag" else after.valid).clear()
        keys = list(self.state.rows)
        self._do(lambda butler: butler.registry.release(name, keys), after, None)

    @rule(
        name=st.sampled_from(CHAINS),
        children=st.lists(st.sampled_from((*RUNS, "tag", *CHAINS)), max_size=3),
    )
    def chain(self, name: str, children: list[str]) -> None:
        """A chain has what exists, and never itself."""
        after: State | None = copy.deepcopy(self.state)
        assert after is not None
        after.collections[name] = ("CHAINED", False)
        after.chains[name] = children
        if not set(children) <= set(after.collections) or after.reaches(name, name):
            after = None
        elif not children:
            del after.chains[name]
        self._do(lambda butler: butler.registry.define_chain(name, children), after, None)

    @rule(kind=kinds, n=numbers, name=st.sampled_from((*RUNS, *CHAINS)))
    def get(self, kind: str, n: int, name: str) -> None:
        """A search goes through a chain in its order; what it gives is what was written."""
        if name not in self.state.collections:
            return
        where = ref_of(kind, "", n).data_id
        found = self.butler.registry.find(kind, where, [name])
        for run in self.state.flatten(name):
            keys = [ref_of(kind, r, n).id for r in (RUNS if run == "tag" else (run,))]
            there = [
                self.state.rows[key]
                for key in keys
                if key in (self.state.tagged if run == "tag" else self.state.rows)
            ]
            if there:
                assert found in there
                break
        else:
            assert found is None
        if found is not None and found.path not in self.torn:
            assert self.butler.store.read(found) in [{"n": value} for value in range(3)]

    @rule(run=runs, kind=kinds, is_held_too=st.booleans(), at=deaths)
    def prune(self, run: str, kind: str, is_held_too: bool, at: int | None) -> None:
        """The rows go first, then their files; what is held or frozen stays."""
        keys = [k for k, r in self.state.rows.items() if (r.run, r.dataset_type) == (run, kind)]
        after = None
        is_held = any(self.state.is_held(key) for key in keys) and not is_held_too
        is_closed = self.state.is_frozen(run) and bool(keys)
        if run in self.state.collections and not is_held and not is_closed:
            after = copy.deepcopy(self.state)
            after.drop(*keys)
        self._do(lambda _: self._prune(run, kind, is_held_too=is_held_too), after, at)

    @rule(run=runs, at=deaths)
    def remove_run(self, run: str, at: int | None) -> None:
        """A run that is frozen, chained or of which something is held stays."""
        keys = [key for key, record in self.state.rows.items() if record.run == run]
        after = None
        if (
            run in self.state.collections
            and not self.state.is_frozen(run)
            and not any(self.state.is_held(key) for key in keys)
            and not any(run in children for children in self.state.chains.values())
        ):
            after = copy.deepcopy(self.state)
            after.drop(*keys)
            del after.collections[run]
        self._do(lambda _: self._prune(run, None), after, at)

    def _prune(self, run: str, kind: str | None, *, is_held_too: bool = False) -> None:
        """As the command does it."""
        assert prune.command.callback is not None
        with redirect_stdout(StringIO()):
            prune.command.callback(
                dataset_type=kind, repo=self.repo, run=run, where="", is_whole=kind is None,
                held_too=is_held_too, dry_run=False, as_json=False,
            )  # fmt: skip

    @rule()
    def freeze(self) -> None:
        """One of the runs may be closed; the other lets the rest go on."""
        if "b" in self.state.collections:
            after = copy.deepcopy(self.state)
            after.collections["b"] = ("RUN", True)
            self._do(lambda butler: butler.registry.freeze("b"), after, None)

    @rule()
    def clean(self) -> None:
        """After the sweeps there is a file for each row and a row for each file."""
        sweep(self.repo)
        remove_orphans(self.repo, find_orphans(self.repo, 0.0))
        self.left.clear()
        self.was_killed = False

    @invariant()
    def files_and_rows_agree(self) -> None:
        """Every row has its file; a file without one is found as an orphan, and has its reason."""
        if not hasattr(self, "state"):
            return
        own = {r.path: r for r in self.state.rows.values() if is_own(r)}
        files = {p: (self.repo / p).read_bytes() for p in self._products()}
        assert set(own) <= set(files)
        wrong = {p for p, r in own.items() if compute_checksum(files[p]) != r.checksum}
        assert wrong <= self.torn
        for path in wrong:  # it is noticed, never taken for what the row says
            with pytest.raises(InputFileError, match="changed or damaged"):
                self.butler.store.read(own[path])
        orphans = {str(path.relative_to(self.repo)) for path in find_orphans(self.repo, 0.0)}
        assert orphans == set(files) - set(own) <= self.left
        assert self.was_killed or not list(find_temporaries(self.repo))
        for record in self.state.rows.values():
            assert is_own(record) or Path(record.path).is_file()

    def _products(self) -> list[str]:
        found = (path for run in RUNS for path in (self.repo / run).rglob("*.json"))
        return [str(path.relative_to(self.repo)) for path in found]


def check(folder: Path, make_settings: Callable[[], Repository | None], n_examples: int) -> None:
    """Run the machine on repositories whose registry a function names."""
    count = itertools.count()

    def make_repository() -> Path:
        repo = folder / str(next(count))
        Butler.create(repo, settings=make_settings())
        return repo

    machine = type(
        "Machine", (RepositoryMachine,), {"make_repository": staticmethod(make_repository)}
    )
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=n_examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_any_sequence_with_a_registry_in_a_file(tmp_path: Path) -> None:
    check(tmp_path, lambda: None, 12)


def test_any_sequence_with_a_registry_on_a_server(tmp_path: Path, postgres: PostgresServer) -> None:
    check(tmp_path, lambda: Repository(postgres.create_database()), 6)
