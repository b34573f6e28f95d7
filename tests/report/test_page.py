from __future__ import annotations

import html.parser
import re
from dataclasses import replace
from pathlib import Path

import pytest

from lsstpipe.report.page import Exceptional, Page
from lsstpipe.report.render import render

SECTIONS = (
    "metrics", "coadd", "transit", "astrometry", "psf", "photometry", "resources", "exceptions",
    "provenance",
)  # fmt: skip
DRAWINGS = (
    "lightcurve", "comparisons", "frame-rms", "residual-vectors", "joint-residuals",
    "joint-magnitude", "fwhm", "size-map", "size-magnitude", "repeatability", "night",
)  # fmt: skip
MAX_BYTES = 4_000_000


class Outline(html.parser.HTMLParser):
    """Collect ids, links, references to other files and open elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.anchors: list[str] = []
        self.fetched: list[str] = []
        self.without_text: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.scripts += tag == "script"
        if values.get("id"):
            self.ids.append(str(values["id"]))
        link = str(values.get("href") or values.get("xlink:href") or "")
        if tag == "a" and link.startswith("#"):
            self.anchors.append(link[1:])
        source = str(values.get("src") or (link if tag != "a" else ""))
        if source and not source.startswith(("data:", "#")):
            self.fetched.append(source)
        if (tag == "img" and not values.get("alt")) or (
            tag == "svg" and not values.get("aria-label")
        ):
            self.without_text.append(tag)


@pytest.fixture(scope="module")
def outline(text: str) -> Outline:
    outline = Outline()
    outline.feed(text)
    return outline


def test_every_section_and_drawing_is_there_and_the_navigation_leads_to_them(
    outline: Outline,
) -> None:
    assert set(SECTIONS) | set(DRAWINGS) <= set(outline.ids)
    assert set(outline.anchors) <= set(outline.ids)


def test_ids_are_unique_in_the_page(outline: Outline) -> None:
    assert len(outline.ids) == len(set(outline.ids))


def test_references_within_drawings_lead_somewhere(text: str, outline: Outline) -> None:
    used = set(re.findall(r"url\(#([^)]+)\)", text))
    used |= set(re.findall(r'xlink:href="#([^"]+)"', text))
    assert used <= set(outline.ids)


def test_nothing_is_fetched_and_no_script_is_run(text: str, outline: Outline) -> None:
    assert outline.fetched == []
    assert outline.scripts == 0
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text


def test_every_picture_has_a_text_for_those_who_do_not_see_it(outline: Outline) -> None:
    assert outline.without_text == []


def test_the_page_is_light(text: str) -> None:
    assert len(text.encode()) < MAX_BYTES


def test_the_page_tells_the_measured_numbers(page: Page, text: str) -> None:
    assert page.target is not None
    fit = page.target["fit"]
    assert f"{100 * fit['depth']:.2f} ± {100 * fit['depth_err']:.2f} %" in text
    for metric in page.metrics:
        assert metric["id"] in text


def test_the_same_page_is_rendered_to_the_same_text(page: Page, text: str) -> None:
    slim = replace(page, coadd=None, sizes=None, frames=(), joint_astrometry=(), target=None)
    assert render(slim) == render(slim)
    assert "The coadd" not in render(slim)


def test_text_from_data_cannot_become_markup(page: Page, text: str) -> None:
    assert "&lt;of visit 99&gt;" in text
    evil = Exceptional("flagged", "<script>alert(1)</script>", "<b>bold</b>")
    outline = Outline()
    outline.feed(render(Page("<i>title</i>", "", (), exceptional=(evil,))))
    assert outline.scripts == 0


def test_what_was_refused_skipped_and_flagged_is_listed(page: Page) -> None:
    kinds = {item.kind: item for item in page.exceptional}
    assert set(kinds) == {"file refused", "left out by the plan", "flagged"}
    assert kinds["file refused"].what == "tres1-099.fits.fz"
    assert kinds["left out by the plan"].why == "No flat frames."
    assert "visit=99" in kinds["flagged"].what


def test_an_empty_campaign_still_makes_a_page() -> None:
    text = render(Page("Nothing", "No frame came through.", ()))
    assert "No stage has left a manifest." in text
    assert "Nothing: every task of the plan was done" in text


def test_a_target_that_was_not_measured_says_why(page: Page) -> None:
    target = {"name": "TrES-1", "ra_deg": 286.0, "dec_deg": 36.6, "message": "No such object."}
    text = render(replace(page, target=target, lightcurve={}, frames=(), joint_astrometry=()))
    assert "No such object." in text
    assert 'id="lightcurve"' not in text


def test_links_name_files_that_exist(repo: Path, page: Page) -> None:
    missing = {path for path in page.links.values() if not (repo / path).exists()}
    assert missing == {"lightcurve.csv"}  # the command writes it beside the page
