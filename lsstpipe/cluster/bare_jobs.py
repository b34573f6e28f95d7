"""Jobs of Slurm that run the command of their rule, and no Snakemake around it."""

from __future__ import annotations

import shlex
from typing import Any

_THREADS = ("OMP", "GOTO", "OPENBLAS", "MKL", "NUMEXPR")
"""Libraries that are told in ``<name>_NUM_THREADS`` how many threads to use, as Snakemake does."""


def submit_bare(executor: Any) -> bool:
    """Let an executor for Slurm submit the command of a rule itself.

    It submits a Snakemake that starts another one that runs the command: 3 to 4 CPU seconds and
    300 MB a job. All that they do besides is to make folders ready and to keep what is updated;
    that is done before the submission, in the same file system, as for a job that runs here. After
    a job the main Snakemake looks at its output, touches and records it in either case.

    Parameters
    ----------
    executor
        Snakemake's.

    Returns
    -------
    bool
        Whether it does; not where commands need an environment that Snakemake makes on the node.
    """
    workflow = executor.workflow
    if workflow.deployment_settings.deployment_method:
        return False
    with_snakemake = executor.format_job_exec

    def format_job(job: Any) -> str:
        if job.is_group() or not job.is_shell or job.is_shadow or job.benchmark:
            return str(with_snakemake(job))
        workflow.async_run(job.prepare())
        command = spell_command(job.shellcmd, job.threads)
        is_script = workflow.executor_settings.pass_command_as_script
        return command if is_script else quote_in_quotes(command)

    executor.format_job_exec = format_job
    return True


def spell_command(command: str, n_threads: int) -> str:
    """Spell a command as Snakemake runs it: strict bash, and threads as many as the rule has.

    Parameters
    ----------
    command
        Of the rule.
    n_threads
        How many threads libraries may use.
    """
    threads = " ".join(f"{name}_NUM_THREADS={n_threads}" for name in _THREADS)
    return f"env {threads} bash -euo pipefail -c {shlex.quote(command)}"


def quote_in_quotes(command: str) -> str:
    """Quote what a shell would replace between double quotes, but for these themselves.

    The executor puts the command between double quotes and quotes those within it.

    Parameters
    ----------
    command
        The command.
    """
    for sign in ("\\", "$", "`"):
        command = command.replace(sign, f"\\{sign}")
    return command
