"""What the fits leave open is said on the page."""

from __future__ import annotations

from lsstpipe.report.page import Exceptional, Json, Page
from lsstpipe.report.remarks import list_remarks
from lsstpipe.report.render import render

_FRAMES: list[Json] = [
    {"visit": 3, "detector": 0, "astrometry": {"is_epoch_wrong": False, "epoch_offset_yr": 0.1}},
    {"visit": 4, "detector": 1, "astrometry": {"is_epoch_wrong": True,
     "epoch_offset_yr": -9.97, "epoch_offset_err_yr": 0.44}},
]  # fmt: skip


def test_open_questions_and_wrong_dates_are_listed_and_sound_frames_are_not() -> None:
    found = list_remarks(
        _FRAMES,
        astrometry=[{"degeneracies": ["Proper motions are not fitted."]}],
        photometry=[{}, {"degeneracies": ["Band r has one visit."]}],
    )
    assert found == (
        Exceptional(
            "catalogue of another date",
            "visit 4, detector 1",
            "Its stars lie -10.0 ± 0.4 years of their proper motions away from where they are.",
        ),
        Exceptional(
            "left open by the observations", "joint_astrometry", "Proper motions are not fitted."
        ),
        Exceptional("left open by the observations", "joint_photometry", "Band r has one visit."),
    )
    text = render(Page("title", "", (), exceptional=found))
    assert "Proper motions are not fitted." in text
