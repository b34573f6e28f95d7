"""A chain reads from the first root that has a file and writes into the first."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from lsstpipe.datastore import ChainedDatastore, Datastore
from lsstpipe.errors import InputFileError, RepositoryError


@pytest.fixture
def release() -> Datastore:
    """A remote datastore with two files."""
    store = Datastore(f"memory://{uuid.uuid4()}")
    store.write("a", b"a of the release")
    store.write("b", b"b of the release")
    return store


def test_the_first_that_has_a_file_is_read(tmp_path: Path, release: Datastore) -> None:
    chain = ChainedDatastore([tmp_path / "own", release.root])
    assert chain.read("a") == b"a of the release"
    assert chain.resolve("a") == f"{release.root}/a"
    assert chain.local_path("a") is None
    stored = chain.write("a", b"my a")
    assert chain.read("a", stored.checksum) == b"my a"
    assert chain.verify(stored)
    assert chain.local_path("a") == tmp_path / "own" / "a"
    assert chain.read("b") == b"b of the release"
    with pytest.raises(InputFileError, match="own/c is not there"):
        chain.read("c")


def test_only_the_first_is_written(tmp_path: Path, release: Datastore) -> None:
    chain = ChainedDatastore([tmp_path, release.root])
    chain.write("c", b"c")
    assert not release.exists("c")
    chain.remove("b")
    assert release.read("b") == b"b of the release"
    assert chain.exists("b")
    assert [found.path for found in chain.scan()] == ["c"]


def test_write_through_writes_into_all(tmp_path: Path, release: Datastore) -> None:
    chain = ChainedDatastore([tmp_path, release.root], write_through=True)
    chain.write("a", b"new")
    assert (tmp_path / "a").read_bytes() == release.read("a") == b"new"


def test_files_elsewhere_are_only_read(tmp_path: Path, release: Datastore) -> None:
    (tmp_path / "raw.fits").write_bytes(b"raw")
    chain = ChainedDatastore([tmp_path / "own", release.root])
    assert chain.read(f"{tmp_path}/raw.fits") == b"raw"
    with pytest.raises(RepositoryError, match="only read"):
        chain.write(f"{tmp_path}/raw.fits", b"other")
