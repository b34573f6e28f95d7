"""Runs the programs of machines that speak with AWS, against a server that answers as AWS does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lsstpipe.butler import Butler
from lsstpipe.cluster.assign import Wanted
from lsstpipe.cluster.budget import heed_budget
from lsstpipe.cluster.fleet import Job
from lsstpipe.cluster.head import open_head
from lsstpipe.cluster.head_files import FILES, configure, dump_accounts, make_key, take_key
from lsstpipe.cluster.heartbeat import SharedHeartbeat
from lsstpipe.cluster.log_shipping import Shipper, head_sources, node_sources, open_logs
from lsstpipe.cluster.log_sources import LogFile
from lsstpipe.cluster.prices import read_prices
from lsstpipe.cluster.reconcile import reconcile
from lsstpipe.cluster.resume import resume
from lsstpipe.cluster.suspend import suspend
from lsstpipe.datastore import ChainedDatastore, Datastore
from lsstpipe.datastore.s3 import PART_BYTES
from lsstpipe.errors import ConflictError
from lsstpipe.execute.publish import publish
from lsstpipe.registry.database import Database
from tests.cluster.fakes import FakeSlurm
from tests.execute import small_repository
from tests.terraform.iam.site import CONFIG, PRODUCTS, RAW, REGION, Site

CLUSTER = f"{CONFIG.replace('arn:aws:s3:::', 's3://')}/clusters/survey"


class Twins:
    """Subnets and launch templates of a site, made a second time where programs can use them.

    Attributes
    ----------
    ids
        The id of the twin by that of the site.
    """

    def __init__(self, site: Site, client: Any) -> None:
        pools = site.pools
        image = client.describe_images()["Images"][0]["ImageId"]
        vpc = client.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
        self.ids: dict[str, str] = {pools["vpc_id"]: vpc}
        for number, subnet in enumerate(pools["subnets"]):
            made = client.create_subnet(VpcId=vpc, CidrBlock=f"10.20.{number}.0/24")["Subnet"]
            self.ids[subnet] = made["SubnetId"]
        for key, template in site.launch_templates.items():
            made = client.create_launch_template(
                LaunchTemplateName=template["name"], LaunchTemplateData={"ImageId": image}
            )["LaunchTemplate"]
            self.ids[key] = made["LaunchTemplateId"]

    def to_twin(self, value: Any) -> Any:
        """Put ids of the twins in place of those of the site."""
        return _exchange(value, self.ids)

    def to_site(self, value: Any) -> Any:
        """Put ids of the site in place of those of the twins."""
        return _exchange(value, {twin: own for own, twin in self.ids.items()})


def _exchange(value: Any, names: dict[str, str]) -> Any:
    text = json.dumps(value)
    for old, new in names.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    return json.loads(text)


def run_cluster(pools: dict[str, Any], folder: Path) -> None:
    """Launch, name and end nodes as the head node does, on every market."""
    # Which types makes no difference to rights, but nothing is launched that has no price.
    known = read_prices(REGION).on_demand
    for pool in pools["pools"]:
        pool["instance_types"] = [name for name in pool["instance_types"] if name in known]
    config = folder / "pools.json"
    config.write_text(json.dumps(pools))
    head = open_head(config, folder)
    slurm = FakeSlurm([head.now()])
    for pool in head.cluster.pools:
        for name in pool.node_names():
            slurm.flags[name] = frozenset({"IDLE", "CLOUD", "POWERED_DOWN"})
    head.slurm = slurm
    reconcile(head)
    one, two = Job(7, "astro", "drp", "dr1"), Job(8, "astro", "drp", "dr1", n_nodes=2)
    resume(head, "spot-1", [Wanted(one, ("spot-1",))], "first")
    resume(head, "spot-[2-3]", [Wanted(two, ("spot-2", "spot-3"))], "second")
    resume(head, "memory-1,steady-1", [], "third")
    nodes = {item.node for item in head.ec2.instances()}
    assert nodes == {"spot-1", "spot-2", "spot-3", "memory-1", "steady-1"}
    suspend(head, "spot-[1-3],memory-1,steady-1")


def use_data(folder: Path) -> None:
    """Read raw frames; read and write products in each way there is, but remove none."""
    raw, products = (arn.replace("arn:aws:s3:::", "s3://") for arn in (RAW, PRODUCTS))
    frames = Datastore(raw)
    assert [found.path for found in frames.scan()] == ["night/frame.fits"]
    assert frames.read("night/frame.fits") == b"frame"
    for root in (f"{products}/releases/dp1", f"{products}/embargo/2026-11-26"):
        store = Datastore(root)
        stored = store.create("a.json", b"abc")
        store.write("a.json", b"abc")
        assert store.read("a.json", stored.checksum) == b"abc"
        assert store.read_ranges("a.json", [(0, 1), (1, 3)]) == [b"a", b"bc"]
        assert store.exists("a.json")
        assert not store.exists("b.json")
        assert store.holds(stored)
        assert store.verify(stored)
        assert store.describe("a.json").size == 3
        assert [found.path for found in store.scan()] == ["a.json"]
        large = bytes(2 * PART_BYTES + 1)
        store.create("large", large)
        with pytest.raises(ConflictError):
            store.create("large", large[1:] + b"x")
        chain = ChainedDatastore([folder, root])
        assert chain.read("a.json") == b"abc"


def keep_head(folder: Path, queue_url: str, patch: pytest.MonkeyPatch) -> None:
    """Take the configuration, share key and sign of life, dump accounts, look after the budget."""
    assert len(configure(folder / "etc", CLUSTER)) == len(FILES) + 1
    make_key(folder / "munge.key", f"{CLUSTER}/auth/munge.key")
    SharedHeartbeat(f"{CLUSTER}/heartbeat").give("1.0")
    make_program(folder, "mariadb-dump", "accounts of jobs", patch)
    assert dump_accounts(f"{CLUSTER}/accounts/2026-11-26.sql.gz") > 0
    assert heed_budget(queue_url, REGION, folder, wait_s=0)


def join_cluster(folder: Path) -> None:
    """Take the key of the cluster as a node does when it starts; hear whether its reaper lives."""
    assert SharedHeartbeat(f"{CLUSTER}/heartbeat").is_new()
    take_key(f"{CLUSTER}/auth/munge.key", folder / "taken.key")
    assert (folder / "taken.key").read_bytes() == (folder / "munge.key").read_bytes()


def make_program(folder: Path, name: str, says: str, patch: pytest.MonkeyPatch) -> None:
    """Put a program that prints something where programs are found."""
    program = folder / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    patch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def ship_logs(role: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Send the logs of a kind of machine, one line of each."""
    entry = {"__CURSOR": "c", "__REALTIME_TIMESTAMP": "1795755600500000", "MESSAGE": "up"}
    make_program(folder, "journalctl", json.dumps(entry), patch)
    own = folder / f"{role}-logs"
    sources = head_sources(own, own) if role == "head" else node_sources(own)
    files = [log for logs in sources.values() for log in logs if isinstance(log, LogFile)]
    for log in files:
        log.path.parent.mkdir(parents=True, exist_ok=True)
        log.path.write_text("a line\n")
    stream = "head" if role == "head" else "compute/spot-1/i-0a"
    client = open_logs(REGION)
    shipper = Shipper(client, "/lsstpipe/survey", stream, sources, own / "shipped.json")
    assert shipper.ship() == len(files) + 1
    client.close()


def publish_release(folder: Path) -> None:
    """Publish a small release, as the head node does."""
    repo = small_repository.make_repository(folder / "repo")
    root = f"{PRODUCTS.replace('arn:aws:s3:::', 's3://')}/releases/dp2"
    with Butler(repo) as butler:
        publish(butler, "main", root, "releases/dp2", jobs=2, advance=lambda _: None)


def connect_to_registry() -> None:
    """Open a connection to the registry as the head node does; nobody listens there."""
    url = sa.make_url("postgresql://lsstpipe@127.0.0.1:1/registry").update_query_dict(
        {"auth": "iam", "region": REGION}
    )
    with pytest.raises(sa.exc.OperationalError, match="refused"):
        Database(url.render_as_string()).engine.connect()
