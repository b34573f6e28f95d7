"""Verify names every file that is not as it was written, and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import small_repository as small

from lsstpipe.butler import Butler
from lsstpipe.execute.verify import verify


def test_a_file_that_cannot_be_read_is_a_fault_of_that_file_alone(tmp_path: Path) -> None:
    repo = small.make_repository(tmp_path / "repo")
    with Butler(repo) as butler:
        whole, other, *_ = butler.registry.query_datasets(names=["main"])
        hidden = replace(other, path=f"main/{'b' * 300}")  # as root looks into every folder
        (repo / "main" / "folder").mkdir()
        folder = replace(other, path="main/folder", size=(repo / "main" / "folder").stat().st_size)
        found = verify(
            butler.store.datastore,
            [whole, hidden, folder],
            jobs=1,
            quick=False,
            advance=lambda _: None,
        )
    assert [(d.record, d.fault) for d in found] == [(hidden, "unreadable"), (folder, "unreadable")]
