"""THE table of dataset types, in the order in which a production makes them.

Names follow Rubin's DP1 and DP2. To add a dataset, add it here; nothing else spells its name,
dimensions or path.
"""

from __future__ import annotations

from collections.abc import Mapping

from lsstpipe.data_model import DataId, DataIdValue, DatasetType
from lsstpipe.errors import DataIdError, UserError

raw = DatasetType(
    "raw", ("instrument", "exposure", "detector"), "raw",
    "One detector of one exposure as the camera wrote it, in ADU.",
)  # fmt: skip
reference_catalog = DatasetType(
    "reference_catalog", (), "catalog",
    "Stars of known position (deg, ICRS) and flux (nJy).",
)  # fmt: skip
skymap = DatasetType(
    "skymap", ("skymap",), "json", "The tracts and patches that the sky is divided into."
)

bias = DatasetType(
    "bias", ("instrument", "detector"), "exposure",
    "Master bias: electrons that are left after the overscan was subtracted.",
    is_calibration=True,
)  # fmt: skip
dark = DatasetType(
    "dark", ("instrument", "detector"), "exposure",
    "Master dark: electrons of one reference exposure time, bias included when there is none.",
    is_calibration=True,
)  # fmt: skip
defects = DatasetType(
    "defects", ("instrument", "detector"), "exposure",
    "Pixels that cannot be trusted: plane BAD of the mask; the image is the dark current.",
    is_calibration=True,
)  # fmt: skip
flat = DatasetType(
    "flat", ("instrument", "detector", "physical_filter"), "exposure",
    "Relative response to the sky, mean 1, from dithered exposures with their sources masked.",
    is_calibration=True,
)  # fmt: skip

ptc = DatasetType(
    "ptc", ("instrument", "detector"), "json",
    "Photon transfer of the amplifiers: gain, read noise, level from which they saturate.",
    is_calibration=True,
)  # fmt: skip
linearizer = DatasetType(
    "linearizer", ("instrument", "detector"), "json",
    "How far each amplifier is from linear, in ADU above its bias level.",
    is_calibration=True,
)  # fmt: skip
crosstalk = DatasetType(
    "crosstalk", ("instrument", "detector"), "json",
    "Share of the signal of each amplifier that appears in each other one.",
    is_calibration=True,
)  # fmt: skip
bfk = DatasetType(
    "bfk", ("instrument", "detector"), "json",
    "Brighter-fatter kernel: how collected charge moves the borders of pixels.",
    is_calibration=True,
)  # fmt: skip
fringe = DatasetType(
    "fringe", ("instrument", "detector", "physical_filter"), "exposure",
    "Pattern that the lines of the night sky make by interference: mean 0, amplitude 1.",
    is_calibration=True,
)  # fmt: skip

post_isr_image = DatasetType(
    "post_isr_image", ("instrument", "visit", "detector"), "exposure",
    "One detector without the camera's signature, in electrons.",
)  # fmt: skip
visit_image = DatasetType(
    "visit_image", ("instrument", "visit", "detector"), "exposure",
    "One detector calibrated by itself: background taken off, in nJy, with PSF, WCS, aperture "
    "correction.",
)  # fmt: skip
visit_image_background = DatasetType(
    "visit_image_background", ("instrument", "visit", "detector"), "exposure",
    "The background that was taken off the visit image, in nJy.",
)  # fmt: skip
source = DatasetType(
    "source", ("instrument", "visit", "detector"), "catalog",
    "Sources detected and measured on one visit image.",
)  # fmt: skip
visit_detector_summary = DatasetType(
    "visit_detector_summary", ("instrument", "visit", "detector"), "json",
    "How the calibration of one visit image went: counts, residuals, PSF, sky, zero point.",
)  # fmt: skip

isolated_star = DatasetType(
    "isolated_star", ("instrument", "skymap", "tract"), "catalog",
    "Sources of all visits grouped into isolated stars: one row a source.",
)  # fmt: skip
joint_astrometry = DatasetType(
    "joint_astrometry", ("instrument", "skymap", "tract"), "json",
    "WCS of every visit and detector from the fit of all visits together, and its residuals.",
)  # fmt: skip
joint_photometry = DatasetType(
    "joint_photometry", ("instrument", "skymap", "tract"), "json",
    "Zero point and spatial term of every visit from the fit of all visits together.",
)  # fmt: skip
visit_summary = DatasetType(
    "visit_summary", ("instrument", "visit"), "json",
    "Final calibration of a visit: WCS and photometric scale of each detector, quality figures.",
)  # fmt: skip

direct_warp = DatasetType(
    "direct_warp", ("instrument", "skymap", "tract", "patch", "visit"), "exposure",
    "A visit resampled to a patch, in nJy.",
)  # fmt: skip
deep_coadd = DatasetType(
    "deep_coadd", ("skymap", "tract", "patch", "band"), "exposure",
    "Weighted mean of the warps of a patch in a band, with the PSF of its inputs.",
)  # fmt: skip
deep_coadd_n_image = DatasetType(
    "deep_coadd_n_image", ("skymap", "tract", "patch", "band"), "exposure",
    "Number of warps that each pixel of the coadd is made of.",
)  # fmt: skip
deep_coadd_summary = DatasetType(
    "deep_coadd_summary", ("skymap", "tract", "patch", "band"), "json",
    "What of artefacts, real and planted, was removed from a coadd and what is left.",
)  # fmt: skip

object_ = DatasetType(
    "object", ("skymap", "tract", "patch"), "catalog",
    "Objects detected, deblended and measured on the coadds of a patch.",
)  # fmt: skip
forced_source = DatasetType(
    "forced_source", ("instrument", "visit", "detector", "skymap", "tract"), "catalog",
    "PSF flux of every object at its coadd position on one visit image.",
)  # fmt: skip

source_table = DatasetType(
    "source_table", ("instrument", "skymap", "tract"), "catalog",
    "Sources of all visits that overlap a tract.",
)  # fmt: skip
object_table = DatasetType(
    "object_table", ("instrument", "skymap", "tract"), "catalog",
    "Objects of a tract; those with detect_isPrimary are there once.",
)  # fmt: skip
forced_source_table = DatasetType(
    "forced_source_table", ("instrument", "skymap", "tract"), "catalog",
    "Forced sources of all visits of the objects of a tract: the light curves.",
)  # fmt: skip
visit_table = DatasetType(
    "visit_table", ("instrument", "skymap", "tract"), "catalog",
    "One row a visit and detector: times, seeing, zero point, depth.",
)  # fmt: skip

metrics = DatasetType("metrics", (), "json", "Measured quality of the campaign, with bounds.")
lightcurve = DatasetType(
    "lightcurve", (), "csv", "Differential light curve of the campaign's target."
)

DATASET_TYPES: dict[str, DatasetType] = {
    value.name: value for value in list(globals().values()) if isinstance(value, DatasetType)
}
"""Every dataset type by name, in flow order."""


def as_dataset_type(kind: DatasetType | str) -> DatasetType:
    """Look up a dataset type by its name, if it is one.

    Parameters
    ----------
    kind
        A type or its name.
    """
    return find_dataset_type(kind) if isinstance(kind, str) else kind


def name_dataset(
    kind: DatasetType | str, data_id: Mapping[str, DataIdValue] | None, **more: DataIdValue
) -> tuple[DatasetType, DataId]:
    """Take a user at the word: a type, and the dimensions that it has, no others.

    Parameters
    ----------
    kind
        A type or its name.
    data_id, more
        The dimensions; one that is missing is noticed where they are used.

    Raises
    ------
    UserError
        If there is no such type, or it has not all of the dimensions.
    """
    own, where = as_dataset_type(kind), DataId(data_id, **more)
    if not where.keys() <= set(own.dimensions):
        raise DataIdError(
            f"{own.name} has the dimensions {', '.join(own.dimensions) or 'none'}; "
            f"got {dict(where)}."
        )
    return own, where


def find_dataset_type(name: str) -> DatasetType:
    """Look up a dataset type by name.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if name not in DATASET_TYPES:
        raise UserError(f"There is no dataset type '{name}'; there are {', '.join(DATASET_TYPES)}.")
    return DATASET_TYPES[name]
