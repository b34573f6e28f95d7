"""What is asked by the driver alone agrees with the tables, and needs no SQLAlchemy."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql

from lsstpipe import datasets
from lsstpipe.data_model import DataId
from lsstpipe.registry.direct import Direct, OtherCollectionError
from lsstpipe.registry.registry import Registry
from lsstpipe.registry.schema import DATASET_COLUMNS
from lsstpipe.registry.source import MAX_CONNECTIONS, Source
from lsstpipe.registry.tables import dataset
from tests.registry.test_registry import image, raw, record


def test_the_columns_are_those_of_the_table() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    spelled = {c.name: c.type.compile(dialect).lower().split()[0] for c in dataset.c}
    assert spelled == DATASET_COLUMNS
    assert list(spelled) == list(DATASET_COLUMNS)


def test_every_type_is_put_and_found(tmp_path: Path) -> None:
    values = DataId(
        instrument="st10", exposure=2**40, visit=7, detector=3, physical_filter="r 2",
        band="r", skymap="map", tract=1, patch=2,
    )  # fmt: skip
    url = f"sqlite:///{tmp_path / 'registry.sqlite3'}"
    with Registry.create(url) as registry:
        registry.load([image(99)])
        direct = Direct(Source(url))
        assert direct.is_current()
        for kind in datasets.DATASET_TYPES.values():
            given = record(kind, **values)
            elsewhere = replace(given, path="s3://bucket/100 % of it")
            assert direct.find(kind, values, ["run"]) is None
            assert direct.put(given)
            assert direct.find(kind, values, ["run"]) == given
            assert direct.put(elsewhere)
            assert direct.find(kind, values, ["run"]) == elsewhere
            assert [r for r in registry.query_datasets(kind) if r != image(99)] == [elsewhere]
        direct.source.close()


def test_what_takes_more_is_left_to_the_registry(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'registry.sqlite3'}"
    with Registry.create(url) as registry:
        direct = Direct(Source(url))
        assert not direct.put(image(1)), "its run is not there"
        registry.load([image(1), raw(1)])
        registry.define_chain("all", ["run"])
        for names in (["all"], ["run", "all"], ["run", "absent"]):
            with pytest.raises(OtherCollectionError):
                direct.find(datasets.visit_image, image(1).data_id, names)
        registry.freeze("run")
        assert not direct.put(image(2)), "its run is frozen"
        assert direct.find(datasets.visit_image, image(2).data_id, ["raws", "run"]) is None
        assert direct.find(datasets.visit_image, image(1).data_id, ["raws", "run"]) == image(1)
        assert direct.find(datasets.visit_image, image(1).data_id, []) is None
        direct.source.close()


def test_a_connection_is_lent_again_unless_it_met_an_error_or_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(f"sqlite:///{tmp_path / 'registry.sqlite3'}")
    with source.connection() as first, source.connection() as second:
        assert first is not second
    assert MAX_CONNECTIONS == 2
    with suppress(ZeroDivisionError), source.connection() as spoilt:
        raise ZeroDivisionError
    with source.connection() as kept:
        assert {kept, spoilt} == {first, second}
    monkeypatch.setattr("lsstpipe.registry.source.CONNECTION_LIFE_S", -1.0)
    with source.connection() as new:
        assert new not in (first, second)
    source.close()


def test_to_put_find_and_get_brings_no_sqlalchemy(tmp_path: Path) -> None:
    code = """if True:
        import sys
        from lsstpipe.butler import Butler
        with Butler(sys.argv[1], run="run") as butler:
            butler.put({"n": 2}, "visit_detector_summary", instrument="st10", visit=2, detector=0)
            assert butler.get("visit_detector_summary", instrument="st10", visit=2, detector=0)
        print("sqlalchemy" in sys.modules)
        with Butler(sys.argv[1], run="run") as butler:
            assert len(butler.query()) == 2
        print("sqlalchemy" in sys.modules)
    """
    with Registry.create(f"sqlite:///{tmp_path / 'registry.sqlite3'}") as registry:
        registry.load([image(1)])
    found = subprocess.run(
        [sys.executable, "-c", code, tmp_path], check=True, capture_output=True, text=True
    )
    assert found.stdout.split() == ["False", "True"]
