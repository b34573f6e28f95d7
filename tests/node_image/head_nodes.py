"""Head nodes come and go; what jobs have run is known all the same."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.slurm_server import wait_until

if TYPE_CHECKING:
    from tests.node_image.scenario import Scenario

HISTORY = "sacct -X --noheader --parsable2 --duplicates --format=JobID,JobName,State,User,Account"
README = Path(__file__).parents[2] / "envs" / "image" / "README.md"
GO = "/home/lsstpipe/go"


def replace_head(scenario: Scenario, disk: Path) -> None:
    """Lose the head node while a job runs; boot another one on the same disk."""
    wait = f"until test -e {GO}; do sleep 0.2; done"
    submit = f"cd && sbatch --parsable --job-name=long --wrap {shlex.quote(wait)}"
    job = scenario.ask(f"su - lsstpipe -c {shlex.quote(submit)}")
    state = f"sacct -X --noheader --parsable2 --jobs={job} --format=State"
    wait_until(lambda: scenario.ask(state) == "RUNNING", "the long job", 120)
    # slurmctld writes what has changed within some seconds.
    saved = "stat -c %.9Y /var/lib/cluster/slurm/job_state"
    before = scenario.ask(saved)
    scenario.ask(f"scontrol update jobid={job} comment=seen")
    wait_until(lambda: scenario.ask(saved) != before, "the state of the job on the disk", 60)
    scenario.found["history"] = scenario.ask(HISTORY).splitlines()

    scenario.lose_head()
    scenario.start_head(disk)
    scenario.found["history on the second head"] = scenario.ask(HISTORY).splitlines()
    scenario.ask(f"touch {GO}")
    wait_until(lambda: scenario.ask(state) != "RUNNING", "the end of the long job", 120)
    scenario.found["job across heads"] = scenario.ask(state)


def way_back(dump: str) -> str:
    """Give the commands by which the README takes a dump, for a key of S3."""
    text = README.read_text().partition("## When the head node is lost")[2]
    commands = text.split("```\n")[1]
    return "set -e\n" + commands.replace("DAY.sql.gz", Path(dump).name)


def restore_accounts(scenario: Scenario) -> None:
    """Lose the head node and its disk; take the accounts from their dump, as the README says."""
    scenario.lose_head()
    scenario.start_head(scenario.make_disk())
    scenario.found["history on an empty disk"] = scenario.ask(HISTORY).splitlines()
    scenario.ask(f"su - root -c {shlex.quote(way_back(scenario.found['dump'][0]))}")
    scenario.ask("/usr/local/lib/lsstpipe/try sacctmgr --noheader show cluster")
    scenario.found["history from the dump"] = scenario.ask(HISTORY).splitlines()
