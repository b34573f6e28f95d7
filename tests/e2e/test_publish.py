"""A campaign whose workflow ends in a bucket, at moto's server."""

from __future__ import annotations

import json

import pytest
from small_campaign import Project

from tests.s3_server import S3Server

pytestmark = pytest.mark.xdist_group("e2e")


@pytest.fixture
def store(bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket in the environment, of a server that is soon given up."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    return bucket


@pytest.fixture
def publishing(store: str, finished: Project) -> Project:
    """The finished campaign, made after its environment, which shall be published too."""
    finished.write(publish=f"{store}/releases/dp1")
    return finished


def test_the_workflow_publishes_goes_on_after_a_failure_and_is_done_when_it_is_done(
    publishing: Project, store: str, s3: S3Server
) -> None:
    before, record = publishing.quanta(), publishing.repo / "published.json"
    # The store goes away in the middle.
    s3.plan.rule = lambda method, path, number: "503" if number > 40 else None
    process = publishing.start("publish")
    assert process.wait() == 1
    s3.plan.clear()
    n_there = len(s3.objects(store))
    assert n_there > 0
    assert not record.exists()

    publishing.snakemake()
    files = {
        str(path.relative_to(publishing.repo)): path.read_bytes()
        for path in (publishing.repo / "small").rglob("*")
        if path.is_file()
    }
    objects = s3.objects(store)
    index = json.loads(objects.pop("releases/dp1/index.json"))
    assert objects == {f"releases/dp1/{path}": content for path, content in files.items()}
    assert n_there < len(files), "the first time it did not come to its end"
    assert {entry["path"] for entry in index["datasets"]} == set(files)
    noted = json.loads(record.read_bytes())
    assert (noted["target"], noted["collection"]) == (f"{store}/releases/dp1", "small")
    assert (noted["n_files"], noted["n_bytes"]) == (len(files), sum(map(len, files.values())))

    s3.plan.clear()
    assert "Nothing to be done" in publishing.snakemake()
    assert s3.plan.requests == [], "nobody asked the bucket for anything"
    assert publishing.quanta() == before, "where it is published makes nothing run again"
    assert publishing.status()["plan_is_current"]
