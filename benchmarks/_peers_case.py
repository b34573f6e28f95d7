"""The programs run on a scene of the comparison, and what came out of them."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from _peers_astromatic import Setup, psfex_stamps, read_solution
from _peers_scene import Truth, true_psf, true_stamps, write_scene
from _peers_score import Detected, Row, compare_detections
from astropy.io import fits

from lsstpipe.algorithms.detect import DetectionSettings, detect_sources
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.exposure import Exposure
from lsstpipe.io.fits import read_exposure
from lsstpipe.io.parquet import read_catalog

ROOT = Path(__file__).parents[1]
FloatArray = npt.NDArray[np.float64]
THRESHOLDS = (3.5, 3.75, 4.0, 4.25, 4.5, 4.75, 5.0, 5.5)


@dataclass(frozen=True, slots=True)
class Case:
    """What is compared: the scene by its numbers and truth, where its files are, how often.

    Attributes
    ----------
    visit, detector, seed
        What was simulated.
    folder
        Where the files are.
    n_runs
        Runs of each program.
    truth
        The truth.
    setup
        The peers' settings.
    """

    visit: int
    detector: int
    seed: int
    folder: Path
    n_runs: int
    truth: Truth
    setup: Setup


def environment() -> dict[str, str]:
    """Give the environment of the processes: this checkout, one thread."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    return os.environ | {"PYTHONPATH": str(ROOT)} | dict.fromkeys(threads, "1")


def calibrate_command(case: Case) -> list[str]:
    """Give the command that calibrates an image, but for its name."""
    script = str(ROOT / "benchmarks" / "_peers_calibrate.py")
    return [sys.executable, script, str(case.folder)]


def measure(case: Case, command: Sequence[str]) -> Row:
    """Run a command several times; give the medians of CPU and wall time and of peak memory."""
    log = case.folder / "log"
    launcher = [sys.executable, str(ROOT / "benchmarks" / "_peers_usage.py"), str(log)]
    runs = []
    for _ in range(case.n_runs):
        text = subprocess.check_output([*launcher, *command], cwd=case.folder, env=environment())
        runs.append(json.loads(text))
        if runs[-1]["exit_code"]:
            sys.exit(f"{' '.join(command)} failed:\n{log.read_text()}")
    names = ("cpu_s", "wall_s", "peak_memory_mb")
    return {name: round(statistics.median(run[name] for run in runs), 3) for name in names}


def run_all(case: Case) -> dict[str, Row]:
    """Run every program and measure it."""
    here = calibrate_command(case)
    cost = {
        "lsstpipe": measure(case, [*here, "clean"]),
        "SExtractor for PSFEx": measure(case, case.setup.extract("ldac", 5.0, "stars.cat")),
        "PSFEx": measure(case, case.setup.model_psf(1.0)),
        "SExtractor with PSF": measure(case, case.setup.extract("photometry", 5.0, "phot.fits")),
        "SCAMP": measure(case, case.setup.solve(is_matching=True)),
    }
    (case.folder / "stars.psf").rename(case.folder / "sampled.psf")
    cost["PSFEx, own sampling"] = measure(case, case.setup.model_psf(0.0))
    measure(case, [*here, "rays"])
    return cost


Scan = dict[str, list[Detected]]
"""By program, what it found at each threshold."""


def scan_thresholds(case: Case, image: Exposure) -> Scan:
    """Detect at every threshold with both programs."""
    truth = case.truth
    scan: Scan = {"lsstpipe": [], "SExtractor": []}
    if image.psf is None:
        raise ValueError("A calibrated image has a PSF.")
    stamp = image.psf.stamp(y=float(truth.shape[0] // 2), x=float(truth.shape[1] // 2))
    planes = Planes(image.image, image.variance, image.mask)
    for n_sigma in THRESHOLDS:
        own = detect_sources(planes, stamp, DetectionSettings(n_sigma=n_sigma))
        subprocess.run(
            case.setup.extract("positions", n_sigma, "scan.fits"), cwd=case.folder, check=True
        )
        table = fits.getdata(case.folder / "scan.fits")
        theirs = (np.array(table[f"{axis}_IMAGE"], dtype=np.float64) - 1 for axis in "YX")
        for name, (y, x) in (("lsstpipe", (own.y, own.x)), ("SExtractor", theirs)):
            scan[name].append(compare_detections(truth, y, x))
    return scan


def prepare(folder: Path, *, visit: int, detector: int, seed: int, n_runs: int = 1) -> Case:
    """Simulate a detector.

    Parameters
    ----------
    folder
        Where the files are written.
    visit, detector, seed
        What is simulated.
    n_runs
        Runs of each program.
    """
    folder.mkdir(parents=True, exist_ok=True)
    truth = write_scene(folder, visit=visit, detector=detector, seed=seed)
    header = json.loads((folder / "header.json").read_text())
    setup = Setup(folder, header["fwhm_pix"], header["pixel_scale_arcsec"])
    setup.prepare()
    return Case(visit, detector, seed, folder=folder, n_runs=n_runs, truth=truth, setup=setup)


def read_image(case: Case) -> Exposure:
    """Read what `calibrate` made."""
    return read_exposure((case.folder / "clean-image.fits").read_bytes(), "image")


def read_source(case: Case) -> Catalog:
    """Read the sources that `calibrate` found."""
    return read_catalog((case.folder / "clean-source.parquet").read_bytes(), "source")


def psf_stamps(
    case: Case, image: Exposure, source: Catalog
) -> tuple[dict[str, FloatArray], FloatArray, int]:
    """Draw all PSF models, and the truth, at the same places of a grid.

    Returns
    -------
    models
        By program, shape ``(n, size, size)``. PSFEx chooses its stars, or takes those of lsstpipe
        ("same stars"); its model is on the image's pixels, or on those that it chooses ("own
        sampling").
    true
        Of the same shape.
    n_same
        Stars of lsstpipe that PSFEx has.
    """
    if image.psf is None:
        raise ValueError("A calibrated image has a PSF.")
    ny, nx = case.truth.shape
    y, x = (v.ravel() for v in np.mgrid[60 : ny - 60 : 16j, 60 : nx - 60 : 12j])
    size = image.psf.size
    shapes = true_psf(visit=case.visit, detector=case.detector, seed=case.seed, y=y, x=x)
    used = source["calib_psf_used"].astype(bool)
    n_same = case.setup.keep_stars(source["y"][used], source["x"][used])
    # The lsstpipe PSF belongs to a position; on whole pixels its stamps are centred.
    models = {"lsstpipe": image.psf.stamps(y=np.round(y), x=np.round(x))}
    for label, file in (("", "sampled"), (", own sampling", "stars")):
        path = case.folder / f"{file}.psf"
        models[f"PSFEx{label}"] = psfex_stamps(path, y=y, x=x, size=size)
    subprocess.run(case.setup.model_psf(1.0, "same.cat"), cwd=case.folder, check=True)
    path = case.folder / "same.psf"
    models["PSFEx, same stars"] = psfex_stamps(path, y=y, x=x, size=size)
    return models, true_stamps(shapes, size), n_same


ToSky = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
"""From ``y, x`` to right ascension and declination, degrees."""


def sky_maps(case: Case, image: Exposure) -> tuple[ToSky, ToSky]:
    """Give the maps to the sky that lsstpipe and SCAMP found."""
    own, scamp = image.wcs, read_solution(case.folder / "stars.head", case.truth.shape)
    if own is None:
        raise ValueError("A calibrated image has a WCS.")

    def by_scamp(y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        ra, dec = scamp.all_pix2world(x, y, 0)
        return ra, dec

    return (lambda y, x: own.pixel_to_sky(y=y, x=x)), by_scamp


def peer_positions(case: Case) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Read SExtractor's positions, pixels from 0, by their kind: windowed, and of the PSF."""
    table = fits.getdata(case.folder / "phot.fits")
    return {
        name: (
            np.array(table[f"Y{kind}_IMAGE"], dtype=np.float64) - 1,
            np.array(table[f"X{kind}_IMAGE"], dtype=np.float64) - 1,
        )
        for name, kind in (("SExtractor windowed", "WIN"), ("SExtractor PSF", "PSF"))
    }
