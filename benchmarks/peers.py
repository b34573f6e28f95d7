"""lsstpipe, SExtractor, PSFEx and SCAMP on the same simulated pixels; runs/bench/peers.json.

    python benchmarks/peers.py [--visit 13] [--detector 0] [--seed 1] [--runs 3]

One detector of 2048 x 4096 from `lsstpipe simulate` is calibrated by the task `calibrate`, and
taken through SExtractor, PSFEx, SExtractor again with the PSF, and SCAMP, each on one thread; all
results are compared with the truth. Both calibrations use the same reference stars. CPU seconds
and peak memory are the kernel's, of whole processes with start-up, reading and writing; the median
of the runs is given. Detection is compared at the thresholds at which the same share of detections
is spurious. Astroscrappy is compared in cosmic rays if it is installed; if it is not, a line says
how it is added.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _peers_astromatic import missing_programs
from _peers_case import (
    ROOT,
    THRESHOLDS,
    Case,
    Scan,
    calibrate_command,
    environment,
    peer_positions,
    prepare,
    psf_stamps,
    read_image,
    read_source,
    run_all,
    scan_thresholds,
    sky_maps,
)
from _peers_packages import is_there
from _peers_score import (
    Fluxes,
    Row,
    centroid_residuals,
    completeness,
    flux_residuals,
    pool,
    psf_residuals,
    psf_sizes,
    ray_counts,
    sky_residuals,
)
from astropy.io import fits

from lsstpipe.image.catalog import Catalog
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.io.fits import read_exposure
from lsstpipe.measure.psf_truth import psf_peer_metric

FloatArray = npt.NDArray[np.float64]
SPURIOUS = (0.03, 0.01)
"""Shares of spurious detections at which detection is compared."""


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
    models, true, n_same = psf_stamps(case, image, source)
    rows: list[Row] = [
        {"program": name, **psf_residuals(stamps, true)} for name, stamps in models.items()
    ]
    sizes = (psf_sizes(part) for part in (models["lsstpipe"], models["PSFEx, same stars"], true))
    metric = psf_peer_metric(*sizes)
    judged: Row = {"program": "PSF-4", "worse_ratio": metric.value, "note": metric.note}
    n_stars = int(source["calib_psf_used"].sum())
    return rows, [judged | {"n_stars": n_stars, "n_stars_psfex": n_same}]


def compare_positions(case: Case, image: Exposure, source: Catalog) -> tuple[list[Row], list[Row]]:
    """Compare centroids with the truth, and the WCS."""
    own, scamp = sky_maps(case, image)
    catalogs = {"lsstpipe": (source["y"], source["x"])} | peer_positions(case)
    centroids: list[Row] = []
    sky: list[Row] = []
    for name, (y, x) in catalogs.items():
        centroids.append({"program": name, **centroid_residuals(case.truth, y, x)})
        is_own = name == "lsstpipe"
        label = name if is_own else f"SCAMP, {name}"
        residuals = sky_residuals(case.truth, y, x, own if is_own else scamp)
        sky.append({"program": label, **residuals})
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
    theirs = peer_positions(case)["SExtractor windowed"]
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
    if is_there("astroscrappy"):
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


def compare(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Simulate, run and compare everything."""
    numbers = {"visit": arguments.visit, "seed": arguments.seed}
    case = prepare(folder, **numbers, detector=arguments.detector, n_runs=arguments.runs)
    cost = run_all(case)
    image = read_image(case)
    source = read_source(case)
    centroids, sky = compare_positions(case, image, source)
    psf, size_error = compare_psf(case, image, source)
    scans = [scan_thresholds(case, image)]
    for further in range(1, arguments.detectors):
        detector = (arguments.detector + further) % 4
        other = prepare(folder / f"further-{detector}", **numbers, detector=detector)
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
