"""Files are there as a whole or not at all, and are what they were when they were written."""

from __future__ import annotations

import errno
import os
import platform
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

from lsstpipe.datastore import Datastore
from lsstpipe.datastore.atomic import create_atomically, write_atomically
from lsstpipe.datastore.chain import ChainedDatastore
from lsstpipe.datastore.stored import Stored, compute_checksum
from lsstpipe.errors import ConflictError, InputFileError, RepositoryError


@pytest.fixture(params=["local", "remote"])
def datastore(request: pytest.FixtureRequest, tmp_path: Path) -> Datastore:
    return Datastore(tmp_path if request.param == "local" else f"memory://{uuid.uuid4()}")


def test_what_is_written_is_read_and_measured(datastore: Datastore) -> None:
    stored = datastore.write("run/type/a.json", b"abc")
    assert stored == Stored("run/type/a.json", 3, compute_checksum(b"abc"))
    assert datastore.read("run/type/a.json", stored.checksum) == b"abc"
    assert datastore.describe("run/type/a.json") == stored
    assert datastore.exists("run/type/a.json")
    assert datastore.verify(stored)


def test_writing_again_replaces(datastore: Datastore) -> None:
    first = datastore.write("a", b"abc")
    second = datastore.write("a", b"xyz")
    assert datastore.read("a") == b"xyz"
    assert datastore.verify(second)
    assert not datastore.verify(first)


def test_what_was_changed_is_noticed(datastore: Datastore) -> None:
    stored = datastore.write("a", b"abc")
    datastore.write("a", b"abd")
    with pytest.raises(InputFileError, match="changed or damaged"):
        datastore.read("a", stored.checksum)
    datastore.write("a", b"ab")
    assert not datastore.verify(stored)


def test_what_is_removed_is_absent(datastore: Datastore) -> None:
    stored = datastore.write("a", b"abc")
    for _ in range(2):
        datastore.remove("a")
        assert not datastore.exists("a")
        assert not datastore.verify(stored)
        with pytest.raises(InputFileError, match="a is not there"):
            datastore.read("a")


def test_what_cannot_be_removed_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(RepositoryError, match="a cannot be removed: Is a directory"):
        Datastore(tmp_path).remove("a")
    with pytest.raises(RepositoryError, match="cannot be removed: File name too long"):
        Datastore(tmp_path).remove("b" * 300)
    (tmp_path / "file").touch()
    Datastore(tmp_path).remove("file/below")  # it is not there


def test_a_file_that_cannot_be_looked_for_is_told(tmp_path: Path) -> None:
    stored = Stored("b" * 300, 3, compute_checksum(b"abc"))
    other = tmp_path / "other"
    for datastore in (Datastore(tmp_path), ChainedDatastore([tmp_path, other])):
        with pytest.raises(InputFileError, match="cannot be read: File name too long"):
            datastore.size(stored.path)
        assert not datastore.verify(stored)
        assert not datastore.holds(stored)


def test_files_elsewhere_are_read_and_never_touched(datastore: Datastore, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.fits"
    elsewhere.write_bytes(b"raw")
    for path in (str(elsewhere), f"file://{elsewhere}"):
        assert datastore.read(path) == b"raw"
        assert datastore.local_path(path) == elsewhere
        with pytest.raises(RepositoryError, match="only read"):
            datastore.write(path, b"other")
        with pytest.raises(RepositoryError, match="only read"):
            datastore.remove(path)
    assert elsewhere.read_bytes() == b"raw"


def test_a_checksum_is_that_of_any_xxh3() -> None:
    # As `xxhsum -H128` prints it; the empty input is a test vector of its authors.
    assert compute_checksum(b"") == "xxh3_128:99aa06d3014798d86001c324468d497f"


def test_a_folder_in_the_place_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(InputFileError, match="a cannot be read: Is a directory"):
        Datastore(tmp_path).read("a")


def test_a_file_without_a_folder_goes_to_where_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_atomically(Path("a.json"), b"1")
    create_atomically(Path("b.json"), b"2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(RepositoryError, match=r"b\.json cannot be written into the folder .*/run"):
        Datastore(tmp_path).write("run/b.json", b"x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_a_full_folder_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, b"old")
    own = f"{platform.node().partition('.')[0]}@{threading.get_native_id()}.{os.getpid()}"
    temporary = tmp_path / f".a.json.{own}.tmp"
    temporary.symlink_to("/dev/full")
    with pytest.raises(RepositoryError, match="No space left on device"):
        write_atomically(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert path.read_bytes() == b"old"


def test_threads_that_write_one_file_at_once_never_show_a_part_of_it(tmp_path: Path) -> None:
    contents = [bytes([letter]) * 300_000 for letter in b"abcd"]
    path = tmp_path / "a"
    write_atomically(path, contents[0])
    failures: list[object] = []

    def write(content: bytes) -> None:
        try:
            for _ in range(25):
                write_atomically(path, content)
                if (found := path.read_bytes()) not in contents:
                    failures.append(len(found))
        except RepositoryError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


WRITE_FOR_EVER = """
import sys
from lsstpipe.datastore import Datastore
datastore = Datastore(sys.argv[1])
print("ready", flush=True)
while True:
    for letter in b"ab":
        datastore.write("run/a", bytes([letter]) * 3_000_000)
"""


def test_a_writer_that_is_killed_leaves_a_whole_file_and_what_sweep_removes(
    tmp_path: Path,
) -> None:
    datastore = Datastore(tmp_path)
    for wait_for in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        # A temporary file is there at this instant, so the kill is in the middle of a write.
        while not list(tmp_path.glob(f"run/.a.*.{writer.pid}.tmp")):
            pass
        assert not [path for path in datastore.sweep() if f".{writer.pid}." in path]
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        if datastore.exists("run/a"):
            content = datastore.read("run/a")
            assert content in (b"a" * 3_000_000, b"b" * 3_000_000), wait_for
    left = sorted(str(path) for path in tmp_path.glob("run/.a.*.tmp"))
    assert datastore.sweep() == left
    assert not list(tmp_path.glob("run/.*"))


def test_temporary_files_of_another_host_are_swept_when_they_are_old(tmp_path: Path) -> None:
    young, old = tmp_path / ".a.b.node-7@12.12.tmp", tmp_path / ".a.b.node-8@12.12.tmp"
    for path in (young, old):
        path.touch()
    os.utime(old, (0, 0))
    assert Datastore(tmp_path).sweep() == [str(old)]
    assert list(tmp_path.iterdir()) == [young]


def test_sweep_leaves_files_that_are_not_its_own(tmp_path: Path) -> None:
    for name in (".a.tmp", "a.1.tmp", ".a.x.tmp", "a"):
        (tmp_path / name).touch()
    assert Datastore(tmp_path).sweep() == []
    assert len(list(tmp_path.iterdir())) == 4


def test_an_object_store_has_nothing_to_sweep() -> None:
    assert Datastore(f"memory://{uuid.uuid4()}").sweep() == []


def test_a_file_is_created_once(datastore: Datastore) -> None:
    stored = datastore.create("run/a", b"abc")
    assert datastore.create("run/a", b"abc") == stored
    with pytest.raises(ConflictError, match="run/a is there already with other content"):
        datastore.create("run/a", b"xyz")
    assert datastore.read("run/a") == b"abc"
    assert datastore.holds(stored)
    assert not datastore.holds(Stored("run/a", 3, compute_checksum(b"xyz")))
    assert [(found.path, found.size) for found in datastore.scan()] == [("run/a", 3)]


def test_parts_of_a_file_are_read(datastore: Datastore) -> None:
    datastore.write("a", b"0123456789")
    assert datastore.read_ranges("a", [(8, 10), (0, 2), (3, 3)]) == [b"89", b"01", b""]
    with pytest.raises(InputFileError, match="b is not there"):
        datastore.read_ranges("b", [(0, 1)])


def test_a_local_datastore_imports_neither_fsspec_nor_boto3(tmp_path: Path) -> None:
    script = """
import sys
from lsstpipe.butler import ProductStore
store = ProductStore(sys.argv[1]).datastore
stored = store.write("a", b"abc")
assert store.read("a", stored.checksum) == b"abc" and store.verify(stored)
assert not {"fsspec", "s3fs", "boto3", "botocore", "aiohttp"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_leaves_the_old_file_and_is_told(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        datastore = Datastore(disk)
        old = datastore.write("run/a", b"old")
        for write in (datastore.write, datastore.create):
            with pytest.raises(RepositoryError, match="No space left on device"):
                write("run/a" if write == datastore.write else "run/b", bytes(2_000_000))
        assert datastore.verify(old)
        assert [found.path for found in datastore.scan()] == ["run/a"]
        assert [path.name for path in (disk / "run").iterdir()] == ["a"]
        datastore.write("run/b", bytes(500_000))
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_quota_leaves_the_old_file_and_is_told(tmp_path: Path) -> None:
    script = """
import resource, signal, sys
from lsstpipe.datastore import Datastore
from lsstpipe.errors import RepositoryError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    Datastore(sys.argv[1]).write("run/a", bytes(200_000))
except RepositoryError as error:
    print(error)
"""
    old = Datastore(tmp_path).write("run/a", b"old")
    told = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "cannot be written into the folder" in told.stdout
    assert "File too large" in told.stdout
    assert Datastore(tmp_path).verify(old)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["a"]


def test_a_disk_without_hard_links_keeps_files_apart_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = []

    def refuse(source: str, target: str) -> None:
        refused.append(target)
        raise PermissionError(errno.EPERM, "Operation not permitted", source, None, target)

    monkeypatch.setattr(os, "link", refuse)  # as FAT does, which no test can mount
    datastore = Datastore(tmp_path)
    stored = datastore.create("a", b"abc")
    assert datastore.create("a", b"abc") == stored
    with pytest.raises(ConflictError, match="other content"):
        datastore.create("a", b"xyz")
    assert refused, "creating a file asks for no hard link, so this test stands for nothing"
    assert (tmp_path / "a").read_bytes() == b"abc"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_of_many_that_create_a_file_at_once_one_succeeds(tmp_path: Path) -> None:
    script = """
import sys, time
from lsstpipe.datastore import Datastore
from lsstpipe.errors import ConflictError
content = sys.argv[2].encode() * 100_000
print("ready", flush=True)
sys.stdin.read()
try:
    Datastore(sys.argv[1]).create("a", content)
except ConflictError:
    sys.exit(3)
"""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), letter],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for letter in "abcd"
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    codes = []
    for writer in writers:
        codes.append(writer.wait())
        assert writer.stdout is not None
        writer.stdout.close()
    assert sorted(codes) == [0, 3, 3, 3]
    assert (tmp_path / "a").read_bytes() == b"abcd"[codes.index(0) :][:1] * 100_000
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
