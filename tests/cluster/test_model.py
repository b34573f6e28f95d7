"""Head node, Slurm and EC2 as one machine: any order of events keeps the promises."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lsstpipe.cluster.assign import Wanted
from lsstpipe.cluster.decide import Act, Power
from lsstpipe.cluster.fleet import Job
from lsstpipe.cluster.reconcile import BREAKER, close_breaker, reconcile
from lsstpipe.cluster.resume import resume
from lsstpipe.cluster.suspend import suspend
from tests.cluster.fakes import FakeEc2, FakeSlurm, make_head, make_pool, make_settings

CEILING_USD = 0.9
WORKING, UNFIT = (
    frozenset({"IDLE", "ALLOCATED"}),
    frozenset({"POWERING_UP", "POWERED_DOWN", "DOWN"}),
)
CODES = (
    "InsufficientInstanceCapacity",
    "VcpuLimitExceeded",
    "UnfulfillableCapacity",
    "RequestLimitExceeded",
)
STATIC = "spot-1"
AWAKE_STEPS = 20
"""A cluster at rest has nothing to tell: so long at least it is let alone."""
N_STEPS, N_EXAMPLES = 100, 130


class ClusterMachine(RuleBasedStateMachine):
    """Jobs come, instances boot, join, fail, get lost; time passes; the reaper looks.

    Two pools: Spot with fallback and one node that is always there, and on demand. The ceiling
    allows some of their nodes only. Some jobs need two nodes.
    """

    slurm: FakeSlurm
    ec2: FakeEc2
    n_steps: ClassVar[int] = 0

    @initialize(late_s=st.sampled_from([0.0, 60.0]))
    def begin(self, late_s: float) -> None:
        """Make a cluster at rest."""
        self.folder = tempfile.TemporaryDirectory(prefix="lsstpipe-cluster-")
        pools = (
            make_pool("spot", max_nodes=4, min_nodes=1),
            make_pool("ondemand", capacity="on-demand", max_nodes=2),
        )
        given = make_settings(*pools, max_hourly_usd=CEILING_USD)
        self.head = make_head(Path(self.folder.name), given)
        assert isinstance(self.head.slurm, FakeSlurm)
        assert isinstance(self.head.ec2, FakeEc2)
        self.slurm, self.ec2 = self.head.slurm, self.head.ec2
        self.ec2.shown_after_s = late_s
        self.n_jobs = 0
        self.n_since_rest = 0
        self.events = 0
        self.lost: set[str] = set()
        self.wanted: list[tuple[int, str]] = []

    def teardown(self) -> None:
        """Remove its folder."""
        if hasattr(self, "folder"):
            self.folder.cleanup()

    @rule(n=st.integers(1, 3))
    def submit(self, n: int) -> None:
        """Jobs come."""
        for _ in range(n):
            self.n_jobs += 1
            self.slurm.waiting.append(self.n_jobs)

    @rule()
    def submit_large(self) -> None:
        """A job comes that needs two nodes."""
        self.submit(1)
        self.slurm.sizes[self.n_jobs] = 2

    @precondition(lambda self: self.slurm.waiting)
    @rule()
    def schedule(self) -> None:
        """Slurm powers up nodes for what waits; its program takes its time to start."""
        self.wanted += self.slurm.schedule()

    @precondition(lambda self: self.wanted or self.slurm.called)
    @rule()
    def launch(self) -> None:
        """The program has started."""
        called = [*(node for _, node in self.wanted), *self.slurm.called]
        self.events += 1
        nodes: dict[int, tuple[str, ...]] = {}
        # A job that was requeued meanwhile may have been given the same node again.
        for job, node in dict.fromkeys(self.wanted):
            nodes[job] = (*nodes.get(job, ()), node)
        whole = [own for job, own in nodes.items() if self._needs_all(job, own)]
        self.wanted = []
        self.slurm.called.clear()
        sizes = self.slurm.sizes
        jobs = [Wanted(Job(job, n_nodes=sizes.get(job, 1)), own) for job, own in nodes.items()]
        resume(self.head, ",".join(dict.fromkeys(called)), jobs, f"event {self.events}")
        for own in whole:
            assert len({"DOWN" in self.slurm.flags[node] for node in own}) == 1, "all or nothing"

    def _needs_all(self, job: int, nodes: tuple[str, ...]) -> bool:
        """Tell whether nodes of one pool power up now for one job, and for no other."""
        asked = [node for _, node in self.wanted]
        return len({node.partition("-")[0] for node in nodes}) == 1 and all(
            self.slurm.booting.get(node) == job
            and "POWERING_UP" in self.slurm.flags[node]
            and asked.count(node) == 1  # not by a call that came too late
            for node in nodes
        )

    @precondition(lambda self: any("POWERING_UP" in f for f in self.slurm.flags.values()))
    @rule()
    def ask_again(self) -> None:
        """A slurmctld that was started again asks again for the nodes that power up."""
        booting = {node for node, flags in self.slurm.flags.items() if "POWERING_UP" in flags}
        asked = booting - {node for _, node in self.wanted} - set(self.slurm.called)
        started = self.ec2.now[0] - self.head.cluster.boot_timeout_s
        before = {item.id for item in self.ec2.alive()}
        served = {i.node for i in self.ec2.alive() if i.node in asked and i.launched >= started}
        self.events += 1
        resume(self.head, ",".join(sorted(asked)), [], f"event {self.events}")
        assert not any(i.node in served for i in self.ec2.alive() if i.id not in before)

    def ready(self) -> list[str]:
        """Give nodes that power up and have an instance."""
        named = [item.node for item in self.ec2.alive() if item.node]
        return [name for name in named if "POWERING_UP" in self.slurm.flags[name]]

    @precondition(lambda self: self.ready())
    @rule(data=st.data())
    def join(self, data: st.DataObject) -> None:
        """An instance has booted."""
        self.slurm.join(data.draw(st.sampled_from(self.ready())))

    @precondition(lambda self: self.slurm.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """A job ends."""
        self.slurm.finish(data.draw(st.sampled_from(sorted(self.slurm.running))))

    @precondition(lambda self: bool(set(self.slurm.idle()) - {STATIC}))
    @rule(data=st.data())
    def power_off_idle(self, data: st.DataObject) -> None:
        """Slurm has no use for an idle node."""
        name = data.draw(st.sampled_from(sorted(set(self.slurm.idle()) - {STATIC})))
        self.slurm.set_state([name], "power_down")
        suspend(self.head, name)

    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        """The Spot market takes an instance back."""
        if alive := [item.id for item in self.ec2.alive() if item.market == "spot"]:
            key = data.draw(st.sampled_from(alive))
            self.lost.add(key)
            self.ec2.lose(key)

    @rule(
        room=st.sampled_from([0, 0, 1]),
        markets=st.sampled_from([("spot",), ("on-demand",), ("spot", "on-demand")]),
        pools=st.sampled_from([("spot",), ("ondemand",), ("spot", "ondemand")]),
    )
    def run_short(self, room: int, markets: tuple[str, ...], pools: tuple[str, ...]) -> None:
        """Markets have room for few."""
        self.ec2.room |= {(pool, market): room for pool in pools for market in markets}

    @precondition(lambda self: self.ec2.room)
    @rule()
    def recover(self) -> None:
        """Capacity returns."""
        self.ec2.room.clear()

    @rule(code=st.sampled_from(CODES))
    def change_error(self, code: str) -> None:
        """The next failure has another reason."""
        self.ec2.code = code

    @rule(n=st.sampled_from([2, 8]))
    def throttle(self, n: int) -> None:
        """EC2 does not look at the next requests: there were too many."""
        self.ec2.throttled = n

    @rule(data=st.data())
    def refuse_to_end(self, data: st.DataObject) -> None:
        """EC2 does not end an instance when it is asked to; later it does again."""
        if self.ec2.stuck:
            self.ec2.stuck.clear()
        elif alive := [item.id for item in self.ec2.alive()]:
            self.ec2.stuck.add(data.draw(st.sampled_from(alive)))

    @rule(seconds=st.sampled_from([10.0, 120.0, 700.0]))
    def wait(self, seconds: float) -> None:
        """Time passes, and the reaper with it."""
        self.ec2.now[0] += seconds
        self.look()

    def look(self) -> None:
        """The reaper looks; it sets down for an instance that ended only what the market took."""
        for decision in reconcile(self.head):
            if decision.action.act is Act.DOWN and decision.instance:
                assert decision.instance in self.lost
        for item in self.ec2.alive():
            is_late = self.ec2.now[0] - item.launched > self.head.cluster.boot_timeout_s
            if is_late and item.id not in self.ec2.stuck:
                # Named, and joined.
                assert self.slurm.flags[item.node] & WORKING, item
                assert not self.slurm.flags[item.node] & UNFIT, item

    @precondition(lambda self: hasattr(self, "head"))
    @invariant()
    def nothing_costs_more_than_is_allowed(self) -> None:
        """Never more an hour than the ceiling, never more instances than nodes."""
        ClusterMachine.n_steps += 1
        self.n_since_rest += 1
        self.check_cost()

    def check_cost(self) -> None:
        """Compare what runs with the ceiling and with the pools."""
        assert self.head.spending(self.ec2.alive()).total <= CEILING_USD + 1e-9
        for pool in self.head.cluster.pools:
            own = [item for item in self.ec2.alive() if item.pool == pool.name]
            left = [item for item in own if item.id not in self.ec2.stuck]
            assert len(left) <= pool.max_nodes

    @precondition(lambda self: hasattr(self, "head"))
    @invariant()
    def no_job_is_lost_or_there_twice(self) -> None:
        """Each job waits, boots its node, runs or is done: one of them, once."""
        s = self.slurm
        everywhere = [*s.waiting, *s.running, *s.done, *set(s.booting.values())]
        assert sorted(everywhere) == list(range(1, self.n_jobs + 1))

    @precondition(lambda self: self.n_since_rest >= AWAKE_STEPS)
    @rule()
    def come_to_rest(self) -> None:
        """With capacity and time every job ends; then nothing costs money but the static node."""
        self.n_since_rest = 0
        self.ec2.room.clear()
        self.ec2.stuck.clear()
        self.ec2.throttled = 0
        self._look_at_breakers()
        for _ in range(200):
            self.schedule()
            if self.wanted or self.slurm.called:
                self.launch()
            for name in self.ready():
                self.slurm.join(name)
            for job in list(self.slurm.running):
                self.slurm.finish(job)
            for name in self.slurm.idle():
                if name != STATIC:
                    self.slurm.set_state([name], "power_down")
                    suspend(self.head, name)
            if not (self.slurm.waiting or self.slurm.booting) and self._is_at_rest():
                break
            self.ec2.now[0] += 100.0
            self.look()
            self.check_cost()
        assert len(self.slurm.done) == self.n_jobs
        assert self._is_at_rest(), self.slurm.flags
        assert sum(item.power is not Power.ENDING for item in self.ec2.all.values()) == 1

    def _look_at_breakers(self) -> None:
        """A person looks at the pools whose nodes did not boot; the others rest for their time."""
        with self.head.state.hold() as state:
            opened = [name for name, rest in state.rests.items() if rest.code == BREAKER]
        for name in opened:
            close_breaker(self.head, name)

    def _is_at_rest(self) -> bool:
        """Tell whether only the node that is always there has an instance, and waits for work."""
        return [item.node for item in self.ec2.alive()] == [STATIC] == self.slurm.idle()


def test_any_order_of_events_keeps_the_promises() -> None:
    """More than ten thousand steps."""
    run_state_machine_as_test(
        ClusterMachine,
        settings=settings(
            max_examples=N_EXAMPLES,
            stateful_step_count=N_STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert ClusterMachine.n_steps >= 10_000
