"""Resume: Slurm wants nodes; launch instances for them, or say at once that there are none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from lsstpipe.cluster import guard
from lsstpipe.cluster.assign import Wanted, assign, group
from lsstpipe.cluster.decide import cooldown_s
from lsstpipe.cluster.errors import ErrorClass, classify, worst
from lsstpipe.cluster.fleet import Launch, Launched, fall_back, make_request, make_token
from lsstpipe.cluster.head import Head
from lsstpipe.cluster.hostlist import compress, expand
from lsstpipe.cluster.state import Promise

_THROTTLED_TRIES = 3


def resume(head: Head, nodes: str, jobs: Sequence[Wanted], event: str) -> None:
    """Launch instances for nodes.

    A node that gets none is set down, with the code of the error in its reason, and then powered
    down: so Slurm requeues its job at once, and the node comes back when its pool does.

    Parameters
    ----------
    head
        The head node.
    nodes
        As Slurm writes them.
    jobs
        What they are for, of the resume file.
    event
        Names this call: repeated, it launches nothing twice.
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
    for launch in launches:
        _launch(head, launch, jobs)


def _launch(head: Head, launch: Launch, jobs: Sequence[Wanted]) -> None:
    """Launch what the guard and the pool allow, first on the pool's market, then on demand."""
    left = _pass_guard(head, launch, jobs)
    while left is not None:
        missing, codes = _ask(head, left)
        after = None
        if missing and worst(codes) is ErrorClass.CAPACITY:
            after = fall_back(left, missing)
        if after is None:
            if missing:
                _give_up(head, left, missing, codes)
            return
        head.events.emit("fell-back", pool=launch.pool.name, nodes=list(after.nodes))
        left = _pass_guard(head, after, jobs)


def _pass_guard(head: Head, launch: Launch, jobs: Sequence[Wanted]) -> Launch | None:
    """Leave out what would cost too much, or all of it where its pool rests.

    What passes is promised: it counts as running before EC2 shows it, and against other calls.
    """
    pool = launch.pool
    instances = head.ec2.instances()
    with head.state.hold() as state:
        if state.is_resting(pool.name, head.now()):
            code = state.rests[pool.name].code
            verdict = guard.Verdict((), launch.nodes, f"pool {pool.name} rests")
        else:
            code = "Guard"
            promised = state.promised({item.id for item in instances}, head.now())
            spending = head.spending(instances, promised)
            verdict = guard.check(
                head.cluster, head.prices, spending, pool, launch.nodes, launch.market
            )
        if launch.is_whole and verdict.refused:
            verdict = guard.Verdict((), launch.nodes, verdict.reason)
        allowed, refused, reason = verdict.allowed, verdict.refused, verdict.reason
        passed = replace(launch, nodes=allowed) if allowed else None
        if passed is not None:
            usd = head.prices.dearest(pool, launch.market)
            token = make_token(head.cluster.name, passed)
            state.promises[token] = Promise(pool.name, usd, head.now(), len(allowed))
    if refused:
        head.events.emit("launch-refused", pool=pool.name, nodes=list(refused), reason=reason)
        _refuse(head, refused, code, reason)
        without = set(refused)
        told = [wanted.job.id for wanted in jobs if not without.isdisjoint(wanted.nodes)]
        head.slurm.comment(told, f"not launched: {reason}")
    return passed


def _ask(head: Head, launch: Launch) -> tuple[list[str], list[str]]:
    """Ask EC2; give the nodes that got no instance, and the codes of its errors."""
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
    _keep_promise(head, launch, answer)
    nodes, spare = assign(launch, answer.instance_ids)
    found = {item.id: item for item in head.ec2.wait_for(list(nodes.values()))}
    ready = {node: found[key] for node, key in nodes.items() if key in found}
    unseen = [key for key in nodes.values() if key not in found]
    if spare or unseen:
        head.ec2.terminate([*spare, *unseen])
    if ready:
        with head.state.hold() as state:
            state.assigned |= {node: item.id for node, item in ready.items()}
        head.ec2.name({item.id: node for node, item in ready.items()})
        head.slurm.set_addresses({node: item.private_ip for node, item in ready.items()})
        head.events.emit(
            "launched",
            pool=launch.pool.name,
            market=launch.market,
            nodes=list(ready),
            instances=[item.id for item in ready.values()],
            hourly_usd=head.spending(ready.values()).total,
        )
    missing = [name for name in launch.nodes if name not in ready]
    codes = [code for code, _ in answer.errors]
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
    return missing, codes or (["UnfulfillableCapacity"] if missing else [])


def _keep_promise(head: Head, launch: Launch, answer: Launched) -> None:
    """Note which instances were promised; they count until EC2 shows them."""
    with head.state.hold() as state:
        token = make_token(head.cluster.name, launch)
        promise = state.promises.pop(token, None)
        if promise is not None and answer.instance_ids:
            state.promises[token] = replace(promise, ids=list(answer.instance_ids))


def _class_of(answer: Launched) -> ErrorClass | None:
    return worst(code for code, _ in answer.errors)


def _give_up(head: Head, launch: Launch, missing: Sequence[str], codes: Sequence[str]) -> None:
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
    _refuse(head, missing, code, "Failure when resuming nodes")


def _refuse(head: Head, nodes: Iterable[str], code: str, why: str) -> None:
    """Set nodes of ours down, then without power."""
    own = [name for name in nodes if head.cluster.find_pool(name) is not None]
    if own:
        head.slurm.set_state(own, "down", f"(Code:{code}) {why}")
        head.slurm.set_state(own, "power_down")
        head.events.emit(
            "node-action", node=compress(own), action="down", reason=f"{code}: {why}", instance=""
        )
