"""What an export says of validity is kept, or the export is refused before anything is changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lsstpipe.butler import Butler
from lsstpipe.errors import ConflictError
from lsstpipe.execute import butler_yaml
from lsstpipe.execute.butler_ingest import ingest_butler
from lsstpipe.execute.butler_yaml import Time, Timespan
from lsstpipe.geometry.box import Box
from lsstpipe.image.exposure import Exposure


@pytest.fixture
def ingest(tmp_path: Path) -> Callable[[float], None]:
    """Export a dark that holds on one day and from a second begin on, and ingest it."""
    pixels = np.ones((4, 5), dtype=np.float32)
    image = Exposure(pixels, np.zeros((4, 5), np.int32), pixels, Box(0, 0, 4, 5), "electron")
    Butler.create(tmp_path / "theirs")
    Butler.create(tmp_path / "mine")
    with Butler(tmp_path / "theirs", run="old") as butler:
        made = butler.put(image, "dark", instrument="hsc", detector=40)
    data_id = {"instrument": "HSC", "detector": 40}
    row = {"path": f"theirs/{made.path}", "dataset_id": [7], "data_id": [data_id]}

    def export_and_ingest(begin: float) -> None:
        spans = [Timespan(Time(60000.0), Time(60001.0)), Timespan(Time(begin), None)]
        ranges = [{"timespan": span, "dataset_ids": [7]} for span in spans]
        entries = [
            {"type": "dataset", "dataset_type": "dark", "run": "old", "records": [row]},
            {
                "type": "associations",
                "collection": "calib",
                "collection_type": "CALIBRATION",
                "validity_ranges": ranges,
            },
        ]
        with (tmp_path / "export.yaml").open("wb") as stream:
            butler_yaml.write(entries, stream)
        with Butler(tmp_path / "mine") as butler:
            assert not ingest_butler(butler, tmp_path / "export.yaml").refused

    return export_and_ingest


def test_ranges_that_lie_apart_are_refused_before_anything_is_registered(
    tmp_path: Path, ingest: Callable[[float], None]
) -> None:
    said = r"/dark/.* holds from MJD 60000.0 to 60001.0 and from MJD 60005.0 to inf in 'calib'"
    with pytest.raises(ConflictError, match=said):
        ingest(60005.0)
    with Butler(tmp_path / "mine") as butler:
        assert butler.registry.collections() == []
        assert butler.registry.query_datasets() == []


def test_ranges_that_touch_are_one(tmp_path: Path, ingest: Callable[[float], None]) -> None:
    for _ in range(2):
        ingest(60001.0)
    with Butler(tmp_path / "mine") as butler:
        (found,) = butler.registry.query_calibrations("dark", ["calib"])
        assert (found.valid_begin_mjd, found.valid_end_mjd) == (60000.0, np.inf)
        butler.registry.release("calib", [found.dataset.id])
        butler.registry.certify("calib", [found.dataset.id], 59000.0, 59001.0)
    with pytest.raises(ConflictError, match=r"from MJD 59000.0 to 59001.0 and from MJD 60000.0"):
        ingest(60001.0)
