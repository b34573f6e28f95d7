"""One suite of truths about a registry, for every database that it runs on."""

from __future__ import annotations

import math
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lsstpipe import datasets
from lsstpipe.data_model import DataId, DatasetType, make_id, make_ref
from lsstpipe.errors import ConflictError, RepositoryError, UserError
from lsstpipe.geometry.position import parse_position
from lsstpipe.image.exposure import ObservationInfo
from lsstpipe.registry.provenance import Document
from lsstpipe.registry.records import DatasetRecord, QuantumRecord
from lsstpipe.registry.registry import Registry
from tests.postgres_server import PostgresServer


def record(
    kind: DatasetType, run: str = "run", *, content: str = "a", quantum: uuid.UUID | None = None,
    path: str = "", **data_id: int | str,
) -> DatasetRecord:  # fmt: skip
    ref = make_ref(kind, DataId(data_id), run)
    return DatasetRecord(
        ref.id, kind.name, ref.data_id, run, path or ref.path, 10, f"blake2b:{content}", quantum
    )


def image(
    visit: int, run: str = "run", content: str = "a", detector: int = 0, path: str = ""
) -> DatasetRecord:
    return record(
        datasets.visit_image, run, content=content, path=path, instrument="st10", visit=visit,
        detector=detector,
    )  # fmt: skip


def info(exposure: int, *, kind: str = "science", band: str = "clear") -> ObservationInfo:
    return ObservationInfo(
        "st10", exposure, 0, "Filter 2", band, kind, "TrES-1", 60.0, 60.5, 56000.0 + exposure / 100,
        ra_deg=286.0, dec_deg=36.6, airmass=1.0 + exposure / 10,
    )  # fmt: skip


def raw(exposure: int, content: str = "a", path: str = "") -> DatasetRecord:
    return record(
        datasets.raw, "raws", content=content, path=path or f"/frames/{exposure}.fits",
        instrument="st10", exposure=exposure, detector=0,
    )  # fmt: skip


def square(ra_deg: float, dec_deg: float, half_deg: float) -> list[tuple[float, float]]:
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return [(ra_deg + a * half_deg, dec_deg + b * half_deg) for a, b in signs]


def quantum(
    task: str, visit: int, inputs: tuple[DatasetRecord, ...], outputs: tuple[DatasetRecord, ...],
    **more: str | int | float,
) -> QuantumRecord:  # fmt: skip
    data_id = DataId(instrument="st10", visit=visit, detector=0)
    made = QuantumRecord(
        make_id("run", task, str(data_id)), "run", "visit", task, f"v{visit}", data_id, "done",
        inputs=tuple(sorted(item.id for item in inputs)),
        outputs=tuple(sorted(item.id for item in outputs)),
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


class RegistrySuite(ABC):
    """Truths; a subclass names the database."""

    @abstractmethod
    def url(self, *arguments: Any) -> str:
        """Name an empty database."""

    @pytest.fixture
    def registry(self, url: str) -> Iterator[Registry]:
        with Registry.create(url) as registry:
            yield registry

    def test_what_was_loaded_is_found_as_it_was(self, registry: Registry) -> None:
        for kind in datasets.DATASET_TYPES.values():
            values = DataId(
                instrument="st10", exposure=2**40, visit=7, detector=3, physical_filter="r 2",
                band="r", skymap="map", tract=1, patch=2,
            )  # fmt: skip
            given = record(kind, "run", **values)
            registry.load([given])
            assert registry.find(kind, values, ["run"]) == given
            assert registry.find(kind.name, values, ["run"]) == given
        assert len(registry.query_datasets()) == len(datasets.DATASET_TYPES)

    def test_nothing_is_found_under_another_data_id_or_in_another_run(
        self, registry: Registry
    ) -> None:
        registry.load([image(1), image(2, "other")])
        assert registry.find("visit_image", image(2).data_id, ["run"]) is None
        assert registry.find("source", image(1).data_id, ["run"]) is None
        assert registry.find("visit_image", image(2).data_id, ["other"]) == image(2, "other")

    def test_loading_twice_changes_nothing(self, registry: Registry) -> None:
        made = replace(image(1), quantum_id=quantum("isr", 1, (), ()).id)
        quanta = [quantum("isr", 1, (raw(1),), (made,))]
        registry.load([made, image(2)], quanta)
        before = registry.query_datasets(), registry.provenance(made.id)
        registry.load([made, image(2)], quanta)
        assert (registry.query_datasets(), registry.provenance(made.id)) == before

    def test_a_newer_attempt_replaces_an_older_one(self, registry: Registry) -> None:
        registry.load([image(1, content="a")])
        registry.load([image(1, content="b")])
        assert registry.query_datasets() == [image(1, content="b")]

    def test_what_a_newer_attempt_did_not_make_again_is_forgotten(self, registry: Registry) -> None:
        first = quantum("isr", 1, (), (image(1), image(3)))
        made = [replace(image(visit), quantum_id=first.id) for visit in (1, 3)]
        registry.load([*made, image(2)], [first])
        # This time image 3 was handed over in memory only: its record would name the old pixels.
        registry.load(made[:1], [replace(first, started_mjd=2.0)])
        assert registry.query_datasets() == [made[0], image(2)]
        failed = replace(first, status="flagged", message="no stars", outputs=(), started_mjd=3.0)
        registry.load([], [failed])
        assert registry.query_datasets() == [image(2)]

    def test_what_a_newer_attempt_made_is_not_replaced_by_an_older_one(
        self, registry: Registry
    ) -> None:
        old = [quantum("isr", v, (raw(v),), (image(v), image(v + 5))) for v in (1, 2)]
        new = replace(old[0], started_mjd=1.0, inputs=(), outputs=(image(1).id,))
        made = replace(image(1, content="b"), quantum_id=new.id)
        registry.load([made], [new])
        # One batch of a slow collector: the record of quantum 1 is older, that of 2 is not there.
        stale = [replace(image(v), quantum_id=old[v % 5 - 1].id) for v in (1, 2, 6, 7)]
        registry.load([*stale, image(3)], old)
        assert registry.query_datasets() == [made, stale[1], image(3), stale[3]]
        assert registry.provenance(made.id).quanta == {new.id: new}
        assert registry.provenance(stale[3].id).quanta == {old[1].id: old[1]}

    def test_what_was_pruned_comes_back_by_a_newer_attempt_only(self, registry: Registry) -> None:
        first = quantum("isr", 1, (), (image(1), image(3)))
        made = [replace(image(visit), quantum_id=first.id) for visit in (1, 3)]
        registry.load(made, [first])
        registry.prune([made[0].id])
        registry.load(made, [first])
        assert registry.query_datasets() == made[1:]
        registry.load(made, [replace(first, started_mjd=1.0)])
        assert registry.query_datasets() == made
        registry.prune([made[0].id])
        registry.freeze("run")
        registry.load(made, [first])
        assert registry.query_datasets() == made[1:]

    def test_a_frozen_run_takes_the_same_again_and_nothing_else(self, registry: Registry) -> None:
        registry.load([image(1), image(1, "open")])
        registry.freeze("run")
        registry.load([image(1)])
        with pytest.raises(ConflictError, match=r"frozen.*replaced"):
            registry.load([image(1, "open", "b"), image(1, content="b")])
        with pytest.raises(ConflictError, match=r"frozen.*added"):
            registry.load([image(2)])
        assert registry.query_datasets() == [image(1, "open"), image(1)]

    def test_a_run_that_does_not_exist_cannot_be_frozen(self, registry: Registry) -> None:
        with pytest.raises(RepositoryError, match="no run 'absent'"):
            registry.freeze("absent")

    def test_the_first_collection_of_a_search_wins(self, registry: Registry) -> None:
        registry.load([image(1, "a"), image(1, "b"), image(2, "b"), image(3, "c")])
        registry.define_chain("inner", ["b", "c"])
        registry.define_chain("outer", ["a", "inner"])
        found = [registry.find("visit_image", image(v).data_id, ["outer"]) for v in (1, 2, 3, 4)]
        assert found == [image(1, "a"), image(2, "b"), image(3, "c"), None]
        assert registry.query_datasets("visit_image", names=["outer"]) == found[:3]
        registry.define_chain("outer", ["inner", "a"])
        assert registry.find("visit_image", image(1).data_id, ["outer"]) == image(1, "b")
        assert registry.find("visit_image", image(1).data_id, ["a", "outer"]) == image(1, "a")

    def test_a_chain_cannot_contain_itself(self, registry: Registry) -> None:
        registry.load([image(1)])
        registry.define_chain("x", ["run"])
        registry.define_chain("y", ["x"])
        with pytest.raises(ConflictError, match="contain itself"):
            registry.define_chain("x", ["run", "y"])
        assert registry.find("visit_image", image(1).data_id, ["y"]) == image(1)

    def test_an_absent_collection_is_named(self, registry: Registry) -> None:
        with pytest.raises(RepositoryError, match="no collection 'absent'"):
            registry.find("visit_image", image(1).data_id, ["absent"])
        with pytest.raises(RepositoryError, match="no collection 'absent'"):
            registry.define_chain("chain", ["absent"])

    def test_a_name_belongs_to_one_kind_of_collection(self, registry: Registry) -> None:
        registry.load([image(1)])
        with pytest.raises(ConflictError, match="'run' is RUN, not TAGGED"):
            registry.tag("run", [image(1).id])

    def test_a_tag_holds_what_was_tagged(self, registry: Registry) -> None:
        registry.load([image(1), image(2), image(1, "other")])
        registry.tag("best", [image(2).id])
        registry.tag("best", [image(2).id, image(1, "other").id])
        assert registry.query_datasets(names=["best"]) == [image(1, "other"), image(2)]
        assert registry.find("visit_image", image(1).data_id, ["best", "run"]) == image(1, "other")
        assert registry.find("visit_image", image(1).data_id, ["run", "best"]) == image(1)

    def test_what_is_not_there_is_not_tagged(self, registry: Registry) -> None:
        registry.load([image(1)])
        unknown = uuid.uuid4()
        with pytest.raises(RepositoryError, match=f"There is no dataset {unknown} to tag"):
            registry.tag("best", [image(1).id, unknown])
        assert [item.name for item in registry.collections()] == ["run"]

    def test_a_collection_has_a_name(self, registry: Registry) -> None:
        for name in ("", " "):
            for make in (
                lambda name: registry.define_chain(name, []),
                lambda name: registry.tag(name, []),
                lambda name: registry.certify(name, [], 1.0, 2.0),
            ):
                with pytest.raises(UserError, match="must have a name, got an empty one"):
                    make(name)
        assert registry.collections() == []

    def test_a_tag_takes_no_second_dataset_of_a_data_id(self, registry: Registry) -> None:
        registry.load([image(1), image(1, "other"), image(2)])
        registry.tag("best", [image(1).id])
        with pytest.raises(ConflictError, match="'best' cannot hold two datasets visit_image of "):
            registry.tag("best", [image(2).id, image(1, "other").id])
        assert registry.query_datasets(names=["best"]) == [image(1)]
        registry.release("best", [image(1).id])
        registry.tag("best", [image(1, "other").id])
        assert registry.query_datasets(names=["best"]) == [image(1, "other")]

    def test_conditions_select_by_data_id_and_by_what_the_header_said(
        self, registry: Registry
    ) -> None:
        infos = [info(v, band="r" if v < 3 else "g") for v in (1, 2, 3, 4)]
        registry.insert_exposures(infos, [raw(v) for v in (1, 2, 3, 4)])
        registry.load([image(v) for v in (1, 2, 3, 4)])

        def visits(where: str) -> list[int]:
            return [
                r.data_id.integer("visit") for r in registry.query_datasets("visit_image", where)
            ]

        assert visits("band = 'r'") == [1, 2]
        assert visits('visit in (2..3) and not band = "g"') == [2]
        assert visits("visit = 1 OR visit = 4 AND band = 'g'") == [1, 4]
        assert visits("(visit = 1 OR visit = 4) AND band = 'g'") == [4]
        assert visits("airmass > 1.25 AND run = 'run'") == [3, 4]
        assert visits("visit NOT IN (1, 3..9)") == [2]
        assert visits("") == [1, 2, 3, 4]

    def test_datasets_are_found_by_their_place_on_the_sky(self, registry: Registry) -> None:
        raws = [raw(v) for v in (1, 2, 3)]
        # Exposure 1 lies at 10 degrees, 2 at 20; where 3 lies is not known.
        regions = {raws[n].data_id: square(10.0 * (n + 1), 5.0, 1.0) for n in (0, 1)}
        registry.insert_exposures([info(v) for v in (1, 2, 3)], raws, regions)
        cells = [(0, n, square(float(ra), 5.0, 0.5)) for n, ra in enumerate((9, 10, 20))]
        registry.insert_patches("map", cells)
        registry.insert_patches("map", cells)
        coadds = [
            record(datasets.deep_coadd, skymap="map", tract=0, patch=n, band="r") for n in range(3)
        ]
        summary = record(datasets.visit_summary, instrument="st10", visit=1)
        registry.load([*(image(v) for v in (1, 2, 3)), *coadds, summary, dark("run")])

        def found(kind: str | None, position: str) -> list[DatasetRecord]:
            return registry.query_datasets(kind, position=parse_position(position))

        assert found("raw", "CIRCLE 10 5 0.1") == [raws[0]]
        assert found("visit_image", "POLYGON 10 4 20 4 20 6 10 6") == [image(1), image(2)]
        assert found("deep_coadd", "POINT 10.2 5") == [coadds[1]]
        assert found("deep_coadd", "CIRCLE 9.6 5 0.2") == coadds[:2]
        assert found(None, "POINT 10 5") == [raws[0], image(1), summary, coadds[1]]
        assert found("dark", "CIRCLE 10 5 80") == []
        pairs = registry.query_overlaps("map")
        assert pairs["exposure"].tolist() == [1, 1, 2]
        assert pairs["patch"].tolist() == [0, 1, 2]
        assert registry.query_overlaps("map", "exposure = 2")["patch"].tolist() == [2]
        with pytest.raises(UserError, match="No patches of the sky map 'other'"):
            registry.query_overlaps("other")

    def test_a_wrong_condition_lists_the_columns(self, registry: Registry) -> None:
        with pytest.raises(UserError, match=r"'colour' is not a column; allowed are instrument,"):
            registry.query_datasets(where="colour = 1")

    def test_raws_are_ingested_once(self, registry: Registry) -> None:
        infos, raws = [info(1), info(2)], [raw(1), raw(2)]
        assert registry.insert_exposures(infos, raws) == 2
        assert registry.insert_exposures(infos, raws) == 0
        assert registry.query_exposures() == [(infos[0], raws[0]), (infos[1], raws[1])]

    def test_the_same_pixels_under_another_name_are_no_conflict(self, registry: Registry) -> None:
        copy = raw(1, path="/frames/copy.fits")
        assert registry.insert_exposures([info(1), info(1)], [raw(1), copy]) == 1
        assert registry.insert_exposures([info(1)], [copy]) == 0
        assert registry.query_datasets("raw") == [raw(1)]

    def test_other_pixels_under_the_same_data_id_are_refused(self, registry: Registry) -> None:
        registry.insert_exposures([info(1)], [raw(1)])
        other = raw(1, content="b", path="/frames/other.fits")
        with pytest.raises(ConflictError, match=r"/frames/other.fits and /frames/1.fits"):
            registry.insert_exposures([info(2), info(1)], [raw(2), other])
        with pytest.raises(ConflictError, match=r"/frames/b.fits and /frames/3.fits"):
            registry.insert_exposures(
                [info(3), info(3)], [raw(3), raw(3, content="b", path="/frames/b.fits")]
            )
        assert registry.query_datasets("raw") == [raw(1)]

    def test_exposures_come_by_time_and_keep_what_is_not_known(self, registry: Registry) -> None:
        unknown = replace(info(1), ra_deg=math.nan, dec_deg=math.nan)
        infos = [info(3, kind="dark"), info(2), unknown]
        registry.insert_exposures(infos, [raw(3), raw(2), raw(1)])
        found = [i.exposure for i, _ in registry.query_exposures("science", "airmass < 1.15")]
        assert found == [1]
        first, *others = [i for i, _ in registry.query_exposures()]
        assert others == [info(2), info(3, kind="dark")]
        assert math.isnan(first.ra_deg)
        assert math.isnan(first.dec_deg)
        assert first.airmass == unknown.airmass

    def test_a_calibration_holds_from_its_begin_until_before_its_end(
        self, registry: Registry
    ) -> None:
        early, late = dark("early"), dark("late")
        registry.load([early, late])
        registry.certify("calibs", [early.id], 10.0, 20.0)
        registry.certify("calibs", [late.id], 20.0, math.inf)

        def at(mjd: float) -> DatasetRecord | None:
            return registry.find_calibration("dark", early.data_id, mjd, ["calibs"])

        assert [at(9.9), at(10.0), at(19.9), at(20.0), at(1e9)] == [None, early, early, late, late]
        assert registry.find_calibration("dark", dark("x", 1).data_id, 15.0, ["calibs"]) is None
        spans = registry.query_calibrations("dark", ["calibs"])
        assert [(c.dataset, c.valid_begin_mjd, c.valid_end_mjd) for c in spans] == [
            (early, 10.0, 20.0),
            (late, 20.0, math.inf),
        ]

    def test_two_calibrations_never_hold_at_once(self, registry: Registry) -> None:
        registry.load([dark("a"), dark("b"), dark("b", 1)])
        registry.certify("calibs", [dark("a").id], 10.0, 20.0)
        with pytest.raises(ConflictError, match=r"holds already from MJD 10.0 to 20.0"):
            registry.certify("calibs", [dark("b").id], 19.0, 30.0)
        registry.certify("calibs", [dark("b", 1).id], 19.0, 30.0)
        registry.certify("other", [dark("b").id], 19.0, 30.0)
        with pytest.raises(UserError, match="end after it begins"):
            registry.certify("calibs", [dark("b").id], 30.0, 30.0)

    def test_two_that_are_certified_by_one_call_never_hold_at_once(
        self, registry: Registry
    ) -> None:
        registry.load([dark("a"), dark("b"), dark("b", 1)])
        registry.certify("calibs", [dark("a").id], 10.0, 20.0)
        both = [dark("a").id, dark("b").id]
        for is_dry in (True, False):
            with pytest.raises(ConflictError, match=r"both are dark of .* leave one out"):
                registry.certify("calibs", both, 30.0, 40.0, dry_run=is_dry)
        found = registry.query_calibrations("dark", ["calibs"])
        assert [(c.dataset, c.valid_begin_mjd) for c in found] == [(dark("a"), 10.0)]
        registry.certify("calibs", [dark("b").id, dark("b", 1).id, dark("b").id], 30.0, 40.0)

    def test_certifying_again_moves_the_range(self, registry: Registry) -> None:
        registry.load([dark("a")])
        registry.certify("calibs", [dark("a").id], 10.0, 20.0)
        registry.certify("calibs", [dark("a").id], 15.0, 25.0)
        registry.load([replace(dark("a"), checksum="blake2b:b")])
        found = registry.query_calibrations("dark", ["calibs"])
        assert [(c.valid_begin_mjd, c.dataset.checksum) for c in found] == [(15.0, "blake2b:b")]

    def test_a_second_range_apart_from_the_first_is_refused(self, registry: Registry) -> None:
        registry.load([dark("a"), dark("a", 1)])
        registry.certify("calibs", [dark("a").id], 10.0, 20.0)
        both = [dark("a", 1).id, dark("a").id]
        for is_dry in (True, False):
            for span in ((21.0, 25.0), (5.0, 9.0)):
                with pytest.raises(ConflictError, match=r"holds from MJD 10.0 to 20.0 in 'calibs'"):
                    registry.certify("calibs", both, *span, dry_run=is_dry)
        found = registry.query_calibrations("dark", ["calibs"])
        assert [(c.dataset, c.valid_begin_mjd) for c in found] == [(dark("a"), 10.0)]
        registry.certify("other", [dark("a").id], 21.0, 25.0)
        registry.certify("calibs", [dark("a").id], 20.0, math.inf)
        assert registry.release("calibs", [dark("a").id]) == 1
        registry.certify("calibs", [dark("a").id], 1.0, 2.0)
        spans = registry.query_calibrations("dark", ["calibs", "other"])
        assert [(c.valid_begin_mjd, c.valid_end_mjd) for c in spans] == [(1.0, 2.0), (21.0, 25.0)]

    def test_an_absent_dataset_cannot_be_certified(self, registry: Registry) -> None:
        with pytest.raises(RepositoryError, match=f"no dataset {dark('a').id}"):
            registry.certify("calibs", [dark("a").id], 1.0, 2.0)
        assert registry.collections() == []

    def test_provenance_leads_from_a_product_through_memory_to_the_raws(
        self, registry: Registry
    ) -> None:
        registry.insert_exposures([info(1), info(2)], [raw(1), raw(2)])
        in_memory = record(datasets.post_isr_image, instrument="st10", visit=1, detector=0)
        isr = quantum("isr", 1, (raw(1),), (in_memory,), config_digest="c1", environment="e1")
        product = replace(image(1), quantum_id=make_id("run", "calibrate", str(isr.data_id)))
        calibrate = quantum(
            "calibrate", 1, (in_memory,), (product,), config_digest="c2", environment="e1",
            code_version="1.0", started_mjd=1.0,
        )  # fmt: skip
        unrelated = quantum("isr", 2, (raw(2),), (), config_digest="c3")
        texts = {name: Document("config", f"text of {name}") for name in ("c1", "c2", "c3", "e1")}
        registry.insert_documents(texts)
        registry.insert_documents(texts)
        registry.load([product], [isr, calibrate, unrelated])

        graph = registry.provenance(product.id)
        assert graph.quanta == {isr.id: isr, calibrate.id: calibrate}
        assert graph.origins() == [raw(1)]
        assert graph.producers == {product.id: calibrate.id, in_memory.id: isr.id}
        assert graph.documents == {name: texts[name] for name in ("c1", "c2", "e1")}
        assert registry.downstream(raw(1).id) == [product]
        assert registry.downstream(raw(2).id) == []
        assert registry.downstream(product.id) == []
        assert registry.provenance(raw(1).id).quanta == {}

    def test_provenance_of_nothing_is_refused(self, registry: Registry) -> None:
        absent = uuid.uuid5(uuid.NAMESPACE_DNS, "absent")
        with pytest.raises(RepositoryError, match=f"There is no dataset {absent}"):
            registry.provenance(absent)
        with pytest.raises(RepositoryError, match=f"There is no dataset {absent}"):
            registry.downstream(absent)

    def test_a_call_takes_the_same_number_of_statements_for_any_number_of_rows(
        self, registry: Registry
    ) -> None:
        counts = []
        for n in (1, 300):
            quanta = [quantum("isr", v, (raw(v),), (image(v),)) for v in range(n)]
            products = [replace(image(v), quantum_id=quanta[v].id) for v in range(n)]
            statements: list[str] = []

            def note(*arguments: object, into: list[str] = statements) -> None:
                into.append(str(arguments[2]))

            sa.event.listen(sa.Engine, "before_cursor_execute", note)
            try:
                registry.insert_exposures([info(v) for v in range(n)], [raw(v) for v in range(n)])
                registry.load(products, quanta)
                registry.query_datasets("visit_image", "band = 'clear'", ["run"])
                registry.provenance(products[0].id)
                registry.find("visit_image", products[0].data_id, ["run"])
            finally:
                sa.event.remove(sa.Engine, "before_cursor_execute", note)
            counts.append(len(statements))
        assert counts[1] <= counts[0]

    def test_one_put_is_found_and_replaced_by_the_next(self, registry: Registry) -> None:
        registry.put(image(1))
        registry.put(image(2, path="elsewhere/2.fits"))
        registry.put(image(1, content="b"))
        expected = [image(1, content="b"), image(2, path="elsewhere/2.fits")]
        assert registry.query_datasets() == expected
        registry.freeze("run")
        registry.put(image(2, path="elsewhere/2.fits"))
        with pytest.raises(ConflictError, match=r"frozen.*replaced"):
            registry.put(image(2, content="b"))
        with pytest.raises(ConflictError, match=r"frozen.*added"):
            registry.put(image(3))
        assert registry.query_datasets() == expected

    def test_any_number_is_ingested_and_again_without_effect(self, registry: Registry) -> None:
        records = [image(visit, "a" if visit % 2 else "b") for visit in range(50)]
        assert registry.ingest(iter(records[:30])) == 30
        assert registry.ingest(iter(records)) == 20
        assert registry.ingest(iter([])) == 0
        assert {r.id for r in registry.query_datasets()} == {r.id for r in records}
        registry.freeze("a")
        assert registry.ingest(records) == 0
        with pytest.raises(ConflictError, match="'a' is frozen"):
            registry.ingest([image(100, "a")])

    def test_all_contradictions_of_an_ingest_are_named_and_nothing_is_taken(
        self, registry: Registry
    ) -> None:
        registry.ingest([image(visit) for visit in range(4)])
        given = [image(visit, content="b" if visit in {1, 3} else "a") for visit in range(6)]
        with pytest.raises(ConflictError) as caught:
            registry.ingest(given)
        named = [r.path for r in given if r.path in str(caught.value)]
        assert named == [given[1].path, given[3].path]
        with pytest.raises(ConflictError, match="contents differ"):
            registry.ingest([image(7), image(7, content="b")])
        assert registry.query_datasets() == [image(visit) for visit in range(4)]

    def test_pruned_datasets_are_gone_and_their_provenance_is_not(self, registry: Registry) -> None:
        made = quantum("isr", 1, (raw(1),), (image(1),))
        product = replace(image(1), quantum_id=made.id)
        registry.load([product, image(2)], [made])
        assert registry.prune([product.id]) == [product]
        assert registry.query_datasets() == [image(2)]
        assert registry.provenance(product.id).quanta == {made.id: made}
        with pytest.raises(RepositoryError, match=f"no dataset {product.id}"):
            registry.prune([image(2).id, product.id])
        assert registry.query_datasets() == [image(2)]

    def test_what_a_collection_holds_is_pruned_only_on_demand(self, registry: Registry) -> None:
        registry.load([image(1), dark("run"), image(3)])
        registry.tag("best", [image(1).id])
        registry.certify("calibs", [dark("run").id], 1.0, 2.0)
        for held, name in ((image(1), "best"), (dark("run"), "calibs")):
            with pytest.raises(ConflictError, match=f"held by the collection '{name}'"):
                registry.prune([image(3).id, held.id])
        registry.prune([image(1).id, dark("run").id], is_held_too=True)
        assert registry.query_datasets() == [image(3)]
        assert registry.query_calibrations("dark", ["calibs"]) == []
        registry.freeze("run")
        with pytest.raises(ConflictError, match="'run' is frozen"):
            registry.prune([image(3).id])

    def test_a_removed_run_leaves_nothing(self, registry: Registry) -> None:
        registry.insert_exposures([info(1)], [raw(1)])
        made = quantum("isr", 1, (raw(1),), (image(1),))
        registry.load([replace(image(1), quantum_id=made.id), image(1, "other")], [made])
        registry.define_chain("chain", ["run"])
        for dry_run in (True, False):
            with pytest.raises(ConflictError, match="in the chain 'chain'"):
                registry.remove_run("run", dry_run=dry_run)
        registry.define_chain("chain", [])
        registry.tag("best", [image(1).id])
        with pytest.raises(ConflictError, match="held by the collection 'best'"):
            registry.remove_run("run")
        assert registry.release("best", [image(1).id]) == 1
        for dry_run in (True, False):
            removed = registry.remove_run("run", dry_run=dry_run)
            assert removed == [replace(image(1), quantum_id=made.id)]
        assert registry.query_datasets() == [raw(1), image(1, "other")]
        assert "run" not in {item.name for item in registry.collections()}
        assert registry.remove_run("raws") == [raw(1)]
        assert registry.query_exposures() == []
        with pytest.raises(RepositoryError, match="no run 'run'"):
            registry.remove_run("run")

    def test_a_frozen_run_is_not_removed(self, registry: Registry) -> None:
        registry.load([image(1)])
        registry.freeze("run")
        with pytest.raises(ConflictError, match="'run' is frozen"):
            registry.remove_run("run")
        assert registry.query_datasets() == [image(1)]

    def test_all_calibrations_of_a_collection_are_found(self, registry: Registry) -> None:
        registry.load([dark("a"), dark("b"), dark("c")])
        registry.certify("calibs", [dark("b").id], 1.0, 2.0)
        registry.certify("calibs", [dark("c").id], 2.0, 3.0)
        assert registry.query_datasets("dark", "", ["calibs"]) == [dark("b"), dark("c")]
        assert registry.query_datasets("dark", "", ["calibs", "a"]) == [dark("b"), dark("c")]
        assert registry.query_datasets("dark", "", ["a", "calibs"]) == [dark("a")]

    def test_released_calibrations_hold_no_more(self, registry: Registry) -> None:
        registry.load([dark("a"), dark("b")])
        registry.certify("calibs", [dark("a").id], 1.0, 2.0)
        assert registry.release("calibs", [dark("a").id, dark("b").id]) == 1
        registry.certify("calibs", [dark("b").id], 1.0, 2.0)
        found = registry.find_calibration("dark", dark("a").data_id, 1.5, ["calibs"])
        assert found == dark("b")
        with pytest.raises(RepositoryError, match="'a' is RUN"):
            registry.release("a", [dark("a").id])
        with pytest.raises(RepositoryError, match="no collection 'absent'"):
            registry.release("absent", [dark("a").id])

    def test_an_error_within_a_call_leaves_nothing_of_it(self, registry: Registry) -> None:
        registry.load([image(1)])
        orphan = replace(image(2), quantum_id=make_id("run", "isr", "absent"))
        with pytest.raises(sa.exc.IntegrityError):
            registry.load([image(3), orphan])
        assert registry.query_datasets() == [image(1)]


def dark(run: str, detector: int = 0) -> DatasetRecord:
    return record(datasets.dark, run, instrument="st10", detector=detector)


class TestSqliteFile(RegistrySuite):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'registry.sqlite3'}"


class TestSqliteMemory(RegistrySuite):
    @pytest.fixture
    def url(self) -> str:
        return "sqlite://"


class TestPostgres(RegistrySuite):
    @pytest.fixture
    def url(self, postgres: PostgresServer) -> str:
        return postgres.create_database()
