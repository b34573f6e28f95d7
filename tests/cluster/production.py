"""A small real production: frames of the demo's night, calibrated, in chunks of two visits."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.elastic import BIN, REPOSITORY

# Five visits: two chunks of two, and one of one.
FRAMES = ("001d", "003d", "006d", "024", "051", "086", "113", "166")

THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "NUMBA")}


class Production:
    """A folder with raws, a campaign and a repository.

    Parameters
    ----------
    folder
        Where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repo = folder / "repo"

    def prepare(self, frames: Sequence[str] = FRAMES) -> None:
        """Ingest, plan and make the calibrations."""
        data = self.folder / "data"
        data.mkdir(parents=True)
        for name in frames:
            shutil.copy(REPOSITORY / "data" / "tres1" / f"tres1-{name}.fits.fz", data)
        shutil.copy(REPOSITORY / "data" / "tres1" / "tycho2_tres1.csv", data)
        settings: dict[str, Any] = yaml.safe_load(
            (REPOSITORY / "config" / "campaigns" / "demo.yaml").read_text()
        )
        settings |= {"raws": ["data/*.fits.fz"], "repo": "repo", "visits_per_chunk": 2}
        settings["reference_catalog"]["path"] = "data/tycho2_tres1.csv"
        (self.folder / "campaign.yaml").write_text(yaml.safe_dump(settings))
        self._call(
            str(BIN / "snakemake"), "calibs", "--cores", "2", "--snakefile",
            str(REPOSITORY / "Snakefile"), "--workflow-profile",
            str(REPOSITORY / "profiles" / "default"), "--configfile", "campaign.yaml",
        )  # fmt: skip

    def copy(self, folder: Path) -> Production:
        """Copy it, as it is now."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Production(folder)

    def chunks(self) -> list[str]:
        """Give the chunks of the stage visit."""
        rows = (self.repo / "plan" / "chunks.tsv").read_text().splitlines()
        return [row.split("\t")[1] for row in rows if row.startswith("visit\t")]

    def command(self, chunk: str) -> list[str]:
        """Give the command of a chunk, as the workflow has it."""
        return [
            str(BIN / "lsstpipe"), "run", "visit", "--plan", "repo/plan",
            "--chunk", chunk, "--manifest", f"repo/manifests/visit/{chunk}.json",
        ]  # fmt: skip

    def run(self, chunk: str) -> None:
        """Run a chunk here and now."""
        self._call(*self.command(chunk))

    def has_begun(self, chunk: str) -> bool:
        """Tell whether a chunk is at work: some of its quanta are recorded, not all."""
        partial = self.repo / "manifests" / "visit" / f"{chunk}.json.partial"
        return partial.exists() and partial.read_bytes().count(b"\n") > 0

    def has_ended(self, chunk: str) -> bool:
        """Tell whether a chunk is finished."""
        return (self.repo / "manifests" / "visit" / f"{chunk}.json").exists()

    def quanta(self, chunk: str) -> list[dict[str, Any]]:
        """Give what a finished chunk says of its quanta."""
        manifest = self.repo / "manifests" / "visit" / f"{chunk}.json"
        quanta: list[dict[str, Any]] = json.loads(manifest.read_bytes())["quanta"]
        return quanta

    def products(self, chunks: Sequence[str]) -> dict[str, str]:
        """Give the digests of the products of finished chunks, by path."""
        return {
            file["path"]: hashlib.sha256((self.repo / file["path"]).read_bytes()).hexdigest()
            for chunk in chunks
            for quantum in self.quanta(chunk)
            for file in quantum["files"]
        }

    def _call(self, *command: str) -> None:
        own = {"PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run(
            command, cwd=self.folder, env=os.environ | own | THREADS,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
