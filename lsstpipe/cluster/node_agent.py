"""What runs on a node: it learns its name, starts slurmd, and ends the node when nobody needs it.

A node must never outlive what could end it: without a name, without the head node, without the
reaper or with a slurmd that has ended, it shuts itself down.
"""

from __future__ import annotations

import json
import logging
import shlex
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lsstpipe.cluster.events import EventLog
from lsstpipe.cluster.fleet import TAG_CLUSTER, TAG_NODE
from lsstpipe.cluster.heartbeat import SharedHeartbeat
from lsstpipe.cluster.imds import ADDRESS, Imds
from lsstpipe.cluster.slurm import parse_nodes
from lsstpipe.errors import TemporaryError

_LOG = logging.getLogger(__name__)
_COMMAND_S = 30


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """How a node behaves.

    Attributes
    ----------
    conf_server
        Host, or host and port, of the slurmctld that hands out ``slurm.conf``.
    events
        File of its events.
    heartbeat
        Path or URL of the sign of life that `reconcile` shares; empty where it shares none.
    imds_url
        The metadata service.
    slurmd
        Command of slurmd; its name and the server are added.
    on_notice
        Command for a node that the Spot market takes back, such as one that unmounts.
    shutdown
        Command that ends the instance.
    name_timeout_s
        How long the tag with the name may take to come.
    silence_s
        How long the head or the reaper may be silent.
    start_s
        For how long slurmd is started again where it ends before the head knows the node: it
        fetches its settings from a slurmctld that may just be away.
    poll_s, listen_s
        How often it looks for a notice, and listens to head and reaper.
    """

    conf_server: str
    events: Path
    heartbeat: str = ""
    imds_url: str = ADDRESS
    slurmd: str = "slurmd"
    on_notice: str = ""
    shutdown: str = "shutdown -h now"
    name_timeout_s: float = 300.0
    silence_s: float = 600.0
    start_s: float = 120.0
    poll_s: float = 5.0
    listen_s: float = 60.0


def run_node(settings: NodeSettings) -> str:
    """Run this instance as a node, until it is to end; then shut it down.

    Parameters
    ----------
    settings
        How it behaves.

    Returns
    -------
    str
        Why it ended.
    """
    begun = time.monotonic()
    imds = Imds(settings.imds_url)
    name = _wait_for_tag(imds, TAG_NODE, settings)
    if name is None:
        why = f"no tag {TAG_NODE} within {settings.name_timeout_s:.0f} s"
        _end(settings)
        return why
    events = EventLog(settings.events, imds.tag(TAG_CLUSTER) or "", time.time)
    command = [*shlex.split(settings.slurmd), "-D", "--conf-server", settings.conf_server]
    heartbeat = SharedHeartbeat(settings.heartbeat) if settings.heartbeat else None
    node = _Node(name, settings, imds, events, (*command, "-N", name), begun, heartbeat)
    why = node.live()
    events.emit("node-ended", node=name, reason=why)
    _end(settings)
    return why


def _wait_for_tag(imds: Imds, name: str, settings: NodeSettings) -> str | None:
    """Wait for a tag: an instance boots while `resume` still writes it."""
    ends = time.monotonic() + settings.name_timeout_s
    while time.monotonic() < ends:
        try:
            if value := imds.tag(name):
                return value
        except TemporaryError:
            pass  # the service of a young instance
        time.sleep(min(settings.poll_s, 1.0))
    return None


def _end(settings: NodeSettings) -> None:
    subprocess.run(shlex.split(settings.shutdown), check=False, timeout=_COMMAND_S)


@dataclass(slots=True)
class _Node:
    """A node with its slurmd: what it has seen so far."""

    name: str
    settings: NodeSettings
    imds: Imds
    events: EventLog
    command: tuple[str, ...]
    begun: float
    heartbeat: SharedHeartbeat | None
    is_ready: bool = False
    is_leaving: bool = False

    def live(self) -> str:
        """Run slurmd until the node is to end; give why."""
        while True:
            slurmd = subprocess.Popen(self.command)
            try:
                why = self._watch(slurmd)
                has_ended = slurmd.poll() is not None
            finally:
                _stop(slurmd)
            is_late = time.monotonic() - self.begun > self.settings.start_s
            if self.is_ready or is_late or not has_ended:
                return why
            time.sleep(self.settings.poll_s)

    def _watch(self, slurmd: subprocess.Popen[bytes]) -> str:
        """Look, again and again; give why there is nothing more to look at."""
        listened = time.monotonic()
        heard = {"the head": listened, "the reaper": listened}
        while slurmd.poll() is None:
            if not self.is_leaving:
                self._look_for_notice()
            now = time.monotonic()
            is_time = now - listened >= self.settings.listen_s
            if (is_time or not self.is_ready) and self._hears_head():
                heard["the head"] = now
            if is_time:
                listened = now
                if self._hears_reaper():
                    heard["the reaper"] = now
            for who, last in heard.items():
                if now - last > self.settings.silence_s:
                    return f"{who} was silent for {now - last:.0f} s"
            time.sleep(self.settings.poll_s)
        return f"slurmd ended with {slurmd.returncode}"

    def _hears_reaper(self) -> bool:
        """Tell whether the reaper has given a sign of life since the last look."""
        if self.heartbeat is None:
            return True
        try:
            return self.heartbeat.is_new()
        except TemporaryError as error:
            _LOG.warning("%s", error)
            return False

    def _hears_head(self) -> bool:
        """Tell whether slurmctld answers, and knows this node."""
        answer = _ask_slurm("scontrol", "show", "node", self.name, "--oneliner")
        nodes = parse_nodes(answer)
        if not nodes:
            return False
        if not self.is_ready and not nodes[0].flags & {"POWERING_UP", "NOT_RESPONDING"}:
            self.is_ready = True
            self.events.emit("node-ready", node=self.name, seconds=time.monotonic() - self.begun)
        return True

    def _look_for_notice(self) -> None:
        """Leave in order, where the Spot market takes the node back."""
        try:
            notice = self.imds.get("meta-data/spot/instance-action")
        except TemporaryError:
            return
        if notice is None:
            return
        self.is_leaving = True
        self.events.emit("spot-notice", node=self.name, until=json.loads(notice)["time"])
        # Drained first, so that what is requeued does not come back here.
        reason = "reason=the Spot market takes it back"
        _ask_slurm("scontrol", "update", f"nodename={self.name}", "state=drain", reason)
        for job in _ask_slurm("squeue", "-h", "-w", self.name, "-o", "%A").split():
            _ask_slurm("scontrol", "requeue", job)
        if self.settings.on_notice:
            subprocess.run(shlex.split(self.settings.on_notice), check=False, timeout=_COMMAND_S)


def _stop(slurmd: subprocess.Popen[bytes]) -> None:
    """End slurmd; one that does not end goes with the instance."""
    slurmd.terminate()
    with suppress(subprocess.TimeoutExpired):
        slurmd.wait(_COMMAND_S)


def _ask_slurm(*command: str) -> str:
    """Run a command of Slurm; nothing where it fails."""
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=_COMMAND_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
