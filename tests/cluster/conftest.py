"""An elastic cluster for all tests that need a real Slurm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.elastic import ElasticCluster, keep_logs
from tests.cluster.fakes import make_pool
from tests.cluster.slurm_server import missing_programs
from tests.conftest import IN_CI

TYPES = ("m7a.xlarge", "m7i.xlarge")
BREAKER_LIMIT = 2
# One for each test that leaves nodes behind, which take their time to be at rest.
POOLS = ("spot", "lost", "noticed", "dear", "other", "empty", "headless", "workflow", "wide")


def small(name: str, **changes: object) -> dict[str, object]:
    """A pool of small nodes."""
    return make_pool(name, cpus=2, memory_mb=2000, max_nodes=2, **changes)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElasticCluster]:
    """A cluster with a pool for each thing that goes wrong."""
    if missing := missing_programs():
        reason = f"a real Slurm needs {', '.join(missing)}; envs/debian.txt names the packages"
        if IN_CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    cluster = ElasticCluster(
        *(small(name) for name in POOLS),
        small("dud", fallback="none"),
        small("poor", max_hourly_usd=0.01),
        boot_timeout_s=12,
        orphan_grace_s=4,
        capacity_cooldown_s=4,
        breaker_limit=BREAKER_LIMIT,
        heartbeat_timeout_s=6,
    )
    try:
        cluster.start()
        yield cluster
    finally:
        if cluster.state.exists():
            keep_logs(cluster, tmp_path_factory.mktemp("logs"))
        cluster.stop()


@pytest.fixture
def cluster(running: ElasticCluster) -> Iterator[ElasticCluster]:
    """The cluster at rest, with a market that has everything."""
    running.clear()
    yield running
    running.ec2.market.short.clear()
    running.ec2.market.boots = True
    running.slurm.run("scancel", "--user=root")
