"""What must outlive a call: which pools rest, how nodes have been, and the sign of life."""

from __future__ import annotations

import fcntl
import json
import math
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lsstpipe.datastore.atomic import write_atomically


@dataclass(slots=True)
class Rest:
    """Why and until when a pool launches nothing; for ever where its breaker is open."""

    code: str
    until: float


@dataclass(slots=True)
class Promise:
    """Instances that were asked for, which EC2 may not show for a while.

    Attributes
    ----------
    pool, usd
        Their pool, and what each costs an hour at most.
    at
        When they were asked for.
    n, ids
        How many; their ids once EC2 has given them.
    nodes
        What they are for, as long as EC2 has not answered.
    """

    pool: str
    usd: float
    at: float
    n: int
    ids: list[str] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)


_PROMISE_S = 900.0
"""How long EC2 may take to show what it has launched."""


@dataclass(slots=True)
class State:
    """State of a cluster between two calls.

    Attributes
    ----------
    rests
        Pools that launch nothing.
    boot_failures
        Nodes in a row, by pool, that did not join.
    since
        State of each node and since when it has been in it.
    promises
        What was asked for lately, by the token of the request.
    assigned
        Id of the instance that each node was launched as, from EC2's answer until Slurm or we take
        the node's power. EC2 shows instances for an hour after they ended: without this, one of an
        earlier life would speak for a node that boots.
    """

    rests: dict[str, Rest] = field(default_factory=dict)
    boot_failures: dict[str, int] = field(default_factory=dict)
    since: dict[str, tuple[str, float]] = field(default_factory=dict)
    promises: dict[str, Promise] = field(default_factory=dict)
    assigned: dict[str, str] = field(default_factory=dict)

    def forget(self, nodes: Iterable[str]) -> None:
        """Forget the instances of nodes whose life is over.

        Parameters
        ----------
        nodes
            Their names.
        """
        over = set(nodes)
        for name in over:
            self.assigned.pop(name, None)
        for promise in self.promises.values():
            promise.nodes = [name for name in promise.nodes if name not in over]

    def served(
        self, alive: AbstractSet[str], shown: AbstractSet[str], since: float, token: str
    ) -> set[str]:
        """Find nodes that have an instance already, or will.

        Parameters
        ----------
        alive
            Ids of instances that live and may still join.
        shown
            Ids of all instances that EC2 shows.
        since
            When what was asked for and is not there yet may have been asked for, seconds since
            1970; what is older never came.
        token
            Of a request that does not count: the same one is made again.
        """
        nodes: set[str] = set()
        coming = set(alive)
        for name, promise in self.promises.items():
            if name != token and promise.at >= since:
                nodes |= set(promise.nodes)
                coming |= set(promise.ids) - shown
        return nodes | {node for node, key in self.assigned.items() if key in coming}

    def promised(self, shown: AbstractSet[str], now: float) -> dict[str, float]:
        """Sum up what costs money that EC2 does not show yet; forget what it shows.

        Parameters
        ----------
        shown
            Ids of the instances that EC2 shows.
        now
            Seconds since 1970.

        Returns
        -------
        dict
            US dollars an hour by pool.
        """
        by_pool: dict[str, float] = {}
        for token, promise in list(self.promises.items()):
            n_hidden = sum(key not in shown for key in promise.ids) if promise.ids else promise.n
            if n_hidden == 0 or now - promise.at > _PROMISE_S:
                del self.promises[token]
            else:
                usd = n_hidden * promise.usd
                by_pool[promise.pool] = by_pool.get(promise.pool, 0.0) + usd
        return by_pool

    def is_resting(self, pool: str, now: float) -> bool:
        """Tell whether a pool launches nothing now.

        Parameters
        ----------
        pool
            Its name.
        now
            Seconds since 1970.
        """
        return pool in self.rests and now < self.rests[pool].until

    def rest(self, pool: str, code: str, until: float) -> None:
        """Let a pool launch nothing; what lasts longer stays.

        Parameters
        ----------
        pool
            Its name.
        code
            Error code of EC2, or ``breaker``.
        until
            Seconds since 1970.
        """
        if pool not in self.rests or self.rests[pool].until < until:
            self.rests[pool] = Rest(code, until)

    def age_s(self, node: str, flags: frozenset[str], now: float) -> float:
        """Note the state of a node; give how long it has been in it, seconds.

        Parameters
        ----------
        node
            Its name.
        flags
            Its state.
        now
            Seconds since 1970.
        """
        # Flags that come and go within a phase do not begin a new one.
        key = "+".join(sorted(flags - {"NOT_RESPONDING", "CLOUD", "DYNAMIC_NORM"}))
        if node not in self.since or self.since[node][0] != key:
            self.since[node] = (key, now)
        return now - self.since[node][1]


class StateFile:
    """The state on disk, for one process at a time.

    Parameters
    ----------
    folder
        Where the head node keeps it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "state.json"
        self._heartbeat = folder / "heartbeat"

    @contextmanager
    def hold(self) -> Iterator[State]:
        """Be alone with the state; what was changed is written at the end."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = self._read()
            try:
                yield state
            finally:
                plain = asdict(state)
                for rest in plain["rests"].values():
                    rest["until"] = None if math.isinf(rest["until"]) else rest["until"]
                write_atomically(self._path, json.dumps(plain).encode())

    def _read(self) -> State:
        if not self._path.exists():
            return State()
        plain = json.loads(self._path.read_bytes())
        rests = {
            name: Rest(row["code"], math.inf if row["until"] is None else row["until"])
            for name, row in plain["rests"].items()
        }
        since = {name: (key, float(time)) for name, (key, time) in plain["since"].items()}
        promises = {token: Promise(**row) for token, row in plain["promises"].items()}
        assigned = plain.get("assigned", {})
        return State(rests, plain["boot_failures"], since, promises, assigned)

    def beat(self, now: float) -> None:
        """Give the sign of life.

        Parameters
        ----------
        now
            Seconds since 1970.
        """
        write_atomically(self._heartbeat, f"{now}\n".encode())

    def silence_s(self, now: float) -> float:
        """Give how long there has been no sign of life, seconds; infinite where there never was.

        Parameters
        ----------
        now
            Seconds since 1970.
        """
        try:
            return now - float(self._heartbeat.read_text())
        except FileNotFoundError:
            return math.inf
