"""Jobs that run the command of their rule alone: what Slurm gets, and what is left to Snakemake."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_executor_plugin_slurm import Executor

from lsstpipe.cluster.bare_jobs import submit_bare


class Workflow:
    """Snakemake's, as far as an executor needs it."""

    def __init__(self, *deployment: str, is_script: bool = False) -> None:
        self.deployment_settings = SimpleNamespace(deployment_method=set(deployment))
        self.executor_settings = SimpleNamespace(pass_command_as_script=is_script)
        self.prepared: list[str] = []

    def async_run(self, name: str) -> None:
        """Note what is prepared."""
        self.prepared.append(name)


def make_executor(workflow: Workflow) -> Executor:
    """Make an executor that has not looked at anything."""
    executor = Executor.__new__(Executor)
    executor.workflow = workflow
    executor.format_job_exec = lambda job: "python -m snakemake"
    return executor


def make_job(command: str = "true", **changes: Any) -> SimpleNamespace:
    """Make a job of a rule with a command."""
    own = {"is_shell": True, "is_shadow": False, "benchmark": None, "threads": 3}
    return SimpleNamespace(
        shellcmd=command, is_group=lambda: changes.get("is_a_group", False),
        prepare=lambda: "prepared", **(own | changes),
    )  # fmt: skip


COMMANDS = (
    """printf '%s|' "two words" 'it'"'"'s' a\\ b $((1 + 1)) `echo c` "$OMP_NUM_THREADS" """,
    "echo one > /dev/null && echo \"two\" 'three'",
)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("is_script", [False, True])
def test_a_command_arrives_as_it_was_written(command: str, is_script: bool) -> None:
    workflow = Workflow(is_script=is_script)
    executor = make_executor(workflow)
    assert submit_bare(executor)
    given = executor.format_job_exec(make_job(command))
    if not is_script:
        # As the executor does for `sbatch --wrap`, in a line that a shell reads.
        escaped = given.replace('"', '\\"')
        given = subprocess.check_output(f'printf %s "{escaped}"', shell=True, text=True)
    own = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "3"}
    expected = subprocess.check_output(["bash", "-c", command], env=own)
    assert subprocess.check_output(["sh", "-c", given], env=own | {"OMP_NUM_THREADS": "1"}) == (
        expected
    )
    assert workflow.prepared == ["prepared"], "before it is submitted"


def test_a_failure_anywhere_in_a_command_fails_its_job() -> None:
    executor = make_executor(Workflow(is_script=True))
    submit_bare(executor)
    for command in ("false | true", "false; true", "echo $unknown"):
        assert subprocess.run(
            ["sh", "-c", executor.format_job_exec(make_job(command))],
            check=False, capture_output=True,
        ).returncode  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [{"is_shell": False}, {"is_shadow": True}, {"benchmark": "took.txt"}, {"is_a_group": True}],
)
def test_what_needs_snakemake_on_the_node_has_it(changes: dict[str, Any]) -> None:
    workflow = Workflow()
    executor = make_executor(workflow)
    submit_bare(executor)
    assert executor.format_job_exec(make_job(**changes)) == "python -m snakemake"
    assert workflow.prepared == []


def test_an_environment_that_snakemake_makes_is_left_to_it() -> None:
    executor = make_executor(Workflow("conda"))
    assert not submit_bare(executor)
    assert executor.format_job_exec(make_job()) == "python -m snakemake"
