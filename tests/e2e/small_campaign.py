"""A small campaign of real frames, some of which are bad, and how to run it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from astropy.io import fits

REPOSITORY = Path(__file__).parents[2]
TRES1 = REPOSITORY / "data" / "tres1"

DARKS = ("001d", "003d", "006d")
LIGHTS = ("024", "051", "086", "113", "166", "210")
LIGHT_WITH_NANS = "139"
CLOUDY_LIGHT = "148"

CLOUDY_VISIT = 120617041333
VISIT_WITH_NANS = 120617040350

SETTINGS: dict[str, Any] = {
    "name": "small",
    "instrument": "st10",
    "raws": ["data/*.fits*"],
    "repo": "repo",
    "run": "small",
    "reference_catalog": {"path": "data/tycho2_tres1.csv"},
    "pointing": {"ra_deg": 285.970, "dec_deg": 36.708, "radius_arcmin": 10.0},
    "skymap": {
        "name": "tres1",
        "pixel_scale_arcsec": 2.374,
        "patch_inner_y": 320,
        "patch_inner_x": 240,
        "border_pix": 30,
        "tracts": [{"ra_deg": 286.03, "dec_deg": 36.65, "n_patches_y": 1, "n_patches_x": 2}],
    },
    "target": {"name": "TrES-1", "ra_deg": 286.04089, "dec_deg": 36.63254},
    "visits_per_chunk": 4,
}

Json = dict[str, Any]


def frame(name: str) -> Path:
    """The file of a real frame."""
    return TRES1 / f"tres1-{name}.fits.fz"


def read_frame(name: str) -> tuple[np.ndarray[Any, np.dtype[np.float32]], fits.Header]:
    """Pixels in ADU and header of a real frame."""
    with fits.open(frame(name)) as hdus:
        return hdus[1].data.astype(np.float32), hdus[1].header


def write_frame(
    path: Path, pixels: np.ndarray[Any, Any], header: fits.Header, **cards: object
) -> None:
    """Write a plain FITS file; a card given as None is left out."""
    own = header.copy()
    for key in ("BSCALE", "BZERO"):
        own.remove(key, ignore_missing=True)
    for name, value in cards.items():
        key = name.replace("_", "-")
        if value is None:
            own.remove(key)
        else:
            own[key] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits.PrimaryHDU(pixels, own).writeto(path)


def write_raws(folder: Path) -> None:
    """Put good darks and lights, a light with NaNs, one of clouds alone, and a torn file there."""
    folder.mkdir(parents=True)
    for name in (*DARKS, *LIGHTS):
        shutil.copy(frame(name), folder)
    shutil.copy(TRES1 / "tycho2_tres1.csv", folder)
    pixels, header = read_frame(LIGHT_WITH_NANS)
    pixels[100:104, 200:260] = np.nan
    pixels[600, :] = np.nan
    write_frame(folder / "nans.fits", pixels, header)
    sky, header = read_frame(CLOUDY_LIGHT)
    dark, _ = read_frame(DARKS[0])
    level = max(float(np.median(sky) - np.median(dark)), 0.0)
    noise = np.random.default_rng(7).poisson(level, dark.shape)
    write_frame(folder / "cloudy.fits", (dark + noise).astype(np.int32), header)
    whole = frame("228").read_bytes()
    (folder / "torn.fits.fz").write_bytes(whole[: len(whole) // 2])


class Project:
    """A folder with raws and a campaign; snakemake and lsstpipe run in it.

    Every process that it starts, and every process that those start, carries a mark in its
    environment, so that none is left behind.
    """

    def __init__(
        self, folder: Path, *, settings: Json = SETTINGS, is_measured: bool = True, n_cores: int = 2
    ) -> None:
        self.folder = folder
        self.n_cores = n_cores
        self.repo = folder / "repo"
        self.settings = dict(settings)
        self.campaign = f"{settings['name']}.yaml"
        self._mark = f"LSSTPIPE_E2E={uuid.uuid4().hex}"
        name, value = self._mark.split("=")
        self._env = os.environ | {
            name: value,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "NUMBA_NUM_THREADS": "1",
        }
        if not is_measured:
            # A process that is killed would leave a torn file of coverage.
            self._env = {k: v for k, v in self._env.items() if not k.startswith("COVERAGE")}

    def write(self, **changes: object) -> None:
        """Write the campaign, with changes that stay."""
        self.settings |= changes
        (self.folder / self.campaign).write_text(yaml.safe_dump(self.settings))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start snakemake as the leader of its own process group."""
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
        profile = str(REPOSITORY / "workflow" / "profiles" / "default")
        command += ["--workflow-profile", profile, "--cores", str(self.n_cores)]
        command += ["--configfile", self.campaign]
        with (self.folder / "snakemake.log").open("a") as log:
            return subprocess.Popen(
                [*command, "--", *arguments],
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def snakemake(self, *arguments: str) -> str:
        """Run snakemake to its end, which must be a good one; give what it said."""
        path = self.folder / "snakemake.log"
        begin = len(path.read_text()) if path.exists() else 0
        process = self.start(*arguments)
        try:
            process.wait()
        finally:
            self.stop()
        said = path.read_text()[begin:]
        assert process.returncode == 0, said
        return said

    def lsstpipe(
        self, *arguments: str, preexec_fn: Callable[[], None] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Call the command line."""
        return subprocess.run(
            [sys.executable, "-c", "from lsstpipe.cli.main import main; main()", *arguments],
            cwd=self.folder,
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=preexec_fn,
        )

    def json(self, *arguments: str) -> Any:
        """What a command that must end well prints as JSON."""
        result = self.lsstpipe(*arguments)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def status(self) -> Json:
        """What `lsstpipe status` says of the campaign."""
        answer: Json = self.json("status", self.campaign, "--json")
        return answer

    def processes(self) -> list[int]:
        """The processes that run now and come from here."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if self._mark.encode() in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
            except OSError:
                continue  # it has ended meanwhile
        return found

    def stop(self) -> int:
        """Kill every process that comes from here, and wait until none is left."""
        n_killed = 0
        while found := self.processes():
            for process in found:
                try:
                    os.kill(process, signal.SIGKILL)
                    n_killed += 1
                except ProcessLookupError:
                    continue
            time.sleep(0.01)
        return n_killed

    def manifests(self, stage: str = "*") -> dict[str, Json]:
        """The manifests of the chunks of a stage or of all, by stage and chunk."""
        paths = sorted((self.repo / "manifests").glob(f"{stage}/*.json"))
        return {
            f"{path.parent.name}/{path.stem}": json.loads(path.read_bytes())
            for path in paths
            if path.parent.name != "ingest"
        }

    def quanta(self, stage: str = "*") -> dict[str, Json]:
        """How the quanta of a stage or of all ended, by task and data ID."""
        return {
            f"{quantum['task']} {sorted(quantum['data_id'].items())}": quantum
            for manifest in self.manifests(stage).values()
            for quantum in manifest["quanta"]
        }

    def n_ended(self) -> int:
        """How many quanta have ended, of finished chunks and of others."""
        folder = self.repo / "manifests"
        lines = {p.name: p.read_bytes().count(b"\n") for p in folder.glob("*/*.json.partial")}
        return sum(lines.values()) + sum(len(m["quanta"]) for m in self.manifests().values())

    def products(self, *types: str) -> dict[str, str]:
        """Digests of the products of all dataset types or of some, by path."""
        run = self.repo / self.settings["run"]
        names = types or tuple(path.name for path in run.iterdir())
        paths = [p for name in names for p in sorted((run / name).rglob("*")) if p.is_file()]
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            digests = pool.map(lambda path: hashlib.sha256(path.read_bytes()).hexdigest(), paths)
            return {
                str(path.relative_to(run)): digest
                for path, digest in zip(paths, digests, strict=True)
            }


def ran_again(before: Mapping[str, Json], after: Mapping[str, Json]) -> set[str]:
    """The tasks of quanta that ran between two looks at them."""
    return {
        quantum["task"]
        for key, quantum in after.items()
        if key not in before or before[key]["started_mjd"] != quantum["started_mjd"]
    }
