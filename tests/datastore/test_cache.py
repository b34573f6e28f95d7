"""The cache gives the right bytes whatever happens to it, and keeps within its size."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsstpipe.datastore import Datastore
from lsstpipe.datastore.cache import ReadCache
from lsstpipe.datastore.stored import compute_checksum
from lsstpipe.errors import InputFileError


class Origin:
    """Files by number, that count how often each is fetched."""

    def __init__(self, contents: list[bytes]) -> None:
        self.contents = contents
        self.fetched: list[int] = []

    def read(self, cache: ReadCache, number: int) -> bytes:
        checksum = compute_checksum(self.contents[number])
        if (copy := cache.find(checksum)) is not None:
            return copy
        self.fetched.append(number)
        cache.keep(checksum, self.contents[number])
        return self.contents[number]


def held(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}


def test_a_file_is_fetched_once(tmp_path: Path) -> None:
    origin = Origin([b"a", b"b"])
    cache = ReadCache(tmp_path / "cache", 100)
    for _ in range(3):
        assert [origin.read(cache, 0), origin.read(cache, 1)] == [b"a", b"b"]
    assert origin.fetched == [0, 1]


def test_who_was_not_read_for_longest_goes_first(tmp_path: Path) -> None:
    origin = Origin([b"aaaa", b"bbbb", b"cccc"])
    cache = ReadCache(tmp_path, 8)
    for number in (0, 1, 0, 2):
        origin.read(cache, number)
    assert sorted(held(tmp_path).values()) == [b"aaaa", b"cccc"]
    origin.read(cache, 0)
    assert origin.fetched == [0, 1, 2]


def test_a_file_larger_than_the_cache_is_given_and_not_kept(tmp_path: Path) -> None:
    origin = Origin([b"a" * 10, b"b" * 100])
    cache = ReadCache(tmp_path, 50)
    assert origin.read(cache, 0) == b"a" * 10
    assert origin.read(cache, 1) == b"b" * 100
    assert list(held(tmp_path).values()) == [b"a" * 10]


@pytest.mark.parametrize("damage", [b"", b"aa", b"ab" * 50, b"a" * 99])
def test_a_damaged_copy_is_fetched_anew(tmp_path: Path, damage: bytes) -> None:
    origin = Origin([b"a" * 100])
    cache = ReadCache(tmp_path, 1000)
    origin.read(cache, 0)
    (name,) = held(tmp_path)
    (tmp_path / name).write_bytes(damage)
    assert origin.read(cache, 0) == b"a" * 100
    assert held(tmp_path) == {name: b"a" * 100}
    assert origin.fetched == [0, 0]


def test_a_cache_in_the_place_of_a_file_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert Origin([b"a"]).read(ReadCache(tmp_path / "file", 100), 0) == b"a"


CONTENTS = [bytes([n]) * (n * 7 % 40) for n in range(12)]


@given(
    limit=st.integers(0, 120),
    steps=st.lists(
        st.tuples(st.integers(0, len(CONTENTS) - 1), st.sampled_from(["", "cut", "flip", "drop"])),
        max_size=40,
    ),
)
def test_any_reads_and_damages_give_the_right_bytes_within_the_limit(
    limit: int, steps: list[tuple[int, str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache = ReadCache(folder, limit)
        origin = Origin(CONTENTS)
        for number, damage in steps:
            assert origin.read(cache, number) == CONTENTS[number]
            copies = held(Path(folder))
            assert sum(map(len, copies.values())) <= limit
            assert all(name == compute_checksum(c).replace(":", "-") for name, c in copies.items())
            if len(CONTENTS[number]) <= limit:
                assert CONTENTS[number] in copies.values()  # what was read last is never thrown out
            copy = Path(folder) / compute_checksum(CONTENTS[number]).replace(":", "-")
            if damage and copy.exists():
                whole = copy.read_bytes()
                changed = {"cut": whole[:-1], "flip": whole[:-1] + b"\xff", "drop": None}[damage]
                copy.unlink() if changed is None else copy.write_bytes(changed)
                origin.read(cache, number)  # mends it


READ_MANY = """
import os, sys
import numpy as np
from lsstpipe.datastore.cache import ReadCache
from lsstpipe.datastore.stored import compute_checksum
folder, seed = sys.argv[1], int(sys.argv[2])
cache, most = ReadCache(folder, 3000), 0
for number in np.random.default_rng(seed).integers(0, 20, 300).tolist():
    content = bytes([number]) * 500
    assert cache.find(compute_checksum(content)) in (content, None)
    cache.keep(compute_checksum(content), content)
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".")]
    most = max(most, 500 * len(names))
print(most)
"""


def test_processes_that_share_a_cache_do_not_disturb_each_other(tmp_path: Path) -> None:
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READ_MANY, str(tmp_path), str(seed)], stdout=subprocess.PIPE
        )
        for seed in range(4)
    ]
    most = [int(reader.communicate()[0]) for reader in readers]
    assert [reader.returncode for reader in readers] == [0] * 4
    # A listing is no snapshot: it may show a copy that goes and the one that takes its place.
    assert max(most) <= 3000 + 4 * 500
    assert 500 < sum(map(len, held(tmp_path).values())) <= 3000


READ_FOR_EVER = """
import sys
from lsstpipe.datastore.cache import ReadCache
from lsstpipe.datastore.stored import compute_checksum
cache = ReadCache(sys.argv[1], 20_000_000)
print("ready", flush=True)
while True:
    for number in range(5):
        content = bytes([number]) * 9_000_000
        assert cache.find(compute_checksum(content)) in (content, None)
        cache.keep(compute_checksum(content), content)
"""


def test_a_kill_leaves_a_cache_that_works(tmp_path: Path) -> None:
    half_written = 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", READ_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        while not (tmp_path / ".new").exists():
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        half_written += (tmp_path / ".new").exists()
        origin = Origin([bytes([number]) * 9_000_000 for number in range(5)])
        cache = ReadCache(tmp_path, 20_000_000)
        for number in range(5):
            assert origin.read(cache, number) == origin.contents[number]
        assert not (tmp_path / ".new").exists()
        assert sum(map(len, held(tmp_path).values())) <= 20_000_000
    assert half_written > 0


def test_what_does_not_have_its_checksum_is_not_kept(tmp_path: Path) -> None:
    store = Datastore(f"memory://{uuid.uuid4()}", ReadCache(tmp_path, 1000))
    store.write("a", b"abc")
    with pytest.raises(InputFileError, match="changed or damaged"):
        store.read("a", compute_checksum(b"xyz"))
    assert held(tmp_path) == {}
