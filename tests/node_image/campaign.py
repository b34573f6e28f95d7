"""A person on the head node runs the workflow of a campaign, as the handbook says."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from tests.node_image.scenario import Scenario

REPOSITORY = Path(__file__).parents[2]
# Root's, and nobody else may write there: a campaign has a folder of its own.
INSTALLED = "/opt/lsstpipe"
# Head node and nodes see the same home, as they see the same Lustre.
FOLDER = "/home/lsstpipe/night"
USER = 2000
# What polling need not wait for where three jobs are all there is.
HASTE = "--slurm-init-seconds-before-status-checks 1 --seconds-between-status-checks 1"


def settings() -> dict[str, Any]:
    """The settings of the demo's night for three darks and one light."""
    demo = REPOSITORY / "config" / "campaigns" / "demo.yaml"
    own: dict[str, Any] = yaml.safe_load(demo.read_text())
    data = f"{INSTALLED}/data/tres1"
    raws = [f"{data}/tres1-{name}.fits.fz" for name in ("00[136]d", "024")]
    own |= {"repo": "repo", "raws": raws}
    own["reference_catalog"]["path"] = f"{data}/tycho2_tres1.csv"
    return own


def run_campaign(scenario: Scenario) -> None:
    """Run the real Snakefile up to the calibrations; its job goes to the node that has booted."""
    folder = scenario.root / FOLDER.lstrip("/")
    folder.mkdir()
    (folder / "night.yaml").write_text(yaml.safe_dump(settings()))
    os.chown(folder, USER, USER)
    snakemake = (
        f"snakemake calibs --profile aws --snakefile {INSTALLED}/Snakefile"
        f" --configfile night.yaml {HASTE}"
    )
    told = "workflow.txt"
    run = shlex.quote(f"cd {FOLDER} && {snakemake} >{told} 2>&1 || {{ cat {told}; false; }}")
    scenario.ask(f"su - lsstpipe -c {run}", timeout_s=240)
    columns = "JobName,State,User,Account,NodeList,Comment"
    jobs = scenario.ask(f"sacct -X --noheader --parsable2 --format={columns}").splitlines()
    scenario.found["jobs of the campaign"] = [
        line.split("|") for line in jobs if line.startswith("demo-")
    ]
    listing = scenario.ask(rf"cd {FOLDER} && find repo -type f -printf '%u %P\n'")
    scenario.found["files of the campaign"] = [line.split(" ", 1) for line in listing.splitlines()]
