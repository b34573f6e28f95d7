"""Suspend: Slurm has no more use for nodes; end their instances."""

from __future__ import annotations

from lsstpipe.cluster.decide import Power
from lsstpipe.cluster.head import Head
from lsstpipe.cluster.hostlist import expand


def suspend(head: Head, nodes: str) -> list[str]:
    """End the instances of nodes.

    What fails here, `reconcile` does later: a node without power may have no instance.

    Parameters
    ----------
    head
        The head node.
    nodes
        As Slurm writes them; names that are not ours are passed over.

    Returns
    -------
    list of str
        Ids of the instances that were ended.
    """
    names = {name for name in expand(nodes) if head.cluster.find_pool(name) is not None}
    foreign = [name for name in expand(nodes) if name not in names]
    if foreign:
        head.events.emit("foreign-node", nodes=foreign)
    with head.state.hold() as state:
        # First: whether EC2 ends them or not, the nodes get others when they are next asked for.
        state.forget(names)
    ending = [
        item for item in head.ec2.instances() if item.node in names and item.power is Power.ALIVE
    ]
    stuck = set(head.ec2.terminate([item.id for item in ending]))
    if stuck:
        left = [item.node for item in ending if item.id in stuck]
        head.events.emit(
            "action-failed", nodes=left, action="terminate", message="EC2 does not end them"
        )
    ending = [item for item in ending if item.id not in stuck]
    for item in ending:
        head.events.emit(
            "node-action",
            node=item.node,
            action="terminate",
            reason="Slurm has no more use for it",
            instance=item.id,
        )
    return [item.id for item in ending]
