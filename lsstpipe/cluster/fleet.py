"""Requests for instances, and what EC2 answers: pure functions of both."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lsstpipe.cluster.config import Cluster, Market, Pool

TAG_CLUSTER, TAG_POOL, TAG_NODE = "lsstpipe:cluster", "lsstpipe:pool", "lsstpipe:node"
TAG_ROLE, TAG_JOB, TAG_USER = "lsstpipe:role", "lsstpipe:job", "lsstpipe:user"
TAG_ACCOUNT, TAG_CAMPAIGN = "lsstpipe:account", "lsstpipe:campaign"

MOST_AT_ONCE = 1000
"""Instances that EC2 gives to one fleet of type ``instant`` at most."""

_TAGGED = ("instance", "volume", "network-interface")
_LONGEST_TAG = 255


@dataclass(frozen=True, slots=True)
class Job:
    """The job that nodes are launched for: its id, user, account and campaign."""

    id: int
    user: str = ""
    account: str = ""
    campaign: str = ""
    n_nodes: int = 1


@dataclass(frozen=True, slots=True)
class Launch:
    """What is asked of EC2 at once.

    Attributes
    ----------
    pool, market
        Of what kind, and where it is bought.
    nodes
        Names that the instances get.
    job
        What for; None where several jobs share the nodes.
    event
        Names the call of Slurm: a repeated request of one event launches nothing twice.
    is_whole
        Whether fewer instances than nodes are of no use.
    """

    pool: Pool
    market: Market
    nodes: tuple[str, ...]
    job: Job | None
    event: str
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Launched:
    """What came of it: ids of instances, and codes and messages of errors."""

    instance_ids: tuple[str, ...]
    errors: tuple[tuple[str, str], ...]


def make_token(cluster: str, launch: Launch) -> str:
    """Name a request so that EC2 recognises it when it comes again.

    Parameters
    ----------
    cluster
        Name of the cluster.
    launch
        What is asked for.
    """
    parts = [cluster, launch.event, launch.market, *launch.nodes]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def make_tags(cluster: Cluster, launch: Launch) -> dict[str, str]:
    """Give the tags of instances, volumes and interfaces of a launch.

    Parameters
    ----------
    cluster
        The cluster.
    launch
        What is asked for.
    """
    tags = dict(cluster.tags)
    if launch.job is not None:
        own = {
            TAG_JOB: str(launch.job.id),
            TAG_USER: launch.job.user,
            TAG_ACCOUNT: launch.job.account,
            TAG_CAMPAIGN: launch.job.campaign,
        }
        tags |= {name: value[:_LONGEST_TAG] for name, value in own.items() if value}
    # Ours come last: a tag of the user cannot hide a node from the reaper.
    return tags | {TAG_CLUSTER: cluster.name, TAG_POOL: launch.pool.name, TAG_ROLE: "compute"}


def make_request(cluster: Cluster, launch: Launch) -> dict[str, Any]:
    """Make the arguments of CreateFleet.

    Parameters
    ----------
    cluster
        The cluster.
    launch
        What is asked for.
    """
    pool, n = launch.pool, len(launch.nodes)
    overrides = [
        {"InstanceType": name, "SubnetId": subnet}
        for name in pool.instance_types
        for subnet in pool.subnet_ids
    ]
    tags = [{"Key": k, "Value": v} for k, v in sorted(make_tags(cluster, launch).items())]
    request: dict[str, Any] = {
        "Type": "instant",
        "ClientToken": make_token(cluster.name, launch),
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {
                    "LaunchTemplateId": pool.launch_template_id,
                    "Version": pool.launch_template_version,
                },
                "Overrides": overrides,
            }
        ],
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": n,
            "DefaultTargetCapacityType": launch.market,
        },
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in _TAGGED],
    }
    if launch.market == "spot":
        request["SpotOptions"] = {
            "AllocationStrategy": pool.spot_strategy,
            "InstanceInterruptionBehavior": "terminate",
        }
    else:
        request["OnDemandOptions"] = {"AllocationStrategy": "lowest-price"}
    if launch.is_whole and len(pool.subnet_ids) == 1:
        # EC2 takes a least number only where all instances are in one zone or of one type.
        options = request["SpotOptions" if launch.market == "spot" else "OnDemandOptions"]
        options |= {"MinTargetCapacity": n, "SingleAvailabilityZone": True}
    return request


def read_answer(answer: Mapping[str, Any]) -> Launched:
    """Read what CreateFleet answered.

    Parameters
    ----------
    answer
        Of boto3.
    """
    ids = [key for group in answer.get("Instances", []) for key in group["InstanceIds"]]
    errors = {
        (item.get("ErrorCode", ""), item.get("ErrorMessage", ""))
        for item in answer.get("Errors", [])
    }
    return Launched(tuple(ids), tuple(sorted(errors)))


def fall_back(launch: Launch, missing: Sequence[str]) -> Launch | None:
    """Ask for the rest on demand, where the pool allows it.

    Parameters
    ----------
    launch
        What the Spot market did not have, or not all of it.
    missing
        Nodes without an instance.
    """
    pool = launch.pool
    if launch.market != "spot" or pool.fallback != "on-demand" or not missing:
        return None
    return Launch(
        pool, "on-demand", tuple(missing), launch.job, launch.event, is_whole=launch.is_whole
    )
