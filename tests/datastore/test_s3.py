"""Objects of S3: whole or absent, never silently another; patient with a store that stumbles."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from botocore.compat import HAS_CRT
from moto.core import enable_iam_authentication

from lsstpipe.butler import ProductStore
from lsstpipe.data_model import DataId, make_ref
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.datastore import Datastore, Stored
from lsstpipe.datastore.cache import ReadCache
from lsstpipe.datastore.s3 import PART_BYTES, S3Files
from lsstpipe.datastore.stored import compute_checksum
from lsstpipe.errors import (
    ConfigError,
    ConflictError,
    InputFileError,
    RepositoryError,
    TemporaryError,
)
from lsstpipe.geometry.box import Box
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane
from tests.fault_proxy import DELAY_S, Fault, first
from tests.s3_server import SECRET, S3Server

LARGE = bytes(range(256)) * ((2 * PART_BYTES + 1000) // 256)
PASSING: list[Fault] = ["500", "503", "reset", "lose_answer", "truncate", "damage"]


@pytest.fixture
def store(bucket: str) -> Datastore:
    return Datastore(f"{bucket}/products")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few attempts, so that a test of giving up is quick."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")


def test_what_is_written_is_read_measured_and_found(
    s3: S3Server, bucket: str, store: Datastore
) -> None:
    stored = store.write("run/type/a.json", b"abc")
    assert s3.objects(bucket) == {"products/run/type/a.json": b"abc"}
    assert store.read("run/type/a.json", stored.checksum) == b"abc"
    assert store.holds(stored)
    assert store.verify(stored)
    assert [(f.path, f.size) for f in store.scan()] == [("run/type/a.json", 3)]
    assert abs(next(store.scan()).modified_s - time.time()) < 60
    assert store.read_ranges("run/type/a.json", [(0, 1), (1, 3)]) == [b"a", b"bc"]
    store.remove("run/type/a.json")
    store.remove("run/type/a.json")
    assert not store.exists("run/type/a.json")
    with pytest.raises(InputFileError, match=r"a\.json is not there"):
        store.read("run/type/a.json")


def test_a_retry_succeeds_and_other_content_is_a_conflict(store: Datastore) -> None:
    first_time = store.create("a", b"abc")
    assert store.create("a", b"abc") == first_time
    with pytest.raises(ConflictError, match="products/a is there already with other content"):
        store.create("a", b"abd")
    assert store.read("a") == b"abc"
    store.write("a", b"abd")
    assert store.read("a") == b"abd"


def test_of_many_writers_with_other_contents_one_succeeds(store: Datastore) -> None:
    def write(number: int) -> bool:
        try:
            store.create("a", bytes([number]) * 1000)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))
    assert sum(won) == 1
    assert store.read("a") == bytes([won.index(True)]) * 1000


def test_an_object_that_others_wrote_is_compared_by_its_bytes(
    s3: S3Server, bucket: str, store: Datastore
) -> None:
    s3.client.put_object(Bucket=bucket.removeprefix("s3://"), Key="products/a", Body=b"abc")
    store.create("a", b"abc")
    with pytest.raises(ConflictError):
        store.create("a", b"xyz")


def test_a_large_file_goes_in_parts_at_the_same_time(s3: S3Server, store: Datastore) -> None:
    stored = store.create("large", LARGE)
    parts = [path for method, path in s3.plan.requests if "partNumber" in path and method == "PUT"]
    assert len(parts) == 3
    s3.plan.clear()
    assert store.read("large", stored.checksum) == LARGE
    assert [method for method, _ in s3.plan.requests].count("GET") == 3
    s3.plan.clear()
    store.create("large", LARGE)
    assert [method for method, _ in s3.plan.requests] == ["HEAD"]


def test_a_large_file_does_not_replace_another(s3: S3Server, bucket: str, store: Datastore) -> None:
    store.create("large", b"small")
    with pytest.raises(ConflictError):
        store.create("large", LARGE)
    assert store.read("large") == b"small"
    assert s3.unfinished_uploads(bucket) == 0


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_tried_again(s3: S3Server, store: Datastore, fault: Fault) -> None:
    s3.plan.rule = first(1, fault, "PUT")
    stored = store.create("a", b"abc" * 1000)
    s3.plan.rule = first(2, fault, "GET")
    assert store.read("a", stored.checksum) == b"abc" * 1000


def test_two_conditional_writes_that_meet_are_tried_again(s3: S3Server, store: Datastore) -> None:
    s3.plan.rule = first(2, "409", "PUT")
    store.create("a", b"abc")
    assert store.read("a") == b"abc"
    assert [method for method, _ in s3.plan.requests].count("PUT") == 3


def test_a_part_that_was_damaged_on_its_way_is_fetched_again(
    s3: S3Server, store: Datastore
) -> None:
    stored = store.create("large", LARGE)
    s3.plan.rule = first(1, "damage", "GET")
    assert store.read("large", stored.checksum) == LARGE
    s3.plan.rule = first(1000, "damage", "GET")
    with pytest.raises(InputFileError, match="was changed or damaged"):
        store.read("large", stored.checksum)


def test_a_part_that_fails_is_sent_again_alone(s3: S3Server, store: Datastore) -> None:
    s3.plan.rule = first(1, "503", "PUT", "partNumber=2")
    store.create("large", LARGE)
    sent = [path for method, path in s3.plan.requests if method == "PUT"]
    assert len(sent) == 4
    assert store.read("large") == LARGE


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("fault", ["500", "503", "reset", "409"])
def test_a_write_that_never_succeeds_is_one_sentence_and_leaves_nothing(
    s3: S3Server, bucket: str, store: Datastore, fault: Fault
) -> None:
    s3.plan.rule = first(1000, fault, "PUT")
    for content in (b"abc", LARGE):
        with pytest.raises(
            TemporaryError, match=r"a cannot be written: \w+ in 2 attempts; try"
        ) as e:
            store.create("a", content)
        assert SECRET not in str(e.value)
        assert e.value.exit_code == 75
    assert s3.objects(bucket) == {}
    assert s3.unfinished_uploads(bucket) == 0


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("fault", ["500", "503", "reset", "truncate"])
def test_a_read_that_never_succeeds_is_one_sentence(
    s3: S3Server, store: Datastore, fault: Fault
) -> None:
    store.create("a", b"abc" * 1000)
    s3.plan.rule = first(1000, fault)
    calls: list[Callable[[], object]] = [
        lambda: store.read("a"),
        lambda: store.read_ranges("a", [(0, 10), (20, 3000)]),
    ]
    for call in calls:
        with pytest.raises(TemporaryError, match=r"a cannot be read: \w+ in 2 attempts; try again"):
            call()


def test_an_answer_that_takes_too_long_is_asked_for_again(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lsstpipe.datastore.files._S3", S3Files(read_timeout_s=DELAY_S / 3))
    store = Datastore(bucket)
    s3.plan.rule = first(1, "delay", "PUT")
    store.create("a", b"abc")
    s3.plan.rule = first(1, "delay", "GET")
    assert store.read("a") == b"abc"


def test_what_was_damaged_in_the_store_is_noticed(
    s3: S3Server, bucket: str, store: Datastore
) -> None:
    stored = store.create("a", b"abc")
    s3.client.put_object(
        Bucket=bucket.removeprefix("s3://"), Key="products/a", Body=b"abd",
        Metadata={"checksum": stored.checksum},
    )  # fmt: skip
    assert not store.verify(stored)
    with pytest.raises(InputFileError, match="changed or damaged"):
        store.read("a", stored.checksum)
    assert not store.holds(Stored("a", 2, stored.checksum))
    assert not store.holds(Stored("a", 3, compute_checksum(b"xyz")))


def test_a_bucket_that_is_absent_is_named(s3: S3Server) -> None:
    for call in (lambda s: s.write("a", b"x"), lambda s: s.read("a")):
        with pytest.raises(RepositoryError, match="There is no bucket 'absent-bucket'"):
            call(Datastore("s3://absent-bucket/prefix"))


def test_without_credentials_one_sentence_says_so(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setattr("lsstpipe.datastore.files._S3", S3Files(read_timeout_s=7.0))
    with pytest.raises(RepositoryError, match="there are no credentials of AWS"):
        Datastore(bucket).write("a", b"x")


def test_wrong_credentials_are_refused_and_no_secret_is_told(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lsstpipe.datastore.files._S3", S3Files(read_timeout_s=8.0))
    store = Datastore(bucket)
    # moto, which runs in a thread of this process, knows no users, so no key is right.
    with enable_iam_authentication():
        for call in (lambda: store.write("a", b"x"), lambda: store.read("a")):
            with pytest.raises(RepositoryError, match="access is refused") as error:
                call()
            assert SECRET not in str(error.value)
            assert "AKIA" not in str(error.value)
    assert s3.objects(bucket) == {}


def test_a_clock_that_is_wrong_is_named_at_once(
    s3: S3Server, bucket: str, store: Datastore
) -> None:
    stored = store.create("a", b"abc")
    s3.plan.clear()
    s3.plan.rule = first(1000, "skewed")
    calls: list[Callable[[], object]] = [
        lambda: store.write("a", b"x"),
        lambda: store.create("b", b"x"),
        lambda: store.read("a"),
        lambda: store.read_ranges("a", [(0, 1)]),
        lambda: store.exists("a"),  # to HEAD, S3 gives no code, but its own time
        lambda: store.holds(stored),
        lambda: store.remove("a"),
        lambda: list(store.scan()),
    ]
    for n_asked, call in enumerate(calls, 1):
        with pytest.raises(RepositoryError, match=r"clock of this machine is 60 min behind") as e:
            call()
        assert "credentials" not in str(e.value)
        assert len(s3.plan.requests) == n_asked  # it is not asked again
    s3.plan.clear()
    assert s3.objects(bucket) == {"products/a": b"abc"}


def test_a_datastore_keeps_copies_of_remote_files_that_are_checked(
    s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    store = Datastore(bucket, ReadCache(tmp_path, 1000))
    stored = store.write("a", b"abc")
    for _ in range(3):
        assert store.read("a", stored.checksum) == b"abc"
    assert [method for method, _ in s3.plan.requests].count("GET") == 1
    store.write("a", b"xyz")
    assert store.read("a") == b"xyz"
    assert store.read("a", compute_checksum(b"xyz")) == b"xyz"


def test_a_cutout_reads_a_small_part_of_an_object(s3: S3Server, bucket: str) -> None:
    rng = np.random.default_rng(3)
    shape = (1500, 1000)
    planes = [rng.normal(size=shape).astype(np.float32) for _ in range(2)]
    mask = np.where(rng.random(shape) < 0.01, int(MaskPlane.CR), 0).astype(np.int32)
    whole = Exposure(planes[0], mask, planes[1], Box(y0=10, x0=20, ny=1500, nx=1000), "nJy")
    store = ProductStore(bucket)
    ref = make_ref(DATASET_TYPES["visit_image"], DataId(instrument="a", visit=1, detector=0), "r")
    record = store.write(ref, whole)
    s3.plan.clear()
    box = Box(y0=700, x0=500, ny=30, nx=40)
    part = store.read_cutout(record, box)
    assert s3.plan.bytes_sent < 0.05 * record.size
    where = box.slices_in(whole.box)
    for plane in ("image", "mask", "variance"):
        np.testing.assert_array_equal(getattr(part, plane), getattr(whole, plane)[where])
    assert store.read_cutout(ref, box).box == box
    store.remove(ref)
    for dataset in (ref, record):
        with pytest.raises(InputFileError, match="is not there"):
            store.read_cutout(dataset, box)


def test_prefixes_and_names_do_not_run_into_each_other(bucket: str) -> None:
    dp1, dp10 = Datastore(f"{bucket}/releases/dp1"), Datastore(f"{bucket}/releases/dp10")
    names = [
        "u/me/try 2/a+b.json",
        "run/\u00e9t\u00e9/100%.json",
        "run/a?b#c.json",
        "run/[x]*.json",
    ]
    for name in names:
        stored = dp1.create(name, name.encode())
        assert dp1.holds(stored)
        assert dp1.read(name) == name.encode()
        assert dp1.read_ranges(name, [(1, 3)]) == [name.encode()[1:3]]
    dp10.create("b", b"b")
    assert sorted(found.path for found in dp1.scan()) == sorted(names)
    assert [found.path for found in dp10.scan()] == ["b"]
    assert list(Datastore(f"{bucket}/releases/dp").scan()) == []
    for name in names:
        dp1.remove(name)
    assert list(dp1.scan()) == []


@pytest.mark.parametrize("given", ["", "0", "-1", "many"])
def test_a_number_of_attempts_that_is_none_is_refused(
    bucket: str, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", given)
    with pytest.raises(ConfigError, match=f"AWS_MAX_ATTEMPTS must be .* got '{given}'"):
        Datastore(bucket).read("a")


def test_s3_checks_what_is_sent(s3: S3Server, bucket: str) -> None:
    Datastore(bucket).create("a", b"123456789")
    found = s3.client.head_object(
        Bucket=bucket.removeprefix("s3://"), Key="a", ChecksumMode="ENABLED"
    )
    # The check values of the catalogue of CRCs: 0xAE8B14860A799888 and 0xCBF43926.
    name, value = ("CRC64NVME", "rosUhgp5mIg=") if HAS_CRT else ("CRC32", "y/Q5Jg==")
    assert found[f"Checksum{name}"] == value
