"""A registry as it lies: versions, damage, many writers, and writers that are killed."""

from __future__ import annotations

import inspect
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from lsstpipe import datasets
from lsstpipe.data_model import DataId, make_ref
from lsstpipe.errors import ConflictError, RepositoryError, TemporaryError
from lsstpipe.registry import sqlite as sqlite_module
from lsstpipe.registry.database import Database
from lsstpipe.registry.dataset_types import register
from lsstpipe.registry.migrations import migrate, read_version
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.registry import Registry
from lsstpipe.registry.schema import SCHEMA_VERSION
from lsstpipe.registry.tables import METADATA, dataset_type, schema_version
from tests.postgres_server import PostgresServer


def make_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'registry.sqlite3'}"


def set_version(url: str, version: int) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.update(schema_version).values(version=version))
    engine.dispose()


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty registry's URL, on each database; the server starts only where it is needed."""
    if request.param == "sqlite":
        return make_url(tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create_database()


def rows_of(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Read every table of a database, whichever lsstpipe made it."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        found = {
            name: sorted((tuple(row) for row in rows), key=str)
            for name in sa.inspect(connection).get_table_names()
            for rows in [connection.execute(sa.text(f"SELECT * FROM {name}"))]
        }
    engine.dispose()
    return found


def test_a_registry_of_a_newer_schema_is_refused_and_untouched(url: str, tmp_path: Path) -> None:
    Registry.create(url).close()
    set_version(url, SCHEMA_VERSION + 1)
    before = rows_of(url), content(tmp_path)
    with pytest.raises(
        RepositoryError, match=rf"schema version {SCHEMA_VERSION + 1}; .* up to {SCHEMA_VERSION},"
    ):
        Registry.open(url)
    with pytest.raises(RepositoryError, match="schema version"):
        Registry.create(url, exist_ok=True)
    assert content(tmp_path) == before[1]
    assert rows_of(url) == before[0]


def test_a_schema_goes_forward_step_by_step_or_not_at_all(url: str) -> None:
    Registry.create(url).close()
    database = Database(url)
    done: list[int] = []

    def fail(connection: sa.Connection) -> None:
        connection.execute(sa.insert(dataset_type), {"id": 99, "name": "x", "dimensions": ""})
        # A step changes tables as well as rows, and both databases take that back.
        connection.exec_driver_sql("ALTER TABLE document RENAME TO old_document")
        raise ZeroDivisionError

    before = rows_of(url)
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        migrate(connection, 1, 3, {1: lambda _: done.append(1), 2: fail})
    assert rows_of(url) == before
    with database.read() as connection:
        assert read_version(connection, "it") == SCHEMA_VERSION
    with database.write() as connection:
        migrate(connection, 1, 3, {1: lambda _: done.append(1), 2: lambda _: done.append(2)})
        assert read_version(connection, "it") == 3
    assert done == [1, 1, 2]
    database.close()


def test_an_absent_registry_is_not_made_by_opening_it(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match=r"no repository at .*lsstpipe init"):
        Registry.open(make_url(tmp_path / "absent"))
    assert not (tmp_path / "absent").exists()


def test_a_registry_is_made_once(tmp_path: Path) -> None:
    url = make_url(tmp_path / "a" / "b")
    Registry.create(url).close()
    with pytest.raises(RepositoryError, match="is a registry already"):
        Registry.create(url)
    Registry.create(url, exist_ok=True).close()


def test_a_file_that_is_no_registry_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite3"
    path.write_bytes(b"SIMPLE  =                    T" * 100)
    before = content(tmp_path)
    with pytest.raises(RepositoryError, match="not a registry"):
        Registry.open(make_url(tmp_path))
    with pytest.raises(RepositoryError, match="not a registry"):
        Registry.create(make_url(tmp_path), exist_ok=True)
    assert content(tmp_path) == before
    path.write_bytes(b"")
    with pytest.raises(RepositoryError, match=rf"{path} has no lsstpipe registry; `lsstpipe init"):
        Registry.open(make_url(tmp_path))


@pytest.mark.parametrize("exist_ok", [False, True])
def test_a_database_of_something_else_is_left_alone(tmp_path: Path, exist_ok: bool) -> None:
    other = sqlite3.connect(tmp_path / "registry.sqlite3")
    other.execute("CREATE TABLE bookmarks (url)")
    other.close()
    before = content(tmp_path)
    with pytest.raises(RepositoryError, match="of something else, with the table 'bookmarks'"):
        Registry.create(make_url(tmp_path), exist_ok=exist_ok)
    assert content(tmp_path) == before


@pytest.mark.parametrize("is_prepared", [False, True])
def test_a_registry_that_was_only_begun_is_made(tmp_path: Path, is_prepared: bool) -> None:
    """What a process leaves that is killed when the file is there and the tables are not."""
    path = tmp_path / "registry.sqlite3"
    path.touch()
    if is_prepared:
        code = "import os, signal, sys; from lsstpipe.registry.database import Database\n"
        code += "Database(sys.argv[1]).prepare(); os.kill(os.getpid(), signal.SIGKILL)"
        killed = subprocess.run([sys.executable, "-c", code, make_url(tmp_path)], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert path.stat().st_size > 0
    Registry.create(make_url(tmp_path), exist_ok=True).close()
    with Registry.open(make_url(tmp_path)) as registry:
        registry.load([summary(1)])


def test_processes_that_make_a_registry_at_once_all_have_it(tmp_path: Path) -> None:
    # They wait for one another, so that they meet where the file is there and the tables are not.
    code = """
import sys
from lsstpipe.butler import Butler
from lsstpipe.registry.registry import Registry
for line in sys.stdin:
    Butler.create(line.strip(), exist_ok=True)
    print("made", flush=True)
"""
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    said = []
    for n in range(10):
        for maker in makers:
            assert maker.stdin is not None
            maker.stdin.write(f"{tmp_path / str(n)}\n")
            maker.stdin.flush()
        said += [maker.stdout.readline() for maker in makers if maker.stdout is not None]
    for maker in makers:
        maker.communicate()
    assert said == ["made\n"] * 40
    assert [maker.returncode for maker in makers] == [0] * 4


def test_a_registry_is_made_although_another_process_has_just_the_lock(tmp_path: Path) -> None:
    """SQLite refuses to share a file that is being written at once, without waiting."""
    other = sqlite3.connect(
        tmp_path / "registry.sqlite3", isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    release.start()
    Registry.create(make_url(tmp_path), exist_ok=True).close()
    release.join()
    other.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RepositoryError, match=r"registry\.sqlite3 cannot be made: Not a directory"):
        Registry.create(make_url(tmp_path / "file" / "below"))


def test_a_registry_that_is_busy_for_too_long_may_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "_LOCK_WAIT_S", 0.05)
    with Registry.create(make_url(tmp_path)) as registry:
        other = sqlite3.connect(tmp_path / "registry.sqlite3", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TemporaryError, match="not free: database is locked"):
            registry.load([summary(1)])
        other.close()
        registry.load([summary(1)])


def test_a_full_database_says_so(tmp_path: Path) -> None:
    url = make_url(tmp_path)
    Registry.create(url).close()

    def fill(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # what there is stays

    sa.event.listen(sa.Engine, "connect", fill)
    try:
        with Registry.open(url) as registry:
            with pytest.raises(RepositoryError, match=r"cannot be written: .* disk is full"):
                registry.load([summary(visit) for visit in range(1000)])
            assert registry.query_datasets() == []
    finally:
        sa.event.remove(sa.Engine, "connect", fill)


def test_a_dataset_type_of_other_dimensions_is_refused() -> None:
    database = Database("sqlite://")
    with database.write() as connection:
        METADATA.create_all(connection)
        connection.execute(
            sa.insert(dataset_type), {"id": 1, "name": "source", "dimensions": "visit"}
        )
        with pytest.raises(ConflictError, match="source has the dimensions 'instrument,visit,det"):
            register(connection, ["source"])


def summary(visit: int, run: str = "run") -> DatasetRecord:
    ref = make_ref(
        datasets.visit_detector_summary, DataId(instrument="st10", visit=visit, detector=0), run
    )
    return DatasetRecord(
        ref.id, ref.dataset_type.name, ref.data_id, run, ref.path, 1, f"blake2b:{visit}"
    )


# Processes of their own import what they need and nothing of pytest: they start in half the time.
PREAMBLE = f"""
import sys, time
import sqlalchemy as sa
from lsstpipe import datasets
from lsstpipe.data_model import DataId, make_ref
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.registry import Registry
{inspect.getsource(summary)}
url = sys.argv[1]
"""

WRITER = """
first = int(sys.argv[2])
with Registry.open(url) as registry:
    for visit in range(first, first + 40):
        registry.load([summary(visit), summary(visit + 1)])
"""

KILLED = """
@sa.event.listens_for(sa.Engine, "connect")
def keep_few_pages_in_memory(connection, _record):
    connection.execute("PRAGMA cache_size = 10")

@sa.event.listens_for(sa.Engine, "after_cursor_execute")
def stop_in_the_middle(_connection, cursor, statement, *_):
    if statement.startswith("INSERT INTO dataset ") and cursor.rowcount > 1000:
        print("in the middle", flush=True)
        time.sleep(60)

with Registry.open(url) as registry:
    registry.load([summary(visit) for visit in range(10)])
    registry.load([summary(visit) for visit in range(5, 3000)])
"""


def test_writers_side_by_side_lose_nothing(tmp_path: Path) -> None:
    url = make_url(tmp_path)
    Registry.create(url).close()
    firsts = (0, 20, 40)  # each writer's visits overlap the next one's
    writers = [
        subprocess.Popen([sys.executable, "-c", PREAMBLE + WRITER, url, str(first)])
        for first in firsts
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    with Registry.open(url) as registry:
        assert registry.query_datasets() == [summary(visit) for visit in range(81)]


def test_a_writer_killed_in_its_transaction_leaves_nothing_of_it(tmp_path: Path) -> None:
    url = make_url(tmp_path)
    Registry.create(url).close()
    writer = subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + KILLED, url],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "in the middle\n"
    assert (tmp_path / "registry.sqlite3-wal").stat().st_size > 100_000
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    with Registry.open(url) as registry:
        assert registry.query_datasets() == [summary(visit) for visit in range(10)]
        registry.load([summary(visit) for visit in range(5, 20)])
        assert registry.query_datasets() == [summary(visit) for visit in range(20)]


def test_a_connection_ages_from_when_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("lsstpipe.registry.database.time.monotonic", lambda: now)
    database = Database(make_url(tmp_path))
    with database.each() as connection:  # opened here, and put back into the pool
        connection.exec_driver_sql("SELECT 1")
    monkeypatch.setattr(Database, "is_server", True)  # only there connections age
    now = 800.0
    with database.connection() as first:
        pass
    now = 899.0
    with database.connection() as second:
        assert second is first
    now = 901.0
    with database.connection() as third:
        assert third is not first
    database.close()
