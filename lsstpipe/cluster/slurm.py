"""Slurm's command line: what it says of nodes and jobs, what it is told."""

from __future__ import annotations

import json
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

_BATCH = 100  # nodes of one scontrol call: a line of arguments has an end
_TIMEOUT_S = 60

_NAME = re.compile(r"\bNodeName=(\S+)")
_STATE = re.compile(r"\bState=(\S+)")
_ADDRESS = re.compile(r"\bNodeAddr=(\S+)")
_REASON = re.compile(r"\bReason=(.*?)(?: \[[^\]]*\])?$")
_CAMPAIGN = re.compile(r"\bcampaign=(\S+)")


@dataclass(frozen=True, slots=True)
class SlurmNode:
    """A node: its name, the flags of its state, why it is down, its address."""

    name: str
    flags: frozenset[str]
    reason: str = ""
    address: str = ""


class Slurm(Protocol):
    """What is needed of Slurm."""

    def nodes(self) -> list[SlurmNode]:
        """Give all nodes."""

    def set_state(self, names: Sequence[str], state: str, reason: str = "") -> None:
        """Set the state of nodes: ``down``, ``power_down``, ``power_up``, ``resume``, ``drain``."""

    def set_addresses(self, addresses: Mapping[str, str]) -> None:
        """Say at which address each node is."""

    def describe_jobs(self, ids: Iterable[int]) -> dict[int, Job]:
        """Give user, account and campaign of jobs that are in the queue."""

    def comment(self, job: int, text: str) -> None:
        """Leave a note with a job that waits, where its user looks."""


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
        wanted = sorted(set(ids))
        if not wanted:
            return {}
        text = self._run(
            "squeue", "--noheader", f"--jobs={','.join(map(str, wanted))}",
            "--format=%A|%u|%a|%D|%k",
        )  # fmt: skip
        found: dict[int, Job] = {}
        for line in text.splitlines():
            number, user, account, n_nodes, note = line.split("|", 4)
            campaign = _CAMPAIGN.search(note)
            found[int(number)] = Job(
                int(number), user, account, campaign[1] if campaign else "", int(n_nodes)
            )
        return found

    def comment(self, job: int, text: str) -> None:
        """Leave a note with a job that waits."""
        self._run("scontrol", "update", f"jobid={job}", f"admincomment={text}")

    def _run(self, *command: str) -> str:
        program = command[0] if self._folder is None else str(self._folder / command[0])
        try:
            done = subprocess.run(
                [program, *command[1:]],
                check=True, capture_output=True, text=True, timeout=_TIMEOUT_S,
            )  # fmt: skip
        except FileNotFoundError:
            raise UserError(f"{command[0]} is not there: this is no node of a Slurm.") from None
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            output = str(getattr(error, "stderr", "") or "no answer").strip()
            raise TemporaryError(f"{' '.join(command[:2])} failed: {output}") from error
        return done.stdout


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
