"""``lsstpipe get`` shows one dataset or copies it out."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from lsstpipe.butler import Butler
from lsstpipe.cli.get import command
from lsstpipe.errors import UserError
from lsstpipe.geometry.box import Box
from lsstpipe.image.catalog import Catalog, Column, Schema
from lsstpipe.image.exposure import Exposure

SUMMARY = "visit_detector_summary"
SCHEMA = Schema(
    "source",
    (
        Column("sourceId", "i8", "", "Unique id."),
        Column("psfFlux", "f8", "nJy", "Flux."),
        Column("band", "U4", "", "Band."),
    ),
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    Butler.create(tmp_path)
    pixels = np.ones((2, 3), np.float32)
    with Butler(tmp_path, run="run") as butler:
        for visit in (1, 2):
            where = {"instrument": "st10", "visit": visit, "detector": 0}
            butler.put({"visit": visit}, SUMMARY, where)
        columns = {"sourceId": [7, 8, 9], "psfFlux": [3.5, np.nan, -2.25], "band": ["r", "i", "g"]}
        butler.put(Catalog(SCHEMA, columns), "source", where)
        butler.put(
            Exposure(pixels, pixels.astype(np.int32), pixels, Box(0, 0, 2, 3), "1"),
            "visit_image",
            where,
        )
    return tmp_path


def invoke(*arguments: str | Path) -> Result:
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(command, words, catch_exceptions=False, env={"COLUMNS": "200"})


def test_json_goes_to_standard_output(repository: Path) -> None:
    result = invoke(SUMMARY, "--repo", repository, "visit=2", "detector=0")
    assert json.loads(result.output) == {"visit": 2}


def test_a_catalogue_is_shown_with_units_and_extremes(repository: Path) -> None:
    text = invoke("source", "--repo", repository).output
    assert "source: 3 rows" in text
    flux = next(line for line in text.splitlines() if "psfFlux" in line)
    cells = [cell.strip() for cell in flux.strip("│").split("│")]
    assert cells == ["psfFlux", "nJy", "3.5", "-2.25", "nan", "Flux."]


def test_an_image_is_named_by_its_path(repository: Path) -> None:
    path = Path(invoke("visit_image", "--repo", repository, "visit=2").output.strip())
    assert path.is_file()
    assert path.parts[-3:-1] == ("run", "visit_image")


def test_to_copies_the_bytes(repository: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "image.fits"
    source = Path(invoke("visit_image", "--repo", repository).output.strip())
    assert invoke("visit_image", "--repo", repository, "--to", target).output == ""
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    "text", ['x" OR visit = 1 OR band = "', 'x" OR run != "', "st10'", '"', "st10\\", "a' OR 'a"]
)
def test_a_value_says_nothing_but_itself(repository: Path, text: str) -> None:
    with pytest.raises(UserError, match=f"There is no {SUMMARY} of instrument={re.escape(text)} "):
        invoke(SUMMARY, "--repo", repository, f"instrument={text}")
    with Butler(repository, run="run") as butler:
        butler.put({"text": text}, SUMMARY, instrument=text, visit=1, detector=0)
    result = invoke(SUMMARY, "--repo", repository, f"instrument={text}")
    assert json.loads(result.output) == {"text": text}


@pytest.mark.parametrize("kind", ["pipe", "folder", "symbolic link"])
def test_to_replaces_no_more_than_a_file(repository: Path, tmp_path: Path, kind: str) -> None:
    target, aim = tmp_path / "target", tmp_path / "aim"
    aim.write_text("old")
    make = {
        "pipe": lambda: os.mkfifo(target),
        "folder": target.mkdir,
        "symbolic link": lambda: target.symlink_to(aim),
    }
    make[kind]()
    before = target.lstat()
    with pytest.raises(UserError, match=f"{target} is a {kind}, which would be replaced; allowed"):
        invoke(SUMMARY, "--repo", repository, "visit=2", "--to", target)
    assert target.lstat() == before
    assert aim.read_text() == "old"
    invoke(SUMMARY, "--repo", repository, "visit=2", "--to", aim)
    assert json.loads(aim.read_text()) == {"visit": 2}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [SUMMARY],
            r"2 datasets are visit_detector_summary of any data ID, such as .*--collection",
        ),
        ([SUMMARY, "visit=3"], "no visit_detector_summary of visit=3"),
        ([SUMMARY, "visit=x"], "visit must be an integer, got 'x'"),
        ([SUMMARY, f"visit={10**22}"], f"visit must be from .* got {10**22}"),
        ([SUMMARY, "visit"], "'visit' is not of the form NAME=VALUE"),
        ([SUMMARY, "colour=r"], "'colour' is not a dimension"),
        ([SUMMARY, "tract=1"], "has no dimension 'tract'; it has instrument, visit, detector"),
        (["sauce"], "no dataset type 'sauce'"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(
    repository: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        invoke(*arguments, "--repo", repository)
