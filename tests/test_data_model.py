"""Data IDs, dataset ids and paths."""

import hashlib
import itertools
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsstpipe import datasets
from lsstpipe.data_model import (
    DIMENSIONS,
    DataId,
    DataIdValue,
    DatasetType,
    make_id,
    make_ids,
    make_ref,
    name_data_ids,
)
from lsstpipe.errors import DataIdError, UserError
from lsstpipe.registry.schema import NARROW, WIDE

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
VALUES = {
    name: TEXTS if kind is str else st.integers(0, 2**63 - 1 if name in WIDE else 2**31 - 1)
    for name, kind in DIMENSIONS.items()
}
DATA_IDS = st.fixed_dictionaries({}, optional=VALUES).map(DataId)


@given(DATA_IDS)
def test_a_data_id_is_its_values_in_the_order_of_the_dimensions(data_id: DataId) -> None:
    assert DataId(dict(reversed(list(data_id.items())))) == data_id
    assert list(data_id) == [name for name in DIMENSIONS if name in data_id]
    assert hash(DataId(dict(data_id))) == hash(data_id)
    assert eval(repr(data_id)) == data_id


@given(DATA_IDS, DATA_IDS)
def test_data_ids_differ_as_their_values_do(one: DataId, other: DataId) -> None:
    assert (one == other) == (dict(one) == dict(other))


def test_a_wrong_dimension_or_type_is_refused() -> None:
    with pytest.raises(DataIdError, match="'ccd' is not a dimension; allowed are instrument,"):
        DataId({"ccd": 3})
    with pytest.raises(DataIdError, match="visit must be int, got str '24'"):
        DataId(visit="24")
    with pytest.raises(DataIdError, match="detector must be int, got bool True"):
        DataId(detector=True)


@pytest.mark.parametrize("name", [name for name, kind in DIMENSIONS.items() if kind is int])
def test_an_integer_that_its_column_cannot_hold_is_refused(name: str) -> None:
    end = 2**63 if name in WIDE else 2**31
    assert name in WIDE + NARROW
    for value in (-end, end - 1):
        assert DataId({name: value})[name] == value
    for value, given_ in ((end, str(end)), (-end - 1, str(-end - 1)), (10**5000, "0x31e2")):
        with pytest.raises(
            DataIdError, match=f"{name} must be from -{end} to {end - 1}, got {given_}"
        ):
            DataId({name: value})


@pytest.mark.parametrize("text", ["\0", "a\0b", "\udcff", "\ud800x"])
def test_text_that_no_database_takes_is_refused(text: str) -> None:
    with pytest.raises(DataIdError, match="band must be text without NUL and stray bytes, got '"):
        DataId(band=text)


@given(st.text(), st.text(), st.lists(DATA_IDS, max_size=5))
def test_ids_in_bulk_are_uuids_of_version_5_after_the_prefix_of_the_run(
    run: str, kind: str, data_ids: list[DataId]
) -> None:
    namespace = uuid.UUID("6c7c2b0e-6a3b-5d0b-9f4e-2d1b8f0c5a11")
    ids = make_ids(run, kind, [str(data_id) for data_id in data_ids])
    prefix = hashlib.sha1(run.encode()).digest()[:4]
    expected = [uuid.uuid5(namespace, f"{run}\n{kind}\n{data_id}").bytes for data_id in data_ids]
    assert ids == b"".join(prefix + value[4:] for value in expected)


@given(st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=5), st.data())
def test_names_and_paths_in_bulk_are_those_of_one_data_id_after_the_other(
    rows: list[dict[str, DataIdValue]], data: st.DataObject
) -> None:
    dimensions = data.draw(st.lists(st.sampled_from(list(DIMENSIONS)), unique=True))
    data_ids = [DataId({name: row[name] for name in dimensions}) for row in rows]
    columns = [[row[name] for row in rows] for name in dimensions]
    assert name_data_ids(dimensions, columns, len(rows)) == [str(d) for d in data_ids]
    kind = DatasetType("kind", tuple(dimensions), "json", "For this test.")
    in_order = [[row[name] for row in rows] for name in DIMENSIONS if name in dimensions]
    assert kind.paths(in_order, "100%", len(rows)) == [kind.path(d, "100%") for d in data_ids]


def test_an_id_is_always_the_same_and_no_other_dataset_has_it() -> None:
    data_id = DataId(instrument="st10", visit=24, detector=0)
    ref = make_ref(datasets.visit_image, data_id, "demo")
    assert ref.id == make_ref(datasets.visit_image, DataId(data_id, band="clear"), "demo").id
    others = [
        make_ref(datasets.source, data_id, "demo"),
        make_ref(datasets.visit_image, DataId(data_id, visit=25), "demo"),
        make_ref(datasets.visit_image, data_id, "demo2"),
    ]
    assert len({ref.id, *(other.id for other in others)}) == 4
    # The value itself is part of the format: a repository outlives the process that wrote it.
    assert ref.id == uuid.UUID("89e495e7-1f99-59e3-b8c9-e57cffe26ea8")


def test_ids_of_one_run_lie_together() -> None:
    ids = [(make_id(run, "t", str(n)), run) for n in range(50) for run in ("a", "b", "c")]
    order = [run for _, run in sorted(ids)]
    assert sum(one != other for one, other in itertools.pairwise(order)) == 2


def test_a_missing_dimension_names_the_type_and_what_it_needs() -> None:
    with pytest.raises(DataIdError, match=r"visit_image needs instrument, visit, detector; got"):
        make_ref(datasets.visit_image, DataId(visit=24), "demo")


def test_the_path_tells_what_the_dataset_is() -> None:
    ref = make_ref(datasets.deep_coadd, DataId(skymap="s", tract=0, patch=3, band="r"), "run/1")
    assert ref.path == "run/1/deep_coadd/deep_coadd_r_s_0_3.fits"
    assert str(ref) == "deep_coadd@{band=r,skymap=s,tract=0,patch=3} in run/1"


def test_every_dataset_type_is_found_by_its_name_and_documented() -> None:
    for name, dataset_type in datasets.DATASET_TYPES.items():
        assert datasets.find_dataset_type(name) is dataset_type
        assert dataset_type.doc.endswith(".")
        assert set(dataset_type.dimensions) <= set(DIMENSIONS)
    with pytest.raises(UserError, match="no dataset type 'calexp'; there are raw,"):
        datasets.find_dataset_type("calexp")
