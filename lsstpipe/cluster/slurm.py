"""Slurm's command line: what it says of nodes and jobs, what it is told."""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lsstpipe.cluster.assign import Wanted
from lsstpipe.cluster.fleet import Job
from lsstpipe.cluster.hostlist import compress, expand
from lsstpipe.errors import TemporaryError, UserError

_BATCH = 100  # nodes or jobs of one call: a line of arguments has an end
_TIMEOUT_S = 60

_MB = {"K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0**2}

_NAME = re.compile(r"\bNodeName=(\S+)")
_STATE = re.compile(r"\bState=(\S+)")
_ADDRESS = re.compile(r"\bNodeAddr=(\S+)")
_PREFIX = re.compile(r"^(\w+: )?(error|fatal): ")
_NOT_STARTED = re.compile(r"launch[ _]failed[ _]requeued[ _]held")
_REASON = re.compile(r"\bReason=(.*?)(?: \[[^\]]*\])?$")
# The workflow calls its jobs <campaign>-<repository>_<run>; others may say it in the comment.
_CAMPAIGN = re.compile(r"\bcampaign=(\S+)")
_COMMENT = re.compile(r"rule_(?P<stage>\w+?)(?:_chunk|_pilot)?(?:_wildcards_(?P<chunk>.*))?")
_JOB_NAME = re.compile(r"(.+)-[0-9a-f]{6}_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class SlurmNode:
    """A node: its name, the flags of its state, why it is down, its address."""

    name: str
    flags: frozenset[str]
    reason: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job that waits or runs: whose, where or why not, and of what.

    Attributes
    ----------
    id, user, state
        Which, whose, and how it is.
    nodes, reason
        Where it runs, or why it does not.
    name, partition, memory_mb
        Its name, where it may run, and the memory that it asks for, MB.
    campaign, stage, chunk
        What it does, where the workflow submitted it.
    """

    id: int
    user: str
    state: str
    nodes: str
    reason: str
    name: str
    partition: str
    memory_mb: float
    campaign: str
    stage: str
    chunk: str

    @property
    def is_pending(self) -> bool:
        """Whether it waits."""
        return self.state == "PENDING"

    @property
    def is_held(self) -> bool:
        """Whether it waits because somebody said so."""
        return self.is_pending and self.reason.startswith("JobHeld")


class Slurm(Protocol):
    """What is needed of Slurm."""

    def nodes(self) -> list[SlurmNode]:
        """Give all nodes."""

    def set_state(self, names: Sequence[str], state: str, reason: str = "") -> None:
        """Set the state of nodes, such as ``down``, ``power_down``, ``idle`` or ``drain``."""

    def set_addresses(self, addresses: Mapping[str, str]) -> None:
        """Say at which address each node is."""

    def describe_jobs(self, ids: Iterable[int]) -> dict[int, Job]:
        """Give user, account and campaign of jobs that are in the queue."""

    def comment(self, jobs: Sequence[int], text: str) -> None:
        """Leave a note with jobs that wait, where their users look."""

    def held_jobs(self) -> dict[int, int]:
        """Give jobs that are held because a node could not start them, and their restarts."""

    def release(self, jobs: Sequence[int]) -> None:
        """Let held jobs wait like others."""


class SlurmCommands:
    """Slurm by its commands.

    Parameters
    ----------
    folder
        Where they are; on the path where it is None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def nodes(self) -> list[SlurmNode]:
        """Give all nodes."""
        return parse_nodes(self._run("scontrol", "show", "nodes", "--oneliner", "--all"))

    def set_state(self, names: Sequence[str], state: str, reason: str = "") -> None:
        """Set the state of nodes."""
        for start in range(0, len(names), _BATCH):
            own = compress(names[start : start + _BATCH])
            told = [f"reason={reason}"] if reason else []
            self._run("scontrol", "update", f"nodename={own}", f"state={state}", *told)

    def set_addresses(self, addresses: Mapping[str, str]) -> None:
        """Say at which address each node is."""
        names = list(addresses)
        for start in range(0, len(names), _BATCH):
            own = names[start : start + _BATCH]
            ips = ",".join(addresses[name] for name in own)
            self._run("scontrol", "update", f"nodename={','.join(own)}", f"nodeaddr={ips}")

    def describe_jobs(self, ids: Iterable[int]) -> dict[int, Job]:
        """Give user, account and campaign of jobs that are in the queue."""
        wanted = set(ids)
        if not wanted:
            return {}
        # A line of arguments has an end; for more than one job slurmctld sends the whole queue.
        named = [f"--jobs={','.join(map(str, sorted(wanted)))}"] if len(wanted) <= _BATCH else []
        text = self._run("squeue", "--noheader", *named, "--format=%A|%u|%a|%D|%j|%k")
        found: dict[int, Job] = {}
        for line in text.splitlines():
            number, user, account, n_nodes, name, note = line.split("|", 5)
            if int(number) in wanted:
                campaign = find_campaign(name, note)
                found[int(number)] = Job(int(number), user, account, campaign, int(n_nodes))
        return found

    def comment(self, jobs: Sequence[int], text: str) -> None:
        """Leave a note with jobs that wait."""
        self.tell_jobs("update", jobs, f"admincomment={text}")

    def held_jobs(self) -> dict[int, int]:
        """Give jobs that are held because a node could not start them, and their restarts."""
        text = self._run(
            "squeue", "--noheader", "--states=PENDING", "--Format=JobID:12,RestartCnt:8,Reason:40"
        )
        rows = [line.split(maxsplit=2) for line in text.splitlines()]
        return {int(row[0]): int(row[1]) for row in rows if _NOT_STARTED.fullmatch(row[2].strip())}

    def release(self, jobs: Sequence[int]) -> None:
        """Let held jobs wait like others."""
        self.tell_jobs("release", jobs)

    def queue(self) -> list[QueuedJob]:
        """Give all jobs that wait or run."""
        text = self._run("squeue", "--noheader", "--format=%A|%u|%T|%N|%r|%j|%P|%m|%k")
        return [parse_queued(line) for line in text.splitlines()]

    def tell_jobs(self, order: str, ids: Sequence[int], *changes: str) -> None:
        """Tell `scontrol` something about jobs; those that it fails for do not stop the others.

        Parameters
        ----------
        order
            ``hold``, ``release`` or ``update``.
        ids
            Numbers of the jobs.
        changes
            What to update, such as ``partition=large``.
        """
        for start in range(0, len(ids), _BATCH):
            jobs = ",".join(map(str, ids[start : start + _BATCH]))
            self._run("scontrol", order, f"jobid={jobs}" if changes else jobs, *changes)

    def cancel_pending(self, ids: Sequence[int]) -> None:
        """Cancel those of some jobs that still wait."""
        for start in range(0, len(ids), _BATCH):
            own = map(str, ids[start : start + _BATCH])
            self._run("scancel", "--state=PENDING", *own)

    def cancelled(self, name: str) -> set[int]:
        """Give the jobs of a name that were cancelled, as long as slurmctld remembers them."""
        text = self._run(
            "squeue", "--noheader", "--states=CANCELLED", f"--name={name}", "--format=%A"
        )
        return {int(line) for line in text.splitlines()}

    def partitions(self) -> str:
        """Give what `sinfo` prints: name (the default one has a star) and memory of its nodes."""
        return self._run("sinfo", "--noheader", "--exact", "--format=%P|%m")

    def accounts(self, user: str) -> list[str]:
        """Give the accounts of a user; none where Slurm keeps no accounts."""
        try:
            text = self._run(
                "sacctmgr", "--noheader", "--parsable2", "--associations", "list", "user", user,
                "format=account",
            )  # fmt: skip
        except TemporaryError:
            return []
        return sorted({line for line in text.splitlines() if line})

    def steps(self, name: str, fields: Sequence[str]) -> str:
        """Give what `sacct` prints of all jobs of a name and their steps, those of two days."""
        return self._run(
            "sacct", "--parsable2", "--noheader", "--duplicates", "--starttime=now-2days",
            f"--name={name}", f"--format={','.join(fields)}",
        )  # fmt: skip

    def account(self, fields: Sequence[str], since: float) -> str:
        """Give what `sacct` prints of every run of every job, times in seconds since 1970.

        Parameters
        ----------
        fields
            Columns.
        since
            Begin, seconds since 1970.
        """
        begin = datetime.datetime.fromtimestamp(since).strftime("%Y-%m-%dT%H:%M:%S")
        return self._run(
            "sacct", "--allocations", "--parsable2", "--noheader", "--duplicates", "--allusers",
            f"--starttime={begin}", f"--format={','.join(fields)}",
        )  # fmt: skip

    def _run(self, *command: str) -> str:
        return run_command(*command, folder=self._folder)


def run_command(*command: str, folder: Path | None = None) -> str:
    """Run a program of Slurm and give what it prints, times in seconds since 1970.

    Parameters
    ----------
    command
        The program and its arguments.
    folder
        Where it is; on the path where it is None.

    Raises
    ------
    UserError
        If the program is not installed.
    TemporaryError
        If it fails, with the last of its reasons: those before are of the way there.
    """
    program = command[0] if folder is None else str(folder / command[0])
    what = f"{' '.join(command[:2])} failed"
    try:
        done = subprocess.run(
            [program, *command[1:]],
            check=True, capture_output=True, text=True, timeout=_TIMEOUT_S,
            env=os.environ | {"SLURM_TIME_FORMAT": "%s"},
        )  # fmt: skip
    except FileNotFoundError:
        raise UserError(f"{command[0]} is not there: this is no node of a Slurm.") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"exit code {error.returncode}"]
        reason = _PREFIX.sub("", lines[-1].strip()).rstrip(".")
        raise TemporaryError(f"{what}: {reason}.") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or f"no answer within {_TIMEOUT_S} s"
        raise TemporaryError(f"{what}: {reason}.") from error
    return done.stdout


def parse_queued(line: str) -> QueuedJob:
    """Read a line of `squeue`.

    Parameters
    ----------
    line
        Number, user, state, nodes, reason, name, partition, memory and comment, with ``|`` between
        them.
    """
    number, user, state, nodes, reason, name, partition, memory, comment = line.split("|", 8)
    return QueuedJob(
        int(number), user, state, nodes, reason, name, partition, parse_memory(memory),
        find_campaign(name, comment), *find_stage(comment),
    )  # fmt: skip


def parse_memory(text: str) -> float:
    """Read an amount such as ``1500M``, in MB; 0 where there is none.

    Parameters
    ----------
    text
        What Slurm prints.
    """
    number, unit = text.rstrip("nc?")[:-1], text.rstrip("nc?")[-1:]
    return float(number) * _MB[unit] if unit in _MB else 0.0


def find_stage(comment: str) -> tuple[str, str]:
    """Find stage and chunk of a job of the workflow; both empty for another job.

    Parameters
    ----------
    comment
        Its comment, which Snakemake makes from the rule and its wildcards.
    """
    found = _COMMENT.fullmatch(comment)
    return (found["stage"], found["chunk"] or "") if found else ("", "")


def find_campaign(name: str, comment: str) -> str:
    """Find the campaign of a job; empty where it has none.

    Parameters
    ----------
    name
        Name of the job.
    comment
        Its comment.
    """
    found = _JOB_NAME.fullmatch(name) or _CAMPAIGN.search(comment)
    return found[1] if found else ""


def parse_nodes(text: str) -> list[SlurmNode]:
    """Read what ``scontrol show nodes --oneliner`` prints.

    Parameters
    ----------
    text
        A line a node.
    """
    nodes = []
    for line in text.splitlines():
        name, state = _NAME.search(line), _STATE.search(line)
        if name is None or state is None:
            continue
        address, reason = _ADDRESS.search(line), _REASON.search(line)
        flags = frozenset(re.split(r"[+*~#!%$@^-]+", state[1].upper())) - {""}
        nodes.append(
            SlurmNode(name[1], flags, reason[1] if reason else "", address[1] if address else "")
        )
    return nodes


def read_resume_file(content: bytes) -> list[Wanted]:
    """Read which jobs a call of ResumeProgram is for (``SLURM_RESUME_FILE``).

    Parameters
    ----------
    content
        Its JSON; empty where Slurm wrote none, and then nothing is known of the jobs.
    """
    if not content.strip():
        return []
    try:
        return [_read_wanted(row) for row in json.loads(content)["jobs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"The resume file cannot be read: {error!r}.") from error


def _read_wanted(row: Mapping[str, str | int]) -> Wanted:
    """Read a job; Slurm 22.05 says ``nodes`` for those of the job that are to be launched."""
    resumed = str(row["nodes_resume"] if "nodes_resume" in row else row["nodes"])
    allocated = str(row.get("nodes_alloc", resumed))
    return Wanted(Job(int(row["job_id"]), n_nodes=len(expand(allocated))), tuple(expand(resumed)))
