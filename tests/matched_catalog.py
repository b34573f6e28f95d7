"""Reader of the matched catalogues of real Hyper Suprime-Cam visits that Rubin's faro carries."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from astropy.io import fits

from lsstpipe.algorithms.star_sample import StarSample, sort_sample

_PIXEL_FLAGS = ("saturated", "cr", "bad", "edge")


def read_sample(path: Path) -> StarSample:
    """Read the measurements of one file."""
    with fits.open(path) as file:
        table, header = file[1].data, file[1].header
        place = {header[f"TFLAG{i + 1}"]: i for i in range(table["flags"].shape[1])}
        flagged = ~table["flags"][:, place["detect_isPrimary"]]
        for name in _PIXEL_FLAGS:
            flagged = flagged | table["flags"][:, place[f"base_PixelFlags_flag_{name}"]]
        sample = StarSample(
            star=table["object"].astype(np.int64),
            visit=table["visit"].astype(np.int64),
            band=table["filt"].astype(np.int64),
            ra_deg=np.rad2deg(table["coord_ra"].astype(np.float64)),
            dec_deg=np.rad2deg(table["coord_dec"].astype(np.float64)),
            mag=table["base_PsfFlux_mag"].astype(np.float64),
            snr=table["base_PsfFlux_snr"].astype(np.float64),
            extendedness=table["base_ClassificationExtendedness_value"].astype(np.float64),
            is_flagged=np.asarray(flagged, bool),
            e1=table["e1"].astype(np.float64) - table["psf_e1"],
            e2=table["e2"].astype(np.float64) - table["psf_e2"],
        )
    return sort_sample(sample)


def read_answer(path: Path) -> float:
    """Read the value that faro measured."""
    return float(re.findall(r"^value: (.+)$", path.read_text(), flags=re.MULTILINE)[0])
