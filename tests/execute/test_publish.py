"""What is published is in the bucket, tagged, frozen, described; whatever went wrong meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
import small_repository as small

from lsstpipe.butler import Butler, ProductStore
from lsstpipe.data_model import DataId, make_ref
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.datastore import ChainedDatastore, Datastore
from lsstpipe.datastore.cache import ReadCache
from lsstpipe.errors import ConflictError, InputFileError, RepositoryError, TemporaryError
from lsstpipe.execute.fetch import select, take_in
from lsstpipe.execute.index import read_index
from lsstpipe.execute.publish import Publication, plan_publication, publish
from lsstpipe.execute.verify import verify
from tests.fault_proxy import Fault, first
from tests.s3_server import S3Server

TAG = "releases/dp1"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return small.make_repository(tmp_path / "repo")


def release(repo: Path, bucket: str, collection: str = "main") -> Publication:
    with Butler(repo) as butler:
        return publish(butler, collection, f"{bucket}/{TAG}", TAG, jobs=4, advance=lambda _: None)


def check_published(repo: Path, bucket: str, s3: S3Server) -> None:
    """The bucket has the files of the run and an index that names them, and so has the tag."""
    objects = s3.objects(bucket)
    index = json.loads(objects.pop(f"{TAG}/index.json"))
    files = small.files_of(repo)
    assert objects == {f"{TAG}/{path}": content for path, content in files.items()}
    assert {entry["path"] for entry in index["datasets"]} == set(files)
    with Butler(repo) as butler:
        assert {r.path for r in butler.registry.query_datasets(None, "", [TAG])} == set(files)
        frozen = {c.name: c.is_frozen for c in butler.registry.collections()}
    assert frozen["main"]


def test_a_run_is_published(repo: Path, bucket: str, s3: S3Server) -> None:
    done = release(repo, bucket)
    files = small.files_of(repo)
    n_bytes = sum(map(len, files.values()))
    assert done == Publication(f"{bucket}/{TAG}", TAG, 9, n_bytes, 9, n_bytes, 0, done.digest)
    check_published(repo, bucket, s3)
    with Butler(repo, run="main") as butler, pytest.raises(ConflictError, match="frozen"):
        butler.put({"visit": 5}, small.SUMMARY, instrument="st10", visit=5, detector=0)


def test_publishing_again_copies_nothing(repo: Path, bucket: str, s3: S3Server) -> None:
    release(repo, bucket)
    s3.plan.clear()
    assert release(repo, bucket).n_copied == 0
    puts = [path for method, path in s3.plan.requests if method == "PUT"]
    assert [path.rsplit("/", 1)[1] for path in puts] == ["index.json"]
    check_published(repo, bucket, s3)


def test_the_digest_is_that_of_the_content_wherever_and_however_often_it_is_published(
    repo: Path, bucket: str, s3: S3Server, tmp_path: Path
) -> None:
    digest = release(repo, bucket).digest
    assert release(repo, bucket).digest == digest
    elsewhere = [s3.make_bucket(f"bucket-{uuid.uuid4()}") for _ in range(2)]
    assert release(small.make_repository(tmp_path / "same"), elsewhere[0]).digest == digest
    assert release(small.make_repository(tmp_path / "more", 5), elsewhere[1]).digest != digest


def test_a_dry_run_says_what_would_be_done_and_does_nothing(
    repo: Path, bucket: str, s3: S3Server
) -> None:
    before = small.state_of(repo)
    with Butler(repo) as butler:
        planned = plan_publication(butler, "main", f"{bucket}/{TAG}", TAG)
    assert small.state_of(repo) == before
    assert s3.objects(bucket) == {}
    assert planned == release(repo, bucket)


def test_raws_are_left_out_and_counted(repo: Path, bucket: str, s3: S3Server) -> None:
    with Butler(repo) as butler:
        butler.registry.define_chain("all", ["main", "raw"])
    assert release(repo, bucket, "all").n_raws == 4
    check_published(repo, bucket, s3)


def test_other_content_in_the_bucket_is_a_conflict(repo: Path, bucket: str, s3: S3Server) -> None:
    path = f"main/{small.SUMMARY}/{small.SUMMARY}_st10_0_2.json"
    Datastore(f"{bucket}/{TAG}").write(path, b"{}")
    with pytest.raises(ConflictError, match=rf"{path} is there already with other content"):
        release(repo, bucket)
    assert s3.objects(bucket)[f"{TAG}/{path}"] == b"{}"
    with Butler(repo) as butler:
        assert TAG not in {c.name for c in butler.registry.collections()}


def test_a_damaged_file_is_not_published(repo: Path, bucket: str) -> None:
    path = repo / f"main/{small.SUMMARY}/{small.SUMMARY}_st10_0_2.json"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b" ")
    with pytest.raises(InputFileError, match=r"_0_2\.json was changed or damaged"):
        release(repo, bucket)
    with Butler(repo) as butler:
        assert TAG not in {c.name for c in butler.registry.collections()}
    path.write_bytes(content)  # a frozen run may still be mended
    assert release(repo, bucket).n_files == 9


def test_an_absent_file_ends_it_before_anything_is_done(
    repo: Path, bucket: str, s3: S3Server
) -> None:
    (repo / f"main/{small.SUMMARY}/{small.SUMMARY}_st10_0_2.json").unlink()
    before = small.state_of(repo)
    with pytest.raises(InputFileError, match=r"_0_2\.json is absent or was changed"):
        release(repo, bucket)
    assert small.state_of(repo) == before
    assert s3.objects(bucket) == {}


@pytest.mark.parametrize("collection", ["raw", "absent"])
def test_a_collection_without_products_is_refused(repo: Path, bucket: str, collection: str) -> None:
    with pytest.raises((InputFileError, RepositoryError), match=f"'{collection}'"):
        release(repo, bucket, collection)


@pytest.mark.parametrize("fault", ["503", "reset", "lose_answer"])
def test_a_store_that_stumbles_is_no_failure(
    repo: Path, bucket: str, s3: S3Server, fault: Fault
) -> None:
    s3.plan.rule = first(3, fault, "PUT")
    release(repo, bucket)
    s3.plan.clear()
    check_published(repo, bucket, s3)


def test_a_store_that_stays_down_is_one_error_and_no_tag(
    repo: Path, bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    s3.plan.rule = lambda method, path, number: "503" if number > 6 else None
    with pytest.raises(TemporaryError, match="SlowDown in 2 attempts"):
        release(repo, bucket)
    s3.plan.clear()
    with Butler(repo) as butler:
        assert TAG not in {c.name for c in butler.registry.collections()}
    release(repo, bucket)
    check_published(repo, bucket, s3)


PUBLISH = """
import sys
from lsstpipe.cli.main import main
main()
"""


def test_a_publisher_that_is_killed_goes_on_from_there(
    tmp_path: Path, bucket: str, s3: S3Server, rng: np.random.Generator
) -> None:
    repo = small.make_repository(tmp_path / "repo", 12)
    command = [sys.executable, "-c", PUBLISH, "publish", "main", f"{bucket}/{TAG}"]
    command += ["--repo", str(repo), "--jobs", "2"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    n_killed = 0
    for kill in range(3):
        n_before = len(s3.plan.requests)
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        # It has begun to copy, or is at the end already.
        while len(s3.plan.requests) < n_before + 3 and process.poll() is None:
            time.sleep(0.005)
        time.sleep(float(rng.uniform(0.0, 0.1 * kill)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        n_killed += process.returncode == -signal.SIGKILL
        with Butler(repo) as butler:
            names = {c.name for c in butler.registry.collections()}
            tagged = butler.registry.query_datasets(None, "", [TAG]) if TAG in names else []
        objects = s3.objects(bucket)
        assert all(len(objects[f"{TAG}/{record.path}"]) == record.size for record in tagged)
        for path, content in small.files_of(repo).items():
            assert objects.get(f"{TAG}/{path}", content) == content
    assert n_killed > 0
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    check_published(repo, bucket, s3)


def test_a_second_run_joins_the_release(repo: Path, bucket: str) -> None:
    release(repo, bucket)
    with Butler(repo, run="more") as butler:
        butler.put({"visit": 9}, small.SUMMARY, instrument="st10", visit=9, detector=0)
    release(repo, bucket, "more")
    index = read_index(Datastore(f"{bucket}/{TAG}"))
    assert len(index.datasets) == 10
    assert {record.run for record in index.datasets} == {"main", "more"}


def test_another_version_of_a_dataset_does_not_join_the_release(
    repo: Path, bucket: str, s3: S3Server
) -> None:
    release(repo, bucket)
    with Butler(repo, run="better") as butler:
        butler.put({"visit": 2.5}, small.SUMMARY, instrument="st10", visit=2, detector=0)
    objects = s3.objects(bucket)
    with pytest.raises(ConflictError, match="from run 'main' already; publish that of run 'bett"):
        release(repo, bucket, "better")
    assert s3.objects(bucket) == objects
    with Butler(repo) as butler:
        assert not {c.name: c.is_frozen for c in butler.registry.collections()}["better"]


def test_what_was_published_verifies_and_damage_is_found(
    repo: Path, bucket: str, s3: S3Server
) -> None:
    release(repo, bucket)
    store = Datastore(f"{bucket}/{TAG}")
    with Butler(repo) as butler:
        records = butler.registry.query_datasets(None, "", [TAG])

    def damages(quick: bool) -> list[tuple[str, str]]:
        found = verify(store, records, jobs=4, quick=quick, advance=lambda _: None)
        return [(damage.record.path, damage.fault) for damage in found]

    assert damages(quick=False) == damages(quick=True) == []
    by_type = {record.dataset_type: record.path for record in records}
    name = bucket.removeprefix("s3://")
    metrics, image, summary = (by_type[t] for t in ("metrics", "visit_image", small.SUMMARY))
    store.remove(metrics)
    store.write(image, b"short")
    whole = store.read(summary)
    kept = s3.client.head_object(Bucket=name, Key=f"{TAG}/{summary}")["Metadata"]
    s3.client.put_object(Bucket=name, Key=f"{TAG}/{summary}", Body=b" " + whole[1:], Metadata=kept)
    expected = [(metrics, "absent"), (summary, "checksum"), (image, "size")]
    assert damages(quick=False) == sorted(expected)
    assert damages(quick=True) == sorted(expected[:1] + expected[2:])  # the bytes are not read


def test_what_was_published_is_fetched_by_a_condition(
    repo: Path, bucket: str, tmp_path: Path
) -> None:
    release(repo, bucket)
    source = Datastore(f"{bucket}/{TAG}")
    index = read_index(source)
    assert len(select(index, "")) == 9
    wanted = select(index, "type = 'visit_image' AND band = 'r'")
    assert [record.data_id["visit"] for record in wanted] == [1, 3]
    mine = tmp_path / "mine"
    Butler.create(mine)
    with Butler(mine) as butler:
        done = take_in(butler, source, index, wanted, jobs=2, advance=lambda _: None)
    assert done.n_copied == 2
    theirs = small.files_of(repo)
    assert small.files_of(mine) == {record.path: theirs[record.path] for record in wanted}
    with Butler(mine, [TAG]) as butler:
        assert butler.query() == wanted
        quanta = butler.registry.provenance(wanted[0].id).quanta.values()
        assert [quantum.task for quantum in quanta] == ["calibrate"]
        image = butler.get("visit_image", instrument="st10", visit=3, detector=0)
    assert image.image.max() == 3.0
    with Butler(mine) as butler:
        rest = take_in(butler, source, index, index.datasets, jobs=2, advance=lambda _: None)
    assert rest.n_copied == 7
    assert small.files_of(mine) == theirs
    with Butler(repo, [TAG]) as butler, Butler(mine, [TAG]) as other:
        assert butler.query() == other.query()


def test_a_fetched_file_that_was_damaged_is_fetched_again(
    repo: Path, bucket: str, tmp_path: Path
) -> None:
    release(repo, bucket)
    source = Datastore(f"{bucket}/{TAG}")
    index = read_index(source)
    Butler.create(tmp_path / "mine")
    for damage in (b"", None):
        with Butler(tmp_path / "mine") as butler:
            take_in(butler, source, index, index.datasets, jobs=2, advance=lambda _: None)
        path = tmp_path / "mine" / index.datasets[0].path
        path.unlink() if damage is None else path.write_bytes(damage)
    with Butler(tmp_path / "mine") as butler:
        done = take_in(butler, source, index, index.datasets, jobs=2, advance=lambda _: None)
    assert done.n_copied == 1
    assert small.files_of(tmp_path / "mine") == small.files_of(repo)


@pytest.mark.parametrize("fault", ["500", "truncate", "damage", "reset"])
def test_a_fetch_from_a_store_that_stumbles_brings_the_right_bytes(
    repo: Path, bucket: str, s3: S3Server, tmp_path: Path, fault: Fault
) -> None:
    release(repo, bucket)
    source = Datastore(f"{bucket}/{TAG}")
    index = read_index(source)
    Butler.create(tmp_path / "mine")
    s3.plan.rule = first(5, fault, "GET")
    with Butler(tmp_path / "mine") as butler:
        take_in(butler, source, index, index.datasets, jobs=2, advance=lambda _: None)
    assert small.files_of(tmp_path / "mine") == small.files_of(repo)


def test_a_release_is_read_through_a_chain_with_a_cache(
    repo: Path, bucket: str, s3: S3Server, tmp_path: Path
) -> None:
    release(repo, bucket)
    objects = s3.objects(bucket)
    records = read_index(Datastore(f"{bucket}/{TAG}")).datasets
    cache = ReadCache(tmp_path / "cache", 10_000_000)
    store = ProductStore(ChainedDatastore([tmp_path / "own", f"{bucket}/{TAG}"], cache=cache))
    theirs = ProductStore(repo)
    s3.plan.clear()
    for n_requests in (len(records), 0):
        values = [store.read(record) for record in records if record.dataset_type != "visit_image"]
        assert values == [
            theirs.read(record) for record in records if record.dataset_type != "visit_image"
        ]
        images = [store.read(record) for record in records if record.dataset_type == "visit_image"]
        assert sorted(float(image.image[0, 0]) for image in images) == [1.0, 2.0, 3.0, 4.0]
        assert [method for method, _ in s3.plan.requests].count("GET") == n_requests
        s3.plan.clear()
    mine = make_ref(DATASET_TYPES["metrics"], DataId(), "main")
    store.write(mine, {"mine": True})
    assert store.read(mine) == {"mine": True}
    assert (tmp_path / "own" / mine.path).exists()
    assert s3.objects(bucket) == objects
