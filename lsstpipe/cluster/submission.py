"""What a chunk asks of Slurm: no more than there is, and after a failure what it lacked."""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lsstpipe.cluster.slurm import SlurmCommands, find_stage, parse_memory
from lsstpipe.errors import ConfigError, TemporaryError
from lsstpipe.plan.attempts import Lack, guess_lacks
from lsstpipe.plan.chunks import Chunk

STEP_FIELDS = ("JobIDRaw", "State", "ReqMem", "MaxRSS", "Comment")
"""Columns of `sacct`; the comment is the last, for it may hold anything."""

_TOO_LONG = frozenset({"TIMEOUT", "DEADLINE"})
_ENDED_BADLY = _TOO_LONG | {
    *("FAILED", "OUT_OF_MEMORY", "CANCELLED", "NODE_FAIL", "BOOT_FAIL", "PREEMPTED"),
}


@dataclass(frozen=True, slots=True)
class Partition:
    """Where jobs of Slurm run: its name, and the memory of its largest node, MB."""

    name: str
    memory_mb: int

    def require_memory(self, memory_mb: float, what: str) -> None:
        """Refuse what no node is large enough for: it would wait for ever.

        Parameters
        ----------
        memory_mb
            What is asked for.
        what
            Who asks.

        Raises
        ------
        ConfigError
            If the largest node has less.
        """
        if memory_mb > self.memory_mb:
            raise ConfigError(
                f"{what} asks for {memory_mb:.0f} MB, but the largest node of partition "
                f"{self.name} has {self.memory_mb} MB."
            )


def find_partition(text: str, name: str = "") -> Partition:
    """Find a partition.

    Parameters
    ----------
    text
        What `sinfo` prints: a line for each partition and memory of its nodes, ``name|memory``;
        the default partition has a star.
    name
        Its name; empty for the default one.

    Raises
    ------
    ConfigError
        If there is none of that name, or no default one.
    """
    largest: dict[str, int] = {}
    default = ""
    for line in text.splitlines():
        label, _, memory = line.partition("|")
        own = label.rstrip("*")
        default = own if label.endswith("*") else default
        largest[own] = max(largest.get(own, 0), int(memory.rstrip("+")))
    wanted = name or default
    if wanted not in largest:
        known = ", ".join(largest)
        raise ConfigError(
            f"Slurm has no partition '{wanted}'; it has {known}."
            if wanted
            else f"Slurm has no default partition; set slurm_partition to one of {known}."
        )
    return Partition(wanted, largest[wanted])


def check_account(account: str, known: Sequence[str]) -> None:
    """Refuse an account that the user has not: `sbatch` would refuse each job.

    Parameters
    ----------
    account
        What is asked for; empty for the user's default one.
    known
        Those that the user has; none where Slurm keeps no accounts.

    Raises
    ------
    ConfigError
        If it is not among them.
    """
    if account and known and account.lower() not in {name.lower() for name in known}:
        raise ConfigError(
            f"Slurm knows no account '{account}' of user {getpass.getuser()}; there are "
            f"{', '.join(known)}."
        )


def find_lacks(text: str, stage: str, chunk: str) -> list[Lack]:
    """Find what the failed jobs of a chunk lacked, in their order.

    The state of a job that was killed for its memory is FAILED like that of any other: only the
    state of a step tells. Where Slurm does not watch over memory, one that failed with more than
    it had asked for counts too.

    Parameters
    ----------
    text
        What `sacct` prints of jobs and their steps: the columns `STEP_FIELDS`.
    stage, chunk
        The chunk.

    Returns
    -------
    list of str
        ``memory``, ``time`` or nothing, for each job that failed.
    """
    lacks: list[Lack] = []
    asked_mb, is_own, has_failed = 0.0, False, False
    for line in text.splitlines():
        job, state, asked, used, comment = line.split("|", len(STEP_FIELDS) - 1)
        word = state.split()[0]
        if "." not in job:
            is_own, has_failed = find_stage(comment) == (stage, chunk), word in _ENDED_BADLY
            asked_mb = parse_memory(asked)
            if is_own and has_failed:
                lacks.append("time" if word in _TOO_LONG else "")
        is_short = word == "OUT_OF_MEMORY" or parse_memory(used) >= asked_mb > 0
        if is_own and has_failed and is_short:
            lacks[-1] = "memory"
    return lacks


@dataclass(frozen=True, slots=True)
class Queue:
    """Slurm as a run of the workflow uses it.

    Attributes
    ----------
    slurm
        Its commands.
    partition
        Where jobs run.
    name
        What the jobs of the run are called.
    base_mb
        Memory that each job takes besides that of its chunk, MB.
    """

    slurm: SlurmCommands
    partition: Partition
    name: str
    base_mb: int

    def check(self, chunks: Iterable[Chunk]) -> None:
        """Refuse a plan with a chunk that no node is large enough for.

        Parameters
        ----------
        chunks
            All of the plan.

        Raises
        ------
        ConfigError
            If there is one.
        """
        for chunk in chunks:
            what = f"Chunk {chunk.name} of stage {chunk.stage}"
            self.partition.require_memory(chunk.mem_mb + self.base_mb, what)

    def lacks(self, chunk: Chunk, attempt: int) -> list[Lack]:
        """Tell what the earlier attempts of a chunk lacked.

        Parameters
        ----------
        chunk
            The chunk.
        attempt
            Number of the attempt that is to come, from 1.

        Returns
        -------
        list of str
            Where the accounting does not know, each is taken to have lacked both.
        """
        if attempt == 1:
            return []
        try:
            found = find_lacks(self.slurm.steps(self.name, STEP_FIELDS), chunk.stage, chunk.name)
        except TemporaryError:
            found = []
        return found or guess_lacks(attempt)


def open_queue(name: str, base_mb: int, partition: str = "", account: str = "") -> Queue:
    """Look at Slurm before the first job is submitted.

    Parameters
    ----------
    name, base_mb
        As of `Queue`.
    partition, account
        What jobs name; empty for Slurm's default ones.

    Raises
    ------
    ConfigError
        If there is no such partition, or the user has no such account.
    """
    slurm = SlurmCommands()
    check_account(account, slurm.accounts(getpass.getuser()))
    return Queue(slurm, find_partition(slurm.partitions(), partition), name, base_mb)
