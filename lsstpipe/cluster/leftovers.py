"""Jobs that a Snakemake left in the queue when it was killed."""

from __future__ import annotations

import time

from lsstpipe.cluster.slurm import run_command
from lsstpipe.errors import TemporaryError

_PATIENCE_S = 120.0


def cancel_jobs(prefix: str) -> list[int]:
    """Cancel my jobs whose names begin with a prefix; wait until none of them runs.

    A Snakemake that is killed leaves its jobs, and the next one would submit the same again: two
    jobs would write one chunk. What they have recorded is not lost.

    Parameters
    ----------
    prefix
        What all jobs on one repository are called.

    Returns
    -------
    list of int
        Their numbers.

    Raises
    ------
    TemporaryError
        If they do not end, or Slurm does not answer.
    UserError
        If there is no Slurm.
    """
    found = _jobs(prefix)
    if found:
        run_command("scancel", *map(str, found))
    ends = time.monotonic() + _PATIENCE_S
    while left := _jobs(prefix):
        if time.monotonic() > ends:
            raise TemporaryError(f"Jobs {left} of an earlier run do not end within 2 minutes.")
        time.sleep(1.0)
    return found


def _jobs(prefix: str) -> list[int]:
    """Find jobs that wait, run or are about to end."""
    text = run_command("squeue", "--noheader", "--me", "--format=%A %j")
    rows = [line.split(maxsplit=1) for line in text.splitlines()]
    return sorted({int(number) for number, name in rows if name.startswith(prefix)})
