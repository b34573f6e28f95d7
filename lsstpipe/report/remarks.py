"""What the fits say of themselves: questions that the observations leave open, wrong dates."""

from __future__ import annotations

from collections.abc import Iterable

from lsstpipe.report.page import Exceptional, Json


def list_remarks(
    frames: Iterable[Json], *, astrometry: Iterable[Json], photometry: Iterable[Json]
) -> tuple[Exceptional, ...]:
    """List what the observations leave open, and frames to which the catalogue is of another date.

    Parameters
    ----------
    frames
        The visit summaries of all detectors.
    astrometry, photometry
        The joint fits of each tract.
    """
    wrong = tuple(
        Exceptional(
            "catalogue of another date",
            f"visit {frame['visit']}, detector {frame['detector']}",
            f"Its stars lie {own['epoch_offset_yr']:.1f} ± {own['epoch_offset_err_yr']:.1f} "
            "years of their proper motions away from where they are.",
        )
        for frame in frames
        if (own := frame["astrometry"]).get("is_epoch_wrong")
    )
    return wrong + tuple(
        Exceptional("left open by the observations", name, sentence)
        for name, fits in (("joint_astrometry", astrometry), ("joint_photometry", photometry))
        for fit in fits
        for sentence in fit.get("degeneracies", ())
    )
