"""Resume: Slurm wants nodes; launch instances for them, or say at once that there are none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lsstpipe.cluster import guard
from lsstpipe.cluster.assign import Wanted, assign, group
from lsstpipe.cluster.decide import Power, cooldown_s
from lsstpipe.cluster.ec2 import Instance
from lsstpipe.cluster.errors import ErrorClass, classify, worst
from lsstpipe.cluster.fleet import (
    MOST_AT_ONCE,
    Launch,
    Launched,
    fall_back,
    make_request,
    make_token,
)
from lsstpipe.cluster.head import Head
from lsstpipe.cluster.hostlist import compress, expand
from lsstpipe.cluster.state import Promise, State
from lsstpipe.errors import TemporaryError

_THROTTLED_TRIES = 3
_UNFULFILLED = "UnfulfillableCapacity"
"""Code of what EC2 did not give without a word."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A launch, and the instance that EC2 gave for each of its nodes."""

    launch: Launch
    nodes: Mapping[str, str]


def resume(head: Head, nodes: str, jobs: Sequence[Wanted], event: str) -> None:
    """Launch instances for nodes.

    A node that gets none is set down, with the code of the error in its reason, and then powered
    down: so Slurm requeues its job at once, and the node comes back when its pool does.

    A slurmctld that was started again asks again for the nodes that power up. Those whose instance
    lives, or is being asked for by another call, are launched no second time.

    Parameters
    ----------
    head
        The head node.
    nodes
        As Slurm writes them.
    jobs
        What they are for, of the resume file.
    event
        Names this call: repeated, it makes the same requests, which EC2 answers as before.
    """
    names = expand(nodes)
    silence = head.state.silence_s(head.now())
    if silence > head.cluster.heartbeat_timeout_s:
        # Nobody would end what is launched now.
        head.events.emit("reaper-silent", nodes=names, seconds=silence)
        _refuse(head, names, "Reaper", f"reconcile has been silent for {silence:.0f} s")
        return
    known = head.slurm.describe_jobs(wanted.job.id for wanted in jobs)
    jobs = [
        replace(w, job=replace(known.get(w.job.id, w.job), n_nodes=w.job.n_nodes)) for w in jobs
    ]
    launches, foreign = group(head.cluster, names, jobs, event)
    if foreign:
        head.events.emit("foreign-node", nodes=foreign)
    asked: list[_Asked] = []
    for launch in launches:
        asked += _launch(head, _pass_guard(head, launch, jobs), jobs)
    while asked:
        asked = _receive(head, asked, jobs)


def _launch(head: Head, launch: Launch | None, jobs: Sequence[Wanted]) -> list[_Asked]:
    """Ask for what the guard has passed, first on the pool's market, then on demand."""
    asked: list[_Asked] = []
    left = launch
    while left is not None:
        given, missing, codes = _ask(head, left)
        if given:
            asked.append(_Asked(left, given))
        left = _turn_to(head, left, missing, codes, jobs) if missing else None
    return asked


def _turn_to(
    head: Head,
    launch: Launch,
    missing: Sequence[str],
    codes: Sequence[str],
    jobs: Sequence[Wanted],
) -> Launch | None:
    """Give what is asked for instead of what is missing; nothing where that is given up."""
    after = fall_back(launch, missing) if worst(codes) is ErrorClass.CAPACITY else None
    if after is None:
        _give_up(head, launch, missing, codes, jobs)
        return None
    head.events.emit("fell-back", pool=launch.pool.name, nodes=list(after.nodes))
    return _pass_guard(head, after, jobs)


def _pass_guard(head: Head, launch: Launch, jobs: Sequence[Wanted]) -> Launch | None:
    """Leave out what has an instance, what would cost too much, or all where the pool rests.

    What passes is promised: it counts as running before EC2 shows it, and against other calls.
    """
    pool = launch.pool
    instances = head.ec2.instances()
    with head.state.hold() as state:
        launch, addresses = _leave_out_served(head, state, launch, instances)
        code, verdict = _judge(head, state, launch, instances)
        allowed, refused, reason = verdict.allowed, verdict.refused, verdict.reason
        passed = replace(launch, nodes=allowed) if allowed else None
        if passed is not None:
            usd = head.prices.dearest(pool, launch.market)
            token = make_token(head.cluster.name, passed)
            state.promises[token] = Promise(
                pool.name, usd, head.now(), len(allowed), nodes=list(allowed)
            )
    if addresses:
        _tell_addresses(head, addresses)
    if refused:
        head.events.emit("launch-refused", pool=pool.name, nodes=list(refused), reason=reason)
        _refuse(head, _end_companions(head, launch, refused, jobs), code, reason)
        without = set(refused)
        told = [wanted.job.id for wanted in jobs if not without.isdisjoint(wanted.nodes)]
        head.slurm.comment(told, f"not launched: {reason}")
    return passed


def _judge(
    head: Head, state: State, launch: Launch, instances: Sequence[Instance]
) -> tuple[str, guard.Verdict]:
    """Decide which nodes may be asked for, and by which code the others are refused."""
    pool, n = launch.pool, len(launch.nodes)
    if state.is_resting(pool.name, head.now()):
        reason = f"pool {pool.name} rests"
        return state.rests[pool.name].code, guard.Verdict((), launch.nodes, reason)
    if launch.is_whole and n > MOST_AT_ONCE:
        reason = (
            f"a job's nodes are launched all at once or not at all, and EC2 gives {MOST_AT_ONCE} "
            f"at once, not {n}"
        )
        return "TooLarge", guard.Verdict((), launch.nodes, reason)
    promised = state.promised({item.id for item in instances}, head.now())
    spending = head.spending(instances, promised)
    verdict = guard.check(head.cluster, head.prices, spending, pool, launch.nodes, launch.market)
    if launch.is_whole and verdict.refused:
        verdict = guard.Verdict((), launch.nodes, verdict.reason)
    return "Guard", verdict


def _leave_out_served(
    head: Head, state: State, launch: Launch, instances: Sequence[Instance]
) -> tuple[Launch, dict[str, str]]:
    """Leave out nodes that have an instance, or will; give the addresses that are known of them."""
    since = head.now() - head.cluster.boot_timeout_s
    # An older one did not join in time or was not ended in time: it is no node any more.
    young = {i.id: i for i in instances if i.power is Power.ALIVE and i.launched >= since}
    shown = {item.id for item in instances}
    token = make_token(head.cluster.name, launch)
    served = state.served(young.keys(), shown, since, token).intersection(launch.nodes)
    if not served:
        return launch, {}
    head.events.emit("launched-before", pool=launch.pool.name, nodes=sorted(served))
    keys = {node: state.assigned.get(node, "") for node in served}
    addresses = {node: young[key].private_ip for node, key in keys.items() if key in young}
    left = tuple(node for node in launch.nodes if node not in served)
    return replace(launch, nodes=left), {node: ip for node, ip in addresses.items() if ip}


def _ask(head: Head, launch: Launch) -> tuple[dict[str, str], list[str], list[str]]:
    """Ask EC2; give the instance of each node, the nodes without one, and the codes of errors."""
    head.events.emit(
        "launch-requested",
        pool=launch.pool.name,
        market=launch.market,
        nodes=list(launch.nodes),
        job=None if launch.job is None else launch.job.id,
    )
    request = make_request(head.cluster, launch)
    answer = head.ec2.launch(request)
    for _ in range(_THROTTLED_TRIES):
        # The same token: what was launched after all is not launched again.
        if answer.instance_ids or _class_of(answer) is not ErrorClass.THROTTLE:
            break
        answer = head.ec2.launch(request)
    nodes, spare = assign(launch, answer.instance_ids)
    _keep_promise(head, launch, answer, nodes)
    if spare:
        head.ec2.terminate(spare)
    missing = [name for name in launch.nodes if name not in nodes]
    for code, message in answer.errors:
        head.events.emit(
            "launch-failed",
            pool=launch.pool.name,
            market=launch.market,
            nodes=missing,
            code=code,
            error_class=classify(code).value,
            message=message,
        )
    codes = [code for code, _ in answer.errors] or [_UNFULFILLED]
    return dict(nodes), missing, codes


def _receive(head: Head, asked: Sequence[_Asked], jobs: Sequence[Wanted]) -> list[_Asked]:
    """Name instances as EC2 shows them; give what is asked for instead of those that it never did.

    All launches of a call are waited for at the same time, and what is shown is named at once: an
    instance that EC2 shows late delays none of the others.
    """
    waited_for = [key for item in asked for key in item.nodes.values()]
    unseen = set(waited_for)
    for arrived in head.ec2.arrivals(waited_for):
        unseen -= {item.id for item in arrived}
        found = _keep_wanted(head, arrived)
        for item in asked:
            _name(head, item.launch, {n: found[k] for n, k in item.nodes.items() if k in found})
        nodes = {n: found[k] for item in asked for n, k in item.nodes.items() if k in found}
        if nodes:
            _tell_addresses(head, {name: item.private_ip for name, item in nodes.items()})
    if unseen:
        head.ec2.terminate(sorted(unseen))
        with head.state.hold() as state:
            state.forget([name for name, key in state.assigned.items() if key in unseen])
    again: list[_Asked] = []
    for item in asked:
        if missing := [name for name, key in item.nodes.items() if key in unseen]:
            after = _turn_to(head, item.launch, missing, [_UNFULFILLED], jobs)
            again += _launch(head, after, jobs)
    return again


def _keep_wanted(head: Head, arrived: Sequence[Instance]) -> dict[str, Instance]:
    """End instances whose nodes lost their power meanwhile: others may have their names by now."""
    with head.state.hold() as state:
        wanted = set(state.assigned.values())
    if late := [item.id for item in arrived if item.id not in wanted]:
        head.ec2.terminate(late)
        for key in late:
            why = "its node lost its power before it was there"
            head.events.emit("orphan-ended", instance=key, reason=why)
    return {item.id: item for item in arrived if item.id in wanted}


def _tell_addresses(head: Head, addresses: Mapping[str, str]) -> None:
    """Tell Slurm where nodes are; where it is away, `reconcile` tells it later."""
    try:
        head.slurm.set_addresses(addresses)
    except TemporaryError as error:
        head.events.emit(
            "action-failed", nodes=list(addresses), action="address", message=str(error)
        )


def _name(head: Head, launch: Launch, nodes: Mapping[str, Instance]) -> None:
    """Tell instances which nodes they are."""
    if not nodes:
        return
    head.ec2.name({item.id: node for node, item in nodes.items()})
    head.events.emit(
        "launched",
        pool=launch.pool.name,
        market=launch.market,
        nodes=list(nodes),
        instances=[item.id for item in nodes.values()],
        hourly_usd=head.spending(nodes.values()).total,
    )


def _keep_promise(head: Head, launch: Launch, answer: Launched, nodes: Mapping[str, str]) -> None:
    """Note which instances were promised, and for which nodes; they count until EC2 shows them.

    Nodes that Slurm has taken the power of meanwhile have none.
    """
    with head.state.hold() as state:
        token = make_token(head.cluster.name, launch)
        promise = state.promises.pop(token, None)
        if promise is not None and answer.instance_ids:
            state.assigned |= {name: nodes[name] for name in promise.nodes if name in nodes}
            state.promises[token] = replace(promise, ids=list(answer.instance_ids), nodes=[])


def _class_of(answer: Launched) -> ErrorClass | None:
    return worst(code for code, _ in answer.errors)


def _give_up(
    head: Head,
    launch: Launch,
    missing: Sequence[str],
    codes: Sequence[str],
    jobs: Sequence[Wanted],
) -> None:
    """Let the pool rest as long as the error asks for, and let Slurm look elsewhere."""
    gravest = worst(codes)
    code = next(code for code in codes if classify(code) is gravest)
    seconds = cooldown_s(code, head.cluster)
    if seconds:
        with head.state.hold() as state:
            state.rest(launch.pool.name, code, head.now() + seconds)
        told_s = seconds if math.isfinite(seconds) else None  # JSON has no infinity
        head.events.emit("pool-rests", pool=launch.pool.name, code=code, seconds=told_s)
        if gravest is ErrorClass.FATAL:
            head.events.emit("breaker-open", pool=launch.pool.name, reason=code)
        if gravest is ErrorClass.QUOTA:
            head.events.emit("quota-met", pool=launch.pool.name, code=code)
    left = _end_companions(head, launch, missing, jobs)
    _refuse(head, left, code, "Failure when resuming nodes")


def _end_companions(
    head: Head, launch: Launch, missing: Sequence[str], jobs: Sequence[Wanted]
) -> list[str]:
    """Give the nodes to refuse: with the missing ones all that only their job has a use for.

    The instances of these are ended. Slurm would take them for idle nodes, and they would cost
    money until it had no use for them for long enough.
    """
    if not launch.is_whole or launch.job is None:
        return list(missing)
    of_job = [name for w in jobs if w.job.id == launch.job.id for name in w.nodes]
    kept = {name for w in jobs if w.job.id != launch.job.id for name in w.nodes} | set(missing)
    others = [name for name in dict.fromkeys(of_job) if name not in kept]
    with head.state.hold() as state:
        ids = [state.assigned[name] for name in others if name in state.assigned]
        state.forget(others)
    try:
        stuck = head.ec2.terminate(ids) if ids else []
        message = "EC2 does not end them"
    except TemporaryError as error:
        stuck, message = ids, str(error)
    if stuck:
        # Their nodes lose their power all the same: `reconcile` then ends what still lives.
        head.events.emit("action-failed", nodes=others, action="terminate", message=message)
    return [*missing, *others]


def _refuse(head: Head, nodes: Iterable[str], code: str, why: str) -> None:
    """Set nodes of ours down, then without power."""
    own = [name for name in nodes if head.cluster.find_pool(name) is not None]
    if own:
        head.slurm.set_state(own, "down", f"(Code:{code}) {why}")
        head.slurm.set_state(own, "power_down")
        head.events.emit(
            "node-action", node=compress(own), action="down", reason=f"{code}: {why}", instance=""
        )
