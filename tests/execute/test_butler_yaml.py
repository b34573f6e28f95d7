"""Times go to Rubin's Butler and come back, as far as it can hold them."""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from lsstpipe.butler import Butler
from lsstpipe.errors import InputFileError, RepositoryError
from lsstpipe.execute import butler_yaml
from lsstpipe.execute.butler_dimensions import _night, _span
from lsstpipe.execute.butler_export import export_butler
from lsstpipe.execute.butler_ingest import ingest_butler
from lsstpipe.execute.butler_yaml import Time, Timespan
from lsstpipe.geometry.box import Box
from lsstpipe.image.exposure import Exposure, ObservationInfo

YEAR_1970, YEAR_2100, YEAR_2300 = 40587.0, 88069.0, 161117.0


def span_of(begin: object, end: object) -> Timespan | None:
    """Read a timespan as Rubin's Butler spells it."""
    entry = {"type": "x", "timespan": Timespan(begin, end)}  # type: ignore[arg-type]
    stream = BytesIO()
    butler_yaml.write([entry], stream)
    found = butler_yaml.read(stream.getvalue(), "it")[0]["timespan"]
    assert found is None or isinstance(found, Timespan)
    return found


@pytest.mark.parametrize(
    ("mjd", "text"),
    [
        (YEAR_2300, "2300-01-01 00:00:00.000000000"),
        (YEAR_2300 + 0.75, "2300-01-01 18:00:00.000000000"),
        (-112846.5, "1549-11-30 12:00:00.000000000"),
        (51544.0, "2000-01-01 00:00:00.000000000"),
    ],
)
def test_a_time_of_any_year_is_spelled_and_read(mjd: float, text: str) -> None:
    assert str(Time(mjd)) == text
    assert Time.parse(text).mjd == pytest.approx(mjd, abs=1e-10)


def test_a_date_alone_is_its_midnight() -> None:
    assert Time.parse("2300-01-01") == Time(YEAR_2300)


@pytest.mark.parametrize("begin", [-math.inf, -1e308, -112846.5, 0.0, YEAR_1970])
@pytest.mark.parametrize("end", [math.inf, 1e308, YEAR_2300, YEAR_2100])
def test_bounds_beyond_those_of_rubins_butler_are_none(begin: float, end: float) -> None:
    assert Timespan.from_mjd(begin, end) == Timespan(None, None)
    assert Timespan.from_mjd(60000.0, end) == Timespan(Time(60000.0), None)
    assert Timespan.from_mjd(begin, 60000.0) == Timespan(None, Time(60000.0))


def test_bounds_beyond_those_of_rubins_butler_are_read_as_none() -> None:
    assert span_of(Time(60000.0), Time(YEAR_2300)) == Timespan(Time(60000.0), None)
    assert span_of(Time(0.0), Time(60000.0)) == Timespan(None, Time(60000.0))
    assert span_of(Time(60000.0), Time(60001.5)) == Timespan(Time(60000.0), Time(60001.5))
    assert span_of(Time(YEAR_2300), Time(YEAR_2300 + 1)) is None
    assert span_of(None, Time(0.0)) is None
    assert span_of(None, None) == Timespan(None, None)


@pytest.mark.parametrize("text", ["", "x", "2300-01-01 25:00:00", "99999999999999999999-01-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    content = f"version: 1.0.2\ndata: [{{type: x, at: !butler_time/tai/iso '{text}'}}]"
    with pytest.raises(InputFileError, match="it is no export of a Butler"):
        butler_yaml.read(content.encode(), "it")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A bias, which no exposure is needed for."""
    plane = np.zeros((4, 4), np.float32)
    image = Exposure(plane, np.zeros((4, 4), np.int32), plane, Box(0, 0, 4, 4), "electron")
    Butler.create(tmp_path / "repo")
    with Butler(tmp_path / "repo", run="one") as butler:
        butler.put(image, "bias", instrument="st10", detector=0)
    return tmp_path / "repo"


def certify_and_export(repo: Path, begin: float, end: float) -> None:
    with Butler(repo) as butler:
        ids = [record.id for record in butler.registry.query_datasets("bias")]
        butler.registry.certify("calib", ids, begin, end)
        export_butler(butler, "calib", repo.parent / "out", jobs=1, advance=lambda _: None)


def test_a_calibration_that_holds_beyond_2100_has_no_end_there(repo: Path, tmp_path: Path) -> None:
    certify_and_export(repo, 60000.0, YEAR_2300)
    Butler.create(tmp_path / "mine")
    with Butler(tmp_path / "mine") as butler:
        ingest_butler(butler, tmp_path / "out" / "export.yaml")
        (found,) = butler.registry.query_calibrations("bias", ["calib"])
        assert (found.valid_begin_mjd, found.valid_end_mjd) == (60000.0, math.inf)


@pytest.mark.parametrize(("begin", "end"), [(YEAR_2300, 1e308), (-1e308, 0.0)])
def test_a_calibration_that_holds_only_elsewhere_is_refused(
    repo: Path, begin: float, end: float
) -> None:
    with pytest.raises(RepositoryError, match=r"In 'calib' calibrations hold .* 1970 to 2100"):
        certify_and_export(repo, begin, end)
    assert not (repo.parent / "out").exists()


def test_what_holds_at_no_time_is_not_certified(repo: Path, tmp_path: Path) -> None:
    certify_and_export(repo, 60000.0, 60001.0)
    path = tmp_path / "out" / "export.yaml"
    text = path.read_text().replace("2023-02-26", "1960-02-26").replace("2023-02-25", "1960-02-25")
    assert text != path.read_text()
    path.write_text(text)
    Butler.create(tmp_path / "mine")
    with Butler(tmp_path / "mine") as butler:
        ingest_butler(butler, path)
        assert len(butler.registry.query_datasets("bias")) == 1
        assert "calib" not in {item.name for item in butler.registry.collections()}


def test_an_exposure_of_another_century_is_refused() -> None:
    info = ObservationInfo(
        "hsc", 7, 0, "HSC-R", "r", "science", "field", 30.0, 31.0, 60000.0, airmass=2.0
    )
    assert _span(info).begin == Time(60000.0 - 15 / 86400)
    for mjd in (YEAR_2300, 1e9, 15000.0, math.nan):
        other = ObservationInfo(
            "hsc", 7, 0, "HSC-R", "r", "science", "field", 30.0, 31.0, mjd, airmass=2.0
        )
        with pytest.raises(RepositoryError, match=r"Exposure 7 of hsc .* 1970 to 2100"):
            _span(other)
    assert _night("hsc", 19691231)["datetime_begin"] is None
