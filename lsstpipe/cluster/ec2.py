"""EC2 by boto3: launch, look, tag, end; only instances with the tag of the cluster exist here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from lsstpipe.cluster.decide import Power
from lsstpipe.cluster.fleet import TAG_CLUSTER, TAG_NODE, TAG_POOL, TAG_ROLE, Launched, read_answer
from lsstpipe.errors import TemporaryError

_ALIVE = ("pending", "running")
_BATCH = 500
VALUES_OF_A_FILTER = 200
"""More are the error ``FilterLimitExceeded``."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 15.0

_GONE = "InvalidInstanceID.NotFound"
_NOT_ENDED = (_GONE, "OperationNotPermitted", "IncorrectInstanceState", "IncorrectState")
"""What EC2 answers when it ends none of some instances because of one of them."""


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of the cluster.

    Attributes
    ----------
    id, node, pool
        What it is; the node is empty until it was told.
    power
        Whether it lives.
    launched
        When, seconds since 1970.
    private_ip, instance_type, market
        Where and what.
    reason
        Why it ended, as EC2 says.
    """

    id: str
    node: str
    pool: str
    power: Power
    launched: float
    private_ip: str = ""
    instance_type: str = ""
    market: str = "on-demand"
    reason: str = ""


class Ec2(Protocol):
    """What is needed of EC2."""

    def launch(self, request: Mapping[str, Any]) -> Launched:
        """Ask for instances; errors are part of the answer."""

    def instances(self) -> list[Instance]:
        """Give all compute instances of the cluster, those that ended lately included."""

    def arrivals(self, ids: Sequence[str]) -> Iterator[list[Instance]]:
        """Give instances that were just launched, some at a time, as EC2 shows them."""

    def name(self, nodes: Mapping[str, str]) -> None:
        """Tell instances, by id, which nodes they are."""

    def terminate(self, ids: Sequence[str]) -> list[str]:
        """End instances; those that are gone are passed over. Give those that EC2 does not end."""


class Ec2Client:
    """EC2 of one region.

    Parameters
    ----------
    cluster, region
        The cluster and where it is.
    wait_budget_s
        For how long EC2 may take to show what it has launched.
    sleep
        Waits.
    """

    def __init__(
        self,
        cluster: str,
        region: str,
        wait_budget_s: float = 90.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import boto3
        from botocore.config import Config

        # Throttled calls are repeated by botocore, with pauses that grow.
        config = Config(retries={"mode": "standard", "total_max_attempts": 8})
        self._client: Any = boto3.client("ec2", region_name=region, config=config)
        self._cluster, self._wait_budget_s, self._sleep = cluster, wait_budget_s, sleep

    def launch(self, request: Mapping[str, Any]) -> Launched:
        """Ask for instances; errors are part of the answer."""
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        try:
            return read_answer(self._client.create_fleet(**request))
        except ClientError as error:
            own = error.response.get("Error", {})
            return Launched((), ((own.get("Code", "Unknown"), own.get("Message", "")),))
        except ParamValidationError as error:
            return Launched((), (("InvalidParameter", str(error)),))
        except BotoCoreError as error:
            return Launched((), (("Unavailable", str(error)),))

    def instances(self) -> list[Instance]:
        """Give all compute instances of the cluster, those that ended lately included."""
        return self._describe(
            Filters=[
                {"Name": f"tag:{TAG_CLUSTER}", "Values": [self._cluster]},
                {"Name": f"tag:{TAG_ROLE}", "Values": ["compute"]},
            ]
        )

    def arrivals(self, ids: Sequence[str]) -> Iterator[list[Instance]]:
        """Give instances that were just launched, some at a time, as EC2 shows them."""
        missing = list(ids)
        waited, wait_s = 0.0, _FIRST_WAIT_S
        while missing:
            # By a filter: asking for an id that EC2 does not show yet is an error for all.
            asked, missing = missing, []
            for start in range(0, len(asked), VALUES_OF_A_FILTER):
                part = asked[start : start + VALUES_OF_A_FILTER]
                shown = self._describe(Filters=[{"Name": "instance-id", "Values": part}])
                if found := [item for item in shown if item.private_ip]:
                    yield found
                there = {item.id for item in found}
                missing += [key for key in part if key not in there]
            if not missing or waited >= self._wait_budget_s:
                return
            self._sleep(wait_s)
            waited += wait_s
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def name(self, nodes: Mapping[str, str]) -> None:
        """Tell instances, by id, which nodes they are."""
        for key, node in nodes.items():
            tags = [{"Key": TAG_NODE, "Value": node}, {"Key": "Name", "Value": node}]
            with _asking("take a tag"):
                self._client.create_tags(Resources=[key], Tags=tags)

    def terminate(self, ids: Sequence[str]) -> list[str]:
        """End instances; those that are gone are passed over. Give those that EC2 does not end."""
        own = {item.id for item in self.instances()}
        left = [key for key in ids if key in own]  # never one of another cluster
        stuck: list[str] = []
        for start in range(0, len(left), _BATCH):
            stuck += self._terminate(left[start : start + _BATCH])
        return stuck

    def _terminate(self, ids: Sequence[str]) -> list[str]:
        """End instances at once, or in halves: where EC2 does not end one it ends none of them."""
        from botocore.exceptions import ClientError

        try:
            with _asking("end instances", but=_NOT_ENDED):
                self._client.terminate_instances(InstanceIds=list(ids))
        except ClientError as error:
            if len(ids) > 1:
                half = len(ids) // 2
                return self._terminate(ids[:half]) + self._terminate(ids[half:])
            return [] if error.response["Error"]["Code"] == _GONE else list(ids)
        return []

    def _describe(self, **arguments: Any) -> list[Instance]:
        with _asking("show its instances"):
            pages = self._client.get_paginator("describe_instances").paginate(**arguments)
            return [
                _read(row)
                for page in pages
                for reservation in page["Reservations"]
                for row in reservation["Instances"]
            ]


@contextmanager
def _asking(what: str, but: Sequence[str] = ()) -> Iterator[None]:
    """Turn errors of boto3 into ours, but for some codes: EC2 may answer the next time."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in but:
            raise
        raise TemporaryError(f"EC2 does not {what}: {error}.") from error
    except BotoCoreError as error:
        raise TemporaryError(f"EC2 does not {what}: {error}.") from error


def _read(row: Mapping[str, Any]) -> Instance:
    tags = {tag["Key"]: tag["Value"] for tag in row.get("Tags", [])}
    state = row["State"]["Name"]
    return Instance(
        row["InstanceId"],
        tags.get(TAG_NODE, ""),
        tags.get(TAG_POOL, ""),
        Power.ALIVE if state in _ALIVE else Power.ENDING,
        row["LaunchTime"].timestamp(),
        row.get("PrivateIpAddress", ""),
        row.get("InstanceType", ""),
        "spot" if row.get("InstanceLifecycle") == "spot" else "on-demand",
        row.get("StateReason", {}).get("Message", "") or row.get("StateTransitionReason", ""),
    )
