"""Drain a pool: its jobs come to their end, nothing new begins on it, and its nodes go."""

from __future__ import annotations

import math

from lsstpipe.cluster.head import Head
from lsstpipe.cluster.reconcile import close_breaker

DRAINED = "drained"
"""Code of a pool that launches nothing because a person said so."""


def drain(head: Head, pool: str) -> None:
    """Let a pool run empty; jobs that may run elsewhere do.

    `reconcile` ends its nodes when they are without work.

    Parameters
    ----------
    head
        The head node.
    pool
        Name of the pool.
    """
    # First: what Slurm asks for from here on is refused.
    with head.state.hold() as state:
        state.rest(pool, DRAINED, math.inf)
    names = [node.name for node in head.slurm.nodes() if _is_of(head, node.name, pool)]
    head.slurm.set_state(names, "drain", f"pool {pool} is drained by a person")
    head.events.emit("pool-rests", pool=pool, code=DRAINED, seconds=math.inf)


def open_again(head: Head, pool: str) -> None:
    """Let a pool that was drained take jobs again.

    Parameters
    ----------
    head
        The head node.
    pool
        Name of the pool.
    """
    close_breaker(head, pool)
    # Those that are down besides `reconcile` brings back, when they have no power left.
    names = [
        node.name
        for node in head.slurm.nodes()
        if _is_of(head, node.name, pool) and "DRAIN" in node.flags and "DOWN" not in node.flags
    ]
    if names:
        head.slurm.set_state(names, "resume")


def _is_of(head: Head, node: str, pool: str) -> bool:
    found = head.cluster.find_pool(node)
    return found is not None and found.name == pool
