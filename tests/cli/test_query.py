"""``lsstpipe query`` lists datasets and draws where they came from."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from lsstpipe.butler import Butler
from lsstpipe.cli.query import command
from lsstpipe.data_model import DataId, make_id
from lsstpipe.errors import UserError
from lsstpipe.registry.provenance import Document
from lsstpipe.registry.records import DatasetRecord, QuantumRecord

SUMMARY = "visit_detector_summary"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    Butler.create(tmp_path)
    with Butler(tmp_path, run="run") as butler:
        for visit in (1, 2, 3):
            butler.put({"visit": visit}, SUMMARY, instrument="st10", visit=visit, detector=0)
    return tmp_path


def invoke(*arguments: str | Path) -> Result:
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(command, words, catch_exceptions=False, env={"COLUMNS": "200"})


def find(repository: Path, visit: int) -> DatasetRecord:
    with Butler(repository, ["run"]) as butler:
        record = butler.find(SUMMARY, instrument="st10", visit=visit, detector=0)
    assert record is not None
    return record


def test_json_has_what_was_asked_for(repository: Path) -> None:
    result = invoke(SUMMARY, "--repo", repository, "--where", "visit IN (2..9)", "--json")
    found = json.loads(result.output)
    assert [item["data_id"]["visit"] for item in found] == [2, 3]
    record = find(repository, 2)
    assert (found[0]["id"], found[0]["checksum"]) == (str(record.id), record.checksum)


def test_a_file_has_what_was_asked_for_as_a_table(repository: Path, tmp_path: Path) -> None:
    target = tmp_path / "found.parquet"
    result = invoke(SUMMARY, "--repo", repository, "--where", "visit >= 2", "--to", target)
    assert result.output == f"2 datasets are in {target}.\n"
    result = invoke(
        SUMMARY, "--repo", repository, "--where", "visit >= 2", "--to", target, "--json"
    )
    assert json.loads(result.output) == {"path": str(target), "n": 2}
    found = pq.read_table(target).to_pylist()
    assert [(row["visit"], row["detector"], row["patch"]) for row in found] == [
        (2, 0, None), (3, 0, None),
    ]  # fmt: skip
    assert found[0]["id"] == str(find(repository, 2).id)


def test_brackets_are_shown_as_they_are(repository: Path) -> None:
    data_id = DataId(instrument="st10", visit=9, detector=0)
    key, run, path = make_id("odd", SUMMARY, str(data_id)), "old [red] [/x]", "/raws/[/old]/9.json"
    with Butler(repository) as butler:
        record = DatasetRecord(key, SUMMARY, data_id, run, path, 1, "x:0")
        butler.registry.load([record])
    assert run in invoke("--repo", repository).output
    assert path in invoke("--repo", repository, "--provenance", str(key)).output


def test_the_table_shows_whole_ids(repository: Path) -> None:
    result = invoke("--repo", repository)
    assert "3 datasets" in result.output
    for visit in (1, 2, 3):
        assert str(find(repository, visit).id) in result.output


def test_the_repository_may_come_from_the_environment(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSSTPIPE_REPO", str(repository))
    assert len(json.loads(invoke("--json").output)) == 3


def record_quanta(repository: Path) -> DatasetRecord:
    """Say that summary 2 was made of summary 1, that in memory, and that of nothing."""
    data_id = DataId(instrument="st10", visit=2, detector=0)
    in_memory = make_id("run", "post_isr_image", str(data_id))
    first, last = (make_id("run", task, str(data_id)) for task in ("isr", "calibrate"))
    quanta = [
        QuantumRecord(
            first, "run", "visit", "isr", "v2", data_id, "done", config_digest="c0ffee",
            code_version="1.2.3", environment="e1", inputs=(find(repository, 1).id,),
            outputs=(in_memory,),
        ),
        QuantumRecord(
            last, "run", "visit", "calibrate", "v2", data_id, "done",
            inputs=(in_memory, find(repository, 1).id), outputs=(find(repository, 2).id,),
        ),
    ]  # fmt: skip
    with Butler(repository, run="run") as butler:
        butler.registry.load([], quanta)
        butler.registry.insert_documents({"c0ffee": Document("config", "sigma: 5")})
    return find(repository, 2)


def test_provenance_is_drawn_from_the_product_to_its_origins(repository: Path) -> None:
    product = record_quanta(repository)
    lines = invoke("--repo", repository, "--provenance", product.id).output.splitlines()
    assert SUMMARY in lines[0]
    assert "visit calibrate" in lines[1]
    text = "\n".join(lines)
    assert "handed over in memory" in text
    assert "visit isr done, attempt 1, 0.00 s, lsstpipe 1.2.3, config c0ffee, env" in text
    assert text.index("calibrate") < text.index("isr done")
    assert text.count(find(repository, 1).path) == 2


def test_provenance_as_json_has_the_configuration(repository: Path) -> None:
    product = record_quanta(repository)
    graph = json.loads(invoke("--repo", repository, "--provenance", product.id, "--json").output)
    assert graph["origins"] == [str(find(repository, 1).id)]
    assert graph["documents"] == {"c0ffee": {"kind": "config", "text": "sigma: 5"}}
    assert {item["task"] for item in graph["quanta"]} == {"isr", "calibrate"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--provenance", "x"], "'x' is not an id"),
        (["--provenance", "6c7c2b0e-6a3b-5d0b-9f4e-2d1b8f0c5a11"], "There is no dataset 6c7c2b0e"),
        (["--downstream", "6c7c2b0e-6a3b-5d0b-9f4e-2d1b8f0c5a11"], "There is no dataset 6c7c2b0e"),
        (["--where", f"exposure = {10**20}"], f"exposure is compared with .* got {10**20}"),
        (["sauce"], "no dataset type 'sauce'"),
        (["--where", "visit = "], "needs a number or text in quotes, got its end"),
        (["--collection", "absent"], "no collection 'absent'"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(
    repository: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        invoke("--repo", repository, *arguments)


@pytest.mark.parametrize(
    ("asked", "unheard"),
    [
        *(
            (asked, unheard)
            for asked in ("--provenance", "--downstream")
            for unheard in ("--where", "--pos", "--collection", "DATASET_TYPE")
        ),
        ("--provenance", "--to"),
        ("--provenance", "--downstream"),
    ],
)
def test_a_question_about_one_dataset_takes_no_others(
    repository: Path, tmp_path: Path, asked: str, unheard: str
) -> None:
    target = tmp_path / "target"
    values = {"DATASET_TYPE": [SUMMARY], "--to": ["--to", target]}
    dataset = find(repository, 1).id
    more = values.get(unheard, [unheard, str(dataset)])
    result = invoke("--repo", repository, asked, str(dataset), *more)
    assert result.exit_code == 2
    assert f"{asked} is about one dataset, so it takes no {unheard}." in result.output
    assert not target.exists()


def test_what_was_made_of_a_dataset_is_listed(repository: Path) -> None:
    first, second = find(repository, 1), find(repository, 2)
    key = make_id("run", "calibrate", "visit=2")
    made = QuantumRecord(
        key, "run", "visit", "calibrate", "v2", second.data_id, "done", inputs=(first.id,),
        outputs=(second.id,),
    )  # fmt: skip
    with Butler(repository, run="run") as butler:
        butler.registry.load([replace(second, quantum_id=key)], [made])
    found = json.loads(invoke("--repo", repository, "--downstream", str(first.id), "--json").output)
    assert [item["id"] for item in found] == [str(second.id)]


def test_the_place_on_the_sky_must_be_one(repository: Path) -> None:
    with pytest.raises(UserError, match="allowed are POINT ra dec"):
        invoke(SUMMARY, "--repo", repository, "--pos", "BOX 1 2 3")


def test_a_table_replaces_no_pipe(repository: Path, tmp_path: Path) -> None:
    target = tmp_path / "pipe"
    os.mkfifo(target)
    with pytest.raises(UserError, match=r"pipe is a pipe, which would be .* standard output"):
        invoke("--repo", repository, "--to", target)
    assert target.is_fifo()
