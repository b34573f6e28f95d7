from __future__ import annotations

import json
from pathlib import Path

import pytest

from lsstpipe.errors import RepositoryError
from lsstpipe.report.manifests import (
    find_files,
    list_exceptions,
    read_records,
    sum_stages,
)


def write_manifest(root: Path, stage: str, chunk: str, *quanta: dict[str, object]) -> None:
    path = root / "manifests" / stage / f"{chunk}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    manifest = {"schema_version": 1, "environments": {}, "quanta": quanta}
    path.write_text(json.dumps(manifest))


def quantum(**more: object) -> dict[str, object]:
    return {
        "task": "isr", "data_id": {"visit": 3}, "status": "done", "message": "", "wall_s": 2.0,
        "cpu_s": 1.0, "max_rss_mb": 100.0, "bytes_read": 10, "bytes_written": 20, "files": [],
    } | more  # fmt: skip


def test_stages_add_up_and_memory_is_the_largest(tmp_path: Path) -> None:
    write_manifest(tmp_path, "visit", "a", quantum(), quantum(max_rss_mb=300.0))
    write_manifest(tmp_path, "visit", "b", quantum(status="flagged", message="Clouds."))
    (use,) = sum_stages(read_records(tmp_path))
    assert (use.n_quanta, use.wall_s, use.cpu_s) == (3, 6.0, 3.0)
    assert (use.max_rss_mb, use.bytes_read, use.bytes_written) == (300.0, 30, 60)
    assert use.n_not_done == 1


def test_chunks_that_the_plan_no_longer_has_are_left_out(tmp_path: Path) -> None:
    write_manifest(tmp_path, "visit", "old", quantum())
    write_manifest(tmp_path, "visit", "new", quantum(), quantum())
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "chunks.tsv").write_text("stage\tchunk\nvisit\tnew\ncoadd\tnot_run\n")
    (use,) = sum_stages(read_records(tmp_path))
    assert use.n_quanta == 2


def test_products_are_found_by_type_in_the_order_of_data_ids(tmp_path: Path) -> None:
    files = [
        {"dataset_type": "source", "data_id": {"visit": visit}, "path": f"run/source_{visit}"}
        for visit in (7, 3)
    ]
    write_manifest(tmp_path, "visit", "a", quantum(files=files))
    found = find_files(read_records(tmp_path), "source")
    assert [(data_id["visit"], path) for data_id, path in found] == [
        (3, "run/source_3"), (7, "run/source_7"),
    ]  # fmt: skip


def test_every_quantum_that_is_not_done_says_why(tmp_path: Path) -> None:
    write_manifest(
        tmp_path, "visit", "a", quantum(), quantum(status="no_work", message="No stars.")
    )
    (item,) = list_exceptions(read_records(tmp_path))
    assert (item.kind, item.what, item.why) == ("no work", "visit isr visit=3", "No stars.")


def test_a_long_list_is_cut_and_says_so(tmp_path: Path) -> None:
    bad = [quantum(status="flagged", message=str(n)) for n in range(250)]
    write_manifest(tmp_path, "visit", "a", *bad)
    found = list_exceptions(read_records(tmp_path))
    assert len(found) == 201
    assert found[-1].what == "50 entries"


def test_a_folder_without_manifests_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="nothing has run"):
        read_records(tmp_path)


def test_a_manifest_of_another_version_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "manifests" / "visit" / "a.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"schema_version": 99}')
    with pytest.raises(RepositoryError, match="version 99"):
        read_records(tmp_path)
    path.write_text('{"schema_ver')
    with pytest.raises(RepositoryError, match="not a readable manifest"):
        read_records(tmp_path)
