"""lsstpipe, SExtractor, PSFEx and SCAMP on the same simulated pixels; runs/bench/peers.json.

    python benchmarks/peers.py [--visit 13] [--detector 0] [--seed 1] [--runs 3]

One detector of 2048 x 4096 from `lsstpipe simulate` is calibrated by the task `calibrate`, and
taken through SExtractor, PSFEx, SExtractor again with the PSF, and SCAMP, each on one thread; all
results are compared with the truth. Both calibrations use the same reference stars. CPU seconds
and peak memory are the kernel's, of whole processes with start-up, reading and writing; the median
of the runs is given. Detection is compared at the thresholds at which the same share of detections
is spurious. Astroscrappy is compared in cosmic rays if it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _peers_astromatic import Setup, missing_programs, psfex_stamps, read_solution
from _peers_scene import Truth, true_psf, true_stamps, write_scene
from _peers_score import (
    Detected,
    Fluxes,
    Row,
    centroid_residuals,
    compare_detections,
    completeness,
    flux_residuals,
    pool,
    psf_residuals,
    psf_sizes,
    ray_counts,
    sky_residuals,
)
from astropy.io import fits

from lsstpipe.algorithms.detect import DetectionSettings, detect_sources
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.io.fits import read_exposure
from lsstpipe.io.parquet import read_catalog
from lsstpipe.measure.psf_truth import psf_peer_metric

ROOT = Path(__file__).parents[1]
FloatArray = npt.NDArray[np.float64]
THRESHOLDS = (3.5, 3.75, 4.0, 4.25, 4.5, 4.75, 5.0, 5.5)
SPURIOUS = (0.03, 0.01)
"""Shares of spurious detections at which detection is compared."""


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


def compare_detection(scans: Sequence[Scan]) -> list[Row]:
    """Find the completeness of both programs at equal shares of spurious detections."""
    rows = []
    for share in SPURIOUS:
        for name in scans[0]:
            pooled = [pool(parts) for parts in zip(*(scan[name] for scan in scans), strict=True)]
            spurious = np.array([found.is_spurious.mean() for found in pooled])
            at: Row = {"program": name, "spurious": share, "n_detectors": len(scans)}
            at["n_sigma"] = _at(share, spurious, THRESHOLDS)
            each = [completeness(found) for found in pooled]
            for column in each[0]:
                at[column] = _at(share, spurious, [row[column] for row in each])
            at["spurious_at_5_sigma"] = float(spurious[THRESHOLDS.index(5.0)])
            rows.append(at)
    return rows


def _at(share: float, spurious: FloatArray, values: Sequence[Any]) -> float:
    """Interpolate in the logarithm of the spurious share."""
    logs = np.log(np.maximum(spurious, 1e-5))[::-1]
    return float(np.interp(np.log(share), logs, np.array(values, dtype=np.float64)[::-1]))


def compare_psf(case: Case, image: Exposure, source: Catalog) -> tuple[list[Row], list[Row]]:
    """Compare the PSF models on a grid; judge the error of the size, PSF-4, on the same stars."""
    ny, nx = case.truth.shape
    y, x = (v.ravel() for v in np.mgrid[60 : ny - 60 : 16j, 60 : nx - 60 : 12j])
    if image.psf is None:
        raise ValueError("A calibrated image has a PSF.")
    size = image.psf.size
    shapes = true_psf(visit=case.visit, detector=case.detector, seed=case.seed, y=y, x=x)
    true = true_stamps(shapes, size)
    used = source["calib_psf_used"].astype(bool)
    n_same = case.setup.keep_stars(source["y"][used], source["x"][used])
    subprocess.run(case.setup.model_psf(1.0, "same.cat"), cwd=case.folder, check=True)
    # The lsstpipe PSF belongs to a position; on whole pixels its stamps are centred.
    models = {
        "lsstpipe": image.psf.stamps(y=np.round(y), x=np.round(x)),
        "PSFEx": psfex_stamps(case.folder / "sampled.psf", y=y, x=x, size=size),
        "PSFEx, own sampling": psfex_stamps(case.folder / "stars.psf", y=y, x=x, size=size),
        "PSFEx, same stars": psfex_stamps(case.folder / "same.psf", y=y, x=x, size=size),
    }
    rows: list[Row] = [
        {"program": name, **psf_residuals(stamps, true)} for name, stamps in models.items()
    ]
    sizes = (psf_sizes(part) for part in (models["lsstpipe"], models["PSFEx, same stars"], true))
    metric = psf_peer_metric(*sizes)
    judged: Row = {"program": "PSF-4", "worse_ratio": metric.value, "note": metric.note}
    return rows, [judged | {"n_stars": int(used.sum()), "n_stars_psfex": n_same}]


def compare_positions(case: Case, image: Exposure, source: Catalog) -> tuple[list[Row], list[Row]]:
    """Compare centroids with the truth, and the WCS."""
    table = fits.getdata(case.folder / "phot.fits")
    wcs = read_solution(case.folder / "stars.head", case.truth.shape)
    own = image.wcs
    if own is None:
        raise ValueError("A calibrated image has a WCS.")

    def by_scamp(y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        ra, dec = wcs.all_pix2world(x, y, 0)
        return ra, dec

    catalogs = {"lsstpipe": (source["y"], source["x"])}
    for name, kind in (("SExtractor windowed", "WIN"), ("SExtractor PSF", "PSF")):
        y, x = (np.array(table[f"{a}{kind}_IMAGE"], dtype=np.float64) - 1 for a in "YX")
        catalogs[name] = (y, x)
    centroids: list[Row] = []
    sky: list[Row] = []
    for name, (y, x) in catalogs.items():
        centroids.append({"program": name, **centroid_residuals(case.truth, y, x)})
        to_sky = (lambda y, x: own.pixel_to_sky(y=y, x=x)) if name == "lsstpipe" else by_scamp
        label = name if name == "lsstpipe" else f"SCAMP, {name}"
        sky.append({"program": label, **sky_residuals(case.truth, y, x, to_sky)})
    return centroids, sky


def compare_fluxes(case: Case, source: Catalog) -> list[Row]:
    """Compare fluxes with the truth."""
    good = ~(source["psfFlux_flag"].astype(bool) | source["pixelFlags_saturated"].astype(bool))
    own = (source["y"], source["x"])
    rows: list[Row] = []
    for name in ("psf", "ap06", "ap12"):
        fluxes = Fluxes(*own, source[f"{name}Flux"], source[f"{name}FluxErr"], good)
        row = flux_residuals(case.truth, fluxes, 1.0 if name == "psf" else None)
        rows.append({"program": f"lsstpipe {name}", **row})
    table = fits.getdata(case.folder / "phot.fits")
    theirs = [np.array(table[f"{axis}WIN_IMAGE"], dtype=np.float64) - 1 for axis in "YX"]
    for name in ("PSF", "APER", "AUTO"):
        flux, error = (np.array(table[f"FLUX{end}_{name}"], dtype=float) for end in ("", "ERR"))
        if name == "APER":
            flux, error = flux[:, 1], error[:, 1]
        fluxes = Fluxes(*theirs, flux, error, table["FLAGS"] < 4)
        row = flux_residuals(case.truth, fluxes, None)
        rows.append({"program": f"SExtractor {name}", **row})
    return rows


def compare_rays(case: Case) -> list[Row]:
    """Compare the cosmic rays that were found."""
    own = read_exposure((case.folder / "rays-image.fits").read_bytes(), "rays")
    steps = json.loads((case.folder / "rays-steps.json").read_text())
    found = has(own.mask, MaskPlane.CR)
    rows = [{"program": "lsstpipe", "cpu_s": steps["cosmic rays"], **ray_counts(case.truth, found)}]
    if importlib.util.find_spec("astroscrappy") is not None:
        from astroscrappy import detect_cosmics

        pixels = read_exposure((case.folder / "rays.fits").read_bytes(), "rays").image
        started = time.process_time()
        theirs, _ = detect_cosmics(
            pixels, gain=1.0, readnoise=case.truth.read_noise, satlevel=90_000.0
        )
        cpu = time.process_time() - started
        rows.append({"program": "astroscrappy", "cpu_s": cpu, **ray_counts(case.truth, theirs)})
    return rows


def print_table(title: str, rows: Sequence[Row]) -> None:
    """Print columns as rows, the programs beside each other."""
    print(f"\n{title}")
    names = [str(row["program"]) for row in rows]
    print(f"{'':<22}", *(f"{name:>28}" for name in names), sep="")
    for column in (c for c in rows[0] if c != "program"):
        values = (row.get(column, "") for row in rows)
        print(f"{column:<22}", *(f"{_plain(value):>28}" for value in values), sep="")


def print_costs(rows: Sequence[Row]) -> None:
    """Print CPU seconds and memory, a line a step."""
    print("\ncost")
    for row in rows:
        cells = (f"{name} {_plain(value)}" for name, value in row.items() if name != "program")
        print(f"{row['program']:<32}", "  ".join(cells))


def _plain(value: object) -> str:
    """Write a number with four figures."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def cost_rows(case: Case, cost: dict[str, Row]) -> list[Row]:
    """Put the CPU seconds of lsstpipe's steps beside those of the programs that do them."""
    steps = json.loads((case.folder / "clean-steps.json").read_text())
    peers = ("SExtractor for PSFEx", "PSFEx", "SExtractor with PSF", "SCAMP")
    whole = sum(float(cost[name]["cpu_s"]) for name in peers)
    rows: list[Row] = [
        {"program": f"lsstpipe: {s}", "cpu_s": round(v, 3)} for s, v in steps.items()
    ]
    rows.append({"program": "lsstpipe in all", **cost["lsstpipe"]})
    rows += [{"program": name, **row} for name, row in cost.items() if name != "lsstpipe"]
    memory = max(float(cost[name]["peak_memory_mb"]) for name in peers)
    rows.append({"program": "peers in all", "cpu_s": round(whole, 3), "peak_memory_mb": memory})
    rows.append(
        {"program": "ratio of peers to lsstpipe", "cpu_s": whole / float(cost["lsstpipe"]["cpu_s"])}
    )
    return rows


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, value in (("visit", 13), ("detector", 0), ("seed", 1), ("runs", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--detectors", type=int, default=4, help="that detection is compared on")
    parser.add_argument("--folder", type=Path, help="where to keep the files; a temporary one else")
    return parser.parse_args()


def prepare(arguments: argparse.Namespace, detector: int, folder: Path) -> Case:
    """Simulate a detector."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {"visit": arguments.visit, "seed": arguments.seed, "detector": detector}
    truth = write_scene(folder, **numbers)
    header = json.loads((folder / "header.json").read_text())
    setup = Setup(folder, header["fwhm_pix"], header["pixel_scale_arcsec"])
    setup.prepare()
    return Case(**numbers, folder=folder, n_runs=arguments.runs, truth=truth, setup=setup)


def read_image(case: Case) -> Exposure:
    """Read what `calibrate` made."""
    return read_exposure((case.folder / "clean-image.fits").read_bytes(), "image")


def compare(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Simulate, run and compare everything."""
    case = prepare(arguments, arguments.detector, folder)
    cost = run_all(case)
    image = read_image(case)
    source = read_catalog((folder / "clean-source.parquet").read_bytes(), "source")
    centroids, sky = compare_positions(case, image, source)
    psf, size_error = compare_psf(case, image, source)
    scans = [scan_thresholds(case, image)]
    for further in range(1, arguments.detectors):
        detector = (arguments.detector + further) % 4
        other = prepare(arguments, detector, folder / f"further-{detector}")
        subprocess.run([*calibrate_command(other), "clean"], check=True, env=environment())
        scans.append(scan_thresholds(other, read_image(other)))
    return {
        "cost": cost_rows(case, cost),
        "detection": compare_detection(scans),
        "psf": psf,
        "psf_size_error": size_error,
        "centroids": centroids,
        "astrometry": sky,
        "photometry": compare_fluxes(case, source),
        "cosmic_rays": compare_rays(case),
        "case": {"visit": case.visit, "detector": case.detector, "seed": case.seed},
        "n_cores": os.cpu_count(),
    }


def main() -> None:
    """Compare, print, and write the JSON."""
    arguments = parse()
    missing = missing_programs()
    if missing:
        print(f"Not compared: {', '.join(missing)} not installed (Debian packages of these names).")
        return
    with tempfile.TemporaryDirectory(prefix="lsstpipe-peers-") as temporary:
        result = compare(arguments, arguments.folder or Path(temporary))
    for title in (
        "detection",
        "psf",
        "psf_size_error",
        "centroids",
        "astrometry",
        "photometry",
        "cosmic_rays",
    ):
        print_table(title.replace("_", " "), result[title])
    print_costs(result["cost"])
    path = ROOT / "runs" / "bench" / "peers.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
