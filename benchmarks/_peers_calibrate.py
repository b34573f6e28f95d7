"""Run the task `calibrate` on an image of the comparison, as a process that can be measured.

python benchmarks/_peers_calibrate.py FOLDER NAME

Reads ``NAME.fits`` and ``reference.parquet``; writes ``NAME-image.fits``, ``NAME-source.parquet``
and ``NAME-steps.json``, the CPU seconds of each step.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from lsstpipe.data_model import DataId
from lsstpipe.io.fits import read_exposure, write_exposure
from lsstpipe.io.parquet import read_catalog, write_catalog
from lsstpipe.tasks import calibrate

STEPS = {
    "background": ("fit_background", "estimate_sky_variance"),
    "cosmic rays": ("find_cosmic_rays", "_repair"),
    "PSF": ("find_bright_sources", "fit_psf_among"),
    "detection": ("detect_sources",),
    "measurement": ("measure_sources", "correct_apertures", "place_stars"),
    "astrometry": ("_solve",),
    "photometry": ("_fit_zero_point",),
}
"""Functions of the task that each step consists of."""


def _timed(function: Callable[..., Any], step: str, seconds: dict[str, float]) -> Any:
    """Add the CPU time of a function to that of its step."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        started = time.process_time()
        result = function(*args, **kwargs)
        seconds[step] += time.process_time() - started
        return result

    return call


def main(folder: Path, name: str) -> None:
    """Calibrate one image and write what came out."""
    seconds = dict.fromkeys(STEPS, 0.0)
    for step, functions in STEPS.items():
        for function in functions:
            setattr(calibrate, function, _timed(getattr(calibrate, function), step, seconds))
    started = time.process_time()
    image = read_exposure((folder / f"{name}.fits").read_bytes(), name)
    reference = read_catalog((folder / "reference.parquet").read_bytes(), "reference")
    seconds["reading"] = time.process_time() - started
    inputs = calibrate.Inputs(post_isr_image=image, reference_catalog=reference)
    data_id = DataId({"instrument": "simcam", "visit": 1, "detector": 0})
    outputs = calibrate.run(inputs, calibrate.Config(), data_id)
    started = time.process_time()
    (folder / f"{name}-image.fits").write_bytes(write_exposure(outputs.visit_image))
    (folder / f"{name}-source.parquet").write_bytes(write_catalog(outputs.source))
    seconds["writing"] = time.process_time() - started
    (folder / f"{name}-steps.json").write_text(json.dumps(seconds) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
