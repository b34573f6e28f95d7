"""``lsstpipe prune`` removes what was named only; ``collection`` says what holds what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lsstpipe.butler import Butler
from lsstpipe.cli.collection import command as collection
from lsstpipe.cli.prune import command as prune
from lsstpipe.errors import ConflictError, RepositoryError, UserError

SUMMARY = "visit_detector_summary"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    Butler.create(tmp_path)
    for run in ("one", "two"):
        with Butler(tmp_path, run=run) as butler:
            for visit in (1, 2, 3):
                butler.put({"visit": visit}, SUMMARY, instrument="st10", visit=visit, detector=0)
    return tmp_path


def call(command: object, repository: Path, *words: str) -> str:
    result = CliRunner().invoke(
        command, [*words, "--repo", str(repository)], catch_exceptions=False  # type: ignore[arg-type]
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return result.output


def visits(repository: Path, run: str) -> list[int]:
    with Butler(repository) as butler:
        records = butler.registry.query_datasets(where=f"run = '{run}'")
        assert all(butler.store.exists(record) for record in records)
    files = [path for path in (repository / run).rglob("*.json") if path.is_file()]
    assert len(files) == len(records)
    return [record.data_id.integer("visit") for record in records]


def test_a_dry_run_names_what_the_run_then_removes(repository: Path) -> None:
    words = (SUMMARY, "--run", "one", "--where", "visit IN (1..2)")
    named = json.loads(call(prune, repository, *words, "--dry-run", "--json"))
    assert visits(repository, "one") == [1, 2, 3]
    removed = json.loads(call(prune, repository, *words, "--json"))
    assert named == removed
    assert visits(repository, "one") == [3]
    assert visits(repository, "two") == [1, 2, 3]


def test_a_whole_run_goes_with_its_name(repository: Path) -> None:
    assert "3 datasets of 'two'" in call(prune, repository, "--run", "two", "--all")
    assert visits(repository, "two") == []
    assert call(collection, repository, "list") == "one (RUN)\n"


def test_a_file_that_cannot_be_removed_does_not_keep_the_others(repository: Path) -> None:
    with Butler(repository) as butler:
        paths = [repository / r.path for r in butler.registry.query_datasets(where="run = 'one'")]
    paths[0].unlink()
    paths[0].mkdir()
    words = [SUMMARY, "--run", "one", "--repo", str(repository)]
    result = CliRunner().invoke(prune, words)
    assert "3 datasets of 'one'" in result.output
    assert isinstance(result.exception, RepositoryError)
    said = str(result.exception)
    assert said.startswith("1 files stay although the registry knows them no more, since ")
    assert f"{paths[0]} cannot be removed: Is a directory; `lsstpipe sweep --orphans" in said
    assert not any(path.is_file() for path in paths)
    assert visits(repository, "one") == []
    assert visits(repository, "two") == [1, 2, 3]


def test_either_a_type_or_all_is_asked_for(repository: Path) -> None:
    for words in ((), (SUMMARY, "--all"), ("--all", "--where", "visit = 1")):
        with pytest.raises(UserError, match="either a DATASET_TYPE"):
            call(prune, repository, "--run", "one", *words)


def test_what_is_held_or_frozen_stays(repository: Path) -> None:
    call(collection, repository, "tag", "best", SUMMARY, "--from", "one", "--where", "visit = 2")
    with pytest.raises(ConflictError, match="held by the collection 'best'"):
        call(prune, repository, SUMMARY, "--run", "one")
    assert visits(repository, "one") == [1, 2, 3]
    call(collection, repository, "release", "best", SUMMARY)
    call(collection, repository, "freeze", "one")
    with pytest.raises(ConflictError, match="'one' is frozen"):
        call(prune, repository, SUMMARY, "--run", "one")
    assert visits(repository, "one") == [1, 2, 3]


def test_what_is_refused_is_refused_in_a_dry_run_too(repository: Path) -> None:
    call(collection, repository, "tag", "best", SUMMARY, "--from", "one", "--where", "visit = 2")
    call(collection, repository, "chain", "latest", "two")
    for words, message in (
        ((SUMMARY, "--run", "one"), "held by the collection 'best'"),
        (("--run", "one", "--all"), "held by the collection 'best'"),
        (("--run", "two", "--all"), "in the chain 'latest'"),
        (("--run", "latest", "--all"), "no run 'latest'"),
    ):
        with pytest.raises(UserError, match=message):
            call(prune, repository, *words, "--dry-run")
    call(collection, repository, "freeze", "two")
    with pytest.raises(ConflictError, match="'two' is frozen"):
        call(prune, repository, SUMMARY, "--run", "two", "--dry-run")


@pytest.mark.parametrize("name", ["latest", "best"])
def test_datasets_are_not_removed_from_runs_by_the_name_of_what_has_them(
    repository: Path, name: str
) -> None:
    call(collection, repository, "chain", "latest", "two", "one")
    call(collection, repository, "tag", "best", SUMMARY, "--from", "two")
    with pytest.raises(RepositoryError, match=f"no run '{name}'"):
        call(prune, repository, SUMMARY, "--run", name, "--held-too")
    assert visits(repository, "two") == [1, 2, 3]


def test_a_chain_is_shown_with_its_parts(repository: Path) -> None:
    call(collection, repository, "chain", "latest", "two", "one")
    call(collection, repository, "freeze", "two")
    assert call(collection, repository, "list").splitlines() == [
        "latest (CHAINED): two, one",
        "one (RUN)",
        "two (RUN, frozen)",
    ]
    rows = json.loads(call(collection, repository, "list", "--json"))
    assert [row["children"] for row in rows] == [["two", "one"], [], []]


def test_a_tag_of_nothing_is_refused(repository: Path) -> None:
    with pytest.raises(RepositoryError, match=f"'one' has no {SUMMARY} with visit = 9"):
        call(
            collection, repository, "tag", "best", SUMMARY, "--from", "one", "--where", "visit = 9"
        )
    assert "best" not in call(collection, repository, "list")
