"""What the stage `visit` takes for a CCD of 2048 x 4096; runs/bench/visit.json has the same.

    python benchmarks/visit.py [--visit 13] [--seed 1] [--runs 5] [--ccds 2] [--folder FOLDER]

Some detectors of `lsstpipe simulate medium` with the calibrations made from their own raws: bias,
dark, defects, flat, photon transfer, linearity, crosstalk, brighter-fatter. The job is the one that
the workflow starts for a visit, `lsstpipe run visit --chunk ...`, in a new process each time:
start-up, reading of raws and calibrations, isr, calibrate, writing, record. All seconds are of one
CCD: those of the job by the number of its CCDs. CPU seconds and the peak of memory are the
kernel's, the least of the runs; so are those of SExtractor, PSFEx, SExtractor with the PSF and
SCAMP on one thread, each a new process on the pixels of the first detector.

The parts are from further processes with a clock in them, less what they took to load kernels,
which is a part of its own. No kernel may be compiled: how many were is printed. The first job after
an installation compiles them, unless `lsstpipe compile` has; that job is not counted. Ends with an
error if a bound is exceeded.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from _bounds import require

ROOT = Path(__file__).parents[1]
PRESET, DETECTOR = "medium", 0
N_CCDS = 2
"""Of the four that a visit has, and that a job of a visit has by default."""
BOUNDS = {"cpu_s": 6.0, "peak_memory_mb": 1000.0, "cosmic rays": 0.3}

Row = dict[str, float]

PARTS = {
    "loading kernels": {"numba.core.caching": ("Cache.load_overload",)},
    "reading": {
        "lsstpipe.butler": ("ProductStore.read", "ProductStore.verify"),
        "lsstpipe.execute.quantum": ("_read_mask",),
    },
    "writing": {"lsstpipe.butler": ("ProductStore.write",)},
    "isr": {"lsstpipe.tasks.isr": ("run",)},
    "background": {"lsstpipe.tasks.calibrate": ("fit_background", "estimate_sky_variance")},
    "bright sources": {"lsstpipe.tasks.calibrate": ("find_bright_sources",)},
    "PSF": {"lsstpipe.tasks.calibrate": ("fit_psf_among",)},
    "cosmic rays": {"lsstpipe.tasks.calibrate": ("find_cosmic_rays",)},
    "interpolation": {"lsstpipe.tasks.calibrate": ("_repair",)},
    "detection": {"lsstpipe.tasks.calibrate": ("detect_sources",)},
    "measurement": {
        "lsstpipe.tasks.calibrate": ("measure_sources", "correct_apertures", "place_stars")
    },
    "astrometry": {"lsstpipe.tasks.calibrate": ("_solve",)},
    "rest of calibrate": {"lsstpipe.tasks.calibrate": ("run",)},
}
"""Functions that each part consists of, by module; what they call of other parts is not theirs."""


class Clock:
    """CPU seconds by part; a part that another one calls is taken off that one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        self._inner = [0.0]

    def wrap(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """Add the CPU time of a function to that of its part."""

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            self._inner.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                spent, inner = time.process_time() - started, self._inner.pop()
                self.seconds[part] += spent - inner
                self._inner[-1] += spent

        return call


def install(clock: Clock) -> None:
    """Put the clock around the functions of every part."""
    for part, modules in PARTS.items():
        for module, names in modules.items():
            for name in names:
                *path, last = name.split(".")
                owner: Any = importlib.import_module(module)
                for step in path:
                    owner = getattr(owner, step)
                setattr(owner, last, clock.wrap(getattr(owner, last), part))


def timed_job(arguments: list[str], result: Path) -> None:
    """Run the command line with a clock in it; write what each part took."""
    from lsstpipe.cli.main import cli

    importlib.import_module("lsstpipe.cli.run")
    clock = Clock()
    install(clock)
    from lsstpipe.execute.kernels import count_kernels

    started = time.process_time()
    cli.main(arguments, prog_name="lsstpipe", standalone_mode=False)
    kernels, ended = count_kernels(), time.process_time()
    parts = {"start-up": started, **clock.seconds}
    parts["rest of the job"] = ended - sum(parts.values())
    found = {"parts": parts, "n_compiled": kernels.n_compiled, "n_loaded": kernels.n_loaded}
    result.write_text(json.dumps(found))


def environment() -> dict[str, str]:
    """Give the environment of the processes: this checkout, one thread, modules compiled once."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    own = {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}
    return os.environ | own | dict.fromkeys(threads, "1")


def run(folder: Path, *command: str) -> Row:
    """Run a command; give what the kernel says that it took."""
    log = folder / "log"
    launcher = [sys.executable, str(ROOT / "benchmarks" / "_peers_usage.py"), str(log)]
    took: Row = json.loads(
        subprocess.check_output([*launcher, *command], cwd=folder, env=environment())
    )
    if took["exit_code"]:
        sys.exit(f"{' '.join(command)} failed:\n{log.read_text()}")
    return took


def lsstpipe(*arguments: str) -> list[str]:
    """Give the command that runs lsstpipe."""
    code = "from lsstpipe.cli.main import main; main()"
    return [sys.executable, "-c", code, *arguments]


def prepare(folder: Path, visit: int, seed: int, n_ccds: int) -> None:
    """Simulate the raws of the detectors and process them up to the calibrations."""
    from _peers_scene import write_scene

    write_scene(folder, visit=visit, detector=DETECTOR, seed=seed)
    survey_folder = folder / "survey"
    _write_raws(survey_folder, visit, seed, n_ccds)
    campaign, repo = str(survey_folder / "campaign.yaml"), survey_folder / "repo"
    run(folder, *lsstpipe("ingest", campaign))
    run(folder, *lsstpipe("plan", campaign))
    for stage in ("calibs", "visit"):
        run(folder, *lsstpipe("run", stage, "--plan", str(repo / "plan")))


def _write_raws(folder: Path, visit: int, seed: int, n_ccds: int) -> None:
    """Write one visit of the first detectors, and the calibration frames that it needs."""
    import yaml

    from lsstpipe.simulate.presets import find_preset
    from lsstpipe.simulate.reference import write_reference_catalog
    from lsstpipe.simulate.survey import make_survey
    from lsstpipe.simulate.write import campaign_document, write_frame

    survey = make_survey(find_preset(PRESET), seed)
    chosen = next(e for e in survey.science() if e.number == visit)
    write_reference_catalog(survey, folder / "refcat")
    for place, (exposure, detector) in enumerate(survey.frames()):
        if detector.number >= n_ccds or (exposure.kind == "science" and exposure is not chosen):
            continue
        is_flat = exposure.kind == "flat" and exposure.target != "ramp"
        if not is_flat or exposure.band == chosen.band:
            write_frame(PRESET, folder, seed, place)
    document = campaign_document(survey, folder)
    (folder / "campaign.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


def job(folder: Path) -> list[str]:
    """Give the arguments of the job, and make it run again."""
    repo = folder / "survey" / "repo"
    (manifest,) = (repo / "manifests" / "visit").glob("*.json")
    manifest.rename(folder / "earlier.json")
    plan, chunk = str(repo / "plan"), manifest.stem
    return ["run", "visit", "--plan", plan, "--chunk", chunk, "--manifest", str(manifest)]


def peers(folder: Path) -> dict[str, list[str]]:
    """Give the commands of the peers; none where one is not installed."""
    from _peers_astromatic import Setup, missing_programs

    if missing_programs():
        return {}
    header = json.loads((folder / "header.json").read_text())
    setup = Setup(folder, header["fwhm_pix"], header["pixel_scale_arcsec"])
    setup.prepare()
    return {
        "SExtractor for PSFEx": setup.extract("ldac", 5.0, "stars.cat"),
        "PSFEx": setup.model_psf(1.0),
        "SExtractor with PSF": setup.extract("photometry", 5.0, "phot.fits"),
        "SCAMP": setup.solve(is_matching=True),
    }


def least(rows: list[Row]) -> Row:
    """Take the least of each figure."""
    return {key: round(min(row[key] for row in rows), 3) for key in rows[0]}


def of_one(row: Row, n_ccds: int) -> Row:
    """Share the seconds of a job among its CCDs; its peak of memory is that of each."""
    shared = {key: round(value / n_ccds, 3) for key, value in row.items()}
    return shared | {key: row[key] for key in ("peak_memory_mb", "exit_code") if key in row}


def measure(folder: Path, n_runs: int, n_ccds: int) -> dict[str, Any]:
    """Run the job, the job with a clock, and the peers in turn."""
    result = folder / "parts.json"
    whole: list[Row] = []
    parts: list[Row] = []
    others: dict[str, list[Row]] = {name: [] for name in peers(folder)}
    timed: dict[str, Any] = {}
    for _ in range(n_runs):
        whole.append(run(folder, *lsstpipe(*job(folder))))
        run(folder, sys.executable, __file__, "--timed", str(result), *job(folder))
        timed = json.loads(result.read_text())
        parts.append(timed["parts"])
        for name, command in peers(folder).items():
            others[name].append(run(folder, *command))
    best = {name: least(rows) for name, rows in others.items()}
    return {
        "n_ccds": n_ccds,
        "visit": of_one(least(whole), n_ccds),
        "parts": of_one(least(parts), n_ccds),
        "peers": best,
        "kernels": {key: timed[key] for key in ("n_compiled", "n_loaded")},
        "n_source": _count_sources(folder),
        "runs": {"visit": whole, "parts": parts, "peers": others},
        "load": os.getloadavg()[0],
    }


def _count_sources(folder: Path) -> int:
    import pyarrow.parquet as pq

    paths = (folder / "survey" / "repo").rglob("source_*.parquet")
    return sum(int(pq.read_metadata(path).num_rows) for path in paths)


def show(found: dict[str, Any]) -> None:
    """Print the tables."""
    print(
        f"{found['n_source']} sources in {found['n_ccds']} CCDs of a job; CPU s of one CCD, the "
        f"least of {len(found['runs']['visit'])} runs"
    )
    for name, value in found["parts"].items():
        bound = f"   bound {BOUNDS[name]:g}" if name in BOUNDS else ""
        print(f"  {name:<24}{value:>8.3f}{bound}")
    kernels = found["kernels"]
    print(f"kernels compiled {kernels['n_compiled']}, loaded {kernels['n_loaded']}")
    visit = found["visit"]
    for name in ("cpu_s", "peak_memory_mb"):
        print(f"visit stage {name:<15}{visit[name]:>10.2f}   bound {BOUNDS[name]:g}")
    for name, row in found["peers"].items():
        print(f"  {name:<24}{row['cpu_s']:>8.3f}{row['peak_memory_mb']:>8.0f} MB")
    if found["peers"]:
        total = sum(row["cpu_s"] for row in found["peers"].values())
        print(f"peers in all {total:>24.2f}   {total / visit['cpu_s']:.2f} x the visit stage")


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, value in (("visit", 13), ("seed", 1), ("runs", 5), ("ccds", N_CCDS)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--folder", type=Path, help="where to keep the files; a temporary one else")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lsstpipe-visit-") as temporary:
        folder = (arguments.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "survey" / "repo" / "manifests" / "visit").exists():
            prepare(folder, arguments.visit, arguments.seed, arguments.ccds)
        found = measure(folder, arguments.runs, arguments.ccds)
    show(found)
    path = ROOT / "runs" / "bench" / "visit.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    require(found["parts"] | found["visit"], BOUNDS)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--timed"]:
        timed_job(sys.argv[3:], Path(sys.argv[2]))
    else:
        main()
