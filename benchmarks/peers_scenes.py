"""lsstpipe beside SExtractor, PSFEx and SCAMP over many scenes, with standard errors and verdicts.

    python benchmarks/peers_scenes.py [--scenes 8] [--first-seed 101] [--folder FOLDER]

Each scene is one detector as in `benchmarks/peers.py`; its seed chooses sky, band, seeing and
detector. Both programs' errors are taken over the same stars. For each error the table has the mean
over the scenes of the logarithm of the ratio, ours over the peer's, with the standard error that
the scatter between scenes gives it; for the biases of fluxes, the difference of the absolute means.
Where programs are equal, a tenth of the rows of eight scenes are two standard errors off by chance.

The errors of each scene are kept in runs/bench/peers, in a folder named by a checksum of the code:
a run that was stopped goes on where it was, and results of other code are not mixed in. Cosmic rays
are compared if astroscrappy is installed; if it is not, a line says how it is added. Ends with an
error if lsstpipe is worse than a peer in a row for which no reason is listed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash
from _peers_astromatic import APERTURES, missing_programs
from _peers_case import (
    ROOT,
    Case,
    Scan,
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
from _peers_paired import Measured, Pair, pair_centroids, pair_fluxes, pair_maps, pair_psfs
from _peers_score import map_errors, psf_errors
from _peers_verdict import Verdict, judge_pairs
from astropy.io import fits
from peers import compare_detection, compare_rays

FloatArray = npt.NDArray[np.float64]

_N_VISITS, _N_DETECTORS = 30, 4
_VISIT_STEP = 7
"""Prime to the number of visits: seeds that follow each other change the band."""

WORSE_FOR_A_REASON: dict[tuple[str, str], str] = {}
"""Rows, as quantity and peer, in which lsstpipe may be worse, with the reason."""


def compare_scene(seed: int, folder: Path) -> list[Pair]:
    """Simulate a scene, run all programs on it and pair their errors.

    Parameters
    ----------
    seed
        Chooses the scene.
    folder
        Where the files are written.
    """
    visit = 1 + _VISIT_STEP * seed % _N_VISITS
    case = prepare(folder, visit=visit, detector=seed % _N_DETECTORS, seed=seed)
    run_all(case)
    return [
        *pair_detections(scan_thresholds(case, read_image(case))),
        *pair_models(case),
        *pair_sources(case),
        *pair_rays(case),
    ]


def pair_detections(scan: Scan) -> Iterator[Pair]:
    """Compare the detections at equal shares of spurious ones."""
    rows = compare_detection([scan])
    n = int(scan["lsstpipe"][0].is_star.sum())
    for own, other in zip(rows[::2], rows[1::2], strict=True):
        at = f"at {100 * float(own['spurious']):.0f} % spurious"
        peer = str(other["program"])
        half = [float(row["half_at_snr"]) for row in (own, other)]
        yield Pair(f"half of the stars found, {at}", "S/N", peer, "ratio", half, n)
        missed = [1 - float(row["all_above_10"]) for row in (own, other)]
        yield Pair(f"missed of all above S/N 10, {at}", "", peer, "rms", missed, n)


def pair_models(case: Case) -> Iterator[Pair]:
    """Compare PSF models and maps to the sky with the truth."""
    image = read_image(case)
    models, true, _ = psf_stamps(case, image, read_source(case))
    own, theirs = (psf_errors(models[name], true) for name in ("lsstpipe", "PSFEx, same stars"))
    yield from pair_psfs(own, theirs, "PSFEx, same stars")
    off, off_there = (map_errors(case.truth, to_sky) for to_sky in sky_maps(case, image))
    yield from pair_maps(off, off_there, "SCAMP")


def pair_sources(case: Case) -> Iterator[Pair]:
    """Compare positions and fluxes with the truth."""
    source, truth = read_source(case), case.truth
    place = source["y"].astype(np.float64), source["x"].astype(np.float64)
    is_good = ~(source["psfFlux_flag"].astype(bool) | source["pixelFlags_saturated"].astype(bool))
    table = fits.getdata(case.folder / "phot.fits")
    is_good_there = np.asarray(table["FLAGS"]) < 4
    positions = peer_positions(case)
    ours = Measured(*place, np.stack(place, axis=1), is_good)
    for peer, there in positions.items():
        theirs = Measured(*there, np.stack(there, axis=1), is_good_there)
        yield from pair_centroids(truth, ours, theirs, peer)
    apertures = np.array(table["FLUX_APER"], dtype=np.float64)
    fluxes = {"psf": np.array(table["FLUX_PSF"], dtype=np.float64)}
    for name, diameter in (("ap06", 12.0), ("ap12", 24.0)):
        fluxes[name] = apertures[:, APERTURES.index(diameter)]
    there = positions["SExtractor windowed"]
    for name, values in fluxes.items():
        unflagged = is_good & ~source[f"{name}Flux_flag"].astype(bool)
        own = Measured(*place, source[f"{name}Flux"].astype(np.float64), unflagged)
        theirs = Measured(*there, values, is_good_there)
        yield from pair_fluxes(truth, own, theirs, kind=name, peer="SExtractor")


def pair_rays(case: Case) -> Iterator[Pair]:
    """Compare the pixels of cosmic rays that are missed, and those that are none."""
    rows = compare_rays(case)
    if len(rows) < 2:
        return
    peer, n = str(rows[1]["program"]), int(rows[0]["n_ray_pixels"])
    missed = [1 - float(row["found_share"]) for row in rows]
    yield Pair("cosmic rays, share of pixels missed", "", peer, "rms", missed, n)
    stray = [float(row["n_stray_pixels"]) for row in rows]
    yield Pair("cosmic rays, pixels that are none", "pixels", peer, "rms", stray, n)


def results_folder() -> Path:
    """Name the folder of the results after what they depend on: this checkout's code."""
    code = xxhash.xxh3_64()
    for path in sorted((*(ROOT / "lsstpipe").rglob("*.py"), *Path(__file__).parent.glob("*.py"))):
        code.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return ROOT / "runs" / "bench" / "peers" / code.hexdigest()


def read_or_compare(seed: int, results: Path, folder: Path | None) -> list[Pair]:
    """Read the errors of a scene, or measure and write them.

    Parameters
    ----------
    seed
        Chooses the scene.
    results
        Folder of the results.
    folder
        Where to keep the scene's files; None for a temporary folder.
    """
    path = results / f"scene-{seed}.json"
    if not path.exists():
        with tempfile.TemporaryDirectory(prefix="lsstpipe-peers-") as temporary:
            pairs = compare_scene(seed, (folder or Path(temporary)) / f"scene-{seed}")
        part = path.with_suffix(".part")
        part.write_text(json.dumps([asdict(pair) for pair in pairs], indent=1) + "\n")
        part.rename(path)
    return [Pair(**row) for row in json.loads(path.read_text())]


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Print a line for each quantity and peer."""
    head = f"{'error':<52}{'peer':<22}{'ours':>9}{'peer':>9} {'unit':<7}"
    print(f"{head}{'ln ratio':>17}{'scenes':>8}{'n':>7}  verdict")
    for row in verdicts:
        errors = f"{row.ours:>9.4g}{row.theirs:>9.4g} {row.unit:<7}"
        ratio = f"{row.difference:+.3f} ± {row.error:.3f}" + ("*" if row.kind == "mean" else " ")
        line = f"{row.quantity:<52}{row.peer:<22}{errors}{ratio:>17}{row.n_scenes:>8}{row.n:>7}"
        print(f"{line}  {row.word}")
    print("* difference of the absolute values of the means, in their unit")


def require_none_worse(verdicts: Sequence[Verdict], reasons: dict[tuple[str, str], str]) -> None:
    """End the process with an error if a row is worse that may not be; print the reasons of others.

    Parameters
    ----------
    verdicts
        All rows.
    reasons
        As `WORSE_FOR_A_REASON`.
    """
    worse = [(row.quantity, row.peer) for row in verdicts if row.word == "worse"]
    for key in (key for key in worse if key in reasons):
        print(f"worse than {key[1]} in {key[0]}: {reasons[key]}")
    if unexplained := [f"{peer} in {what}" for what, peer in worse if (what, peer) not in reasons]:
        sys.exit(f"Worse beyond its error than {'; than '.join(unexplained)}.")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=101, help="1 to 20 were for tuning")
    parser.add_argument("--folder", type=Path, help="where to keep the files; a temporary one else")
    return parser.parse_args()


def main() -> None:
    """Compare the scenes that are missing, print the table, and write it as JSON."""
    arguments = parse()
    missing = missing_programs()
    if missing:
        print(f"Not compared: {', '.join(missing)} not installed (Debian packages of these names).")
        return
    is_there("astroscrappy")  # says so if it is left out, even where the scenes are read
    results = results_folder()
    results.mkdir(parents=True, exist_ok=True)
    pairs: list[Pair] = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.scenes):
        pairs += read_or_compare(seed, results, arguments.folder)
        print(f"scene {seed} is compared", flush=True)
    verdicts = judge_pairs(pairs)
    print_verdicts(verdicts)
    table = [asdict(verdict) for verdict in verdicts]
    (results / "verdicts.json").write_text(json.dumps(table, indent=1) + "\n")
    require_none_worse(verdicts, WORSE_FOR_A_REASON)


if __name__ == "__main__":
    main()
