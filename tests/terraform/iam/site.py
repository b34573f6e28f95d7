"""The example `complete` as it was applied, and the root `bootstrap`: every policy in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.terraform.stand_in import Resource

ACCOUNT, REGION = "123456789012", "us-east-1"
EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}"
ROLES = f"arn:aws:iam::{ACCOUNT}:role"
HEAD, COMPUTE = f"{ROLES}/lsstpipe/survey-head", f"{ROLES}/lsstpipe/survey-compute"
RAW, PRODUCTS, CONFIG, LOGS = (
    f"arn:aws:s3:::survey-{ACCOUNT}-{kind}" for kind in ("raw", "products", "config", "logs")
)

BOOTSTRAP = "bootstrap."
"""How addresses begin of what the root `bootstrap` makes, which stands beside the other two."""

Policy = dict[str, Any]

# Arguments that hold a policy, and what in the same resource says whose or what of it is.
_OF_RESOURCE = {
    "aws_kms_key": "arn",
    "aws_s3_bucket_policy": "bucket",
    "aws_sns_topic_policy": "arn",
    "aws_sqs_queue_policy": "queue_url",
}


@dataclass(frozen=True)
class Site:
    """What Terraform has made.

    Attributes
    ----------
    resources
        Resources by address.
    policies
        Policies by the address of what has them; trust policies of roles too.
    identity
        For each role, by its ARN, the addresses of what it may do.
    resource
        For each ARN of a key, bucket, topic, queue or role the address of its own policy.
    """

    resources: dict[str, Resource]
    policies: dict[str, Policy] = field(default_factory=dict)
    identity: dict[str, list[str]] = field(default_factory=dict)
    resource: dict[str, str] = field(default_factory=dict)

    def of_type(self, kind: str) -> Iterator[Resource]:
        """Give the resources of a type."""
        return (item for item in self.resources.values() if item.type == kind)

    def values(self, address: str) -> dict[str, Any]:
        """Give the arguments and attributes of a resource."""
        return self.resources[address].values

    @property
    def key(self) -> str:
        """ARN of the key."""
        return str(self.values("module.key.aws_kms_key.this")["arn"])

    @property
    def state_key(self) -> str:
        """ARN of the key of Terraform's state."""
        return str(self.values(f"{BOOTSTRAP}module.key.aws_kms_key.this")["arn"])

    @property
    def token_provider(self) -> str:
        """ARN of the service whose tokens CI takes its role with."""
        return str(self.values(f'{BOOTSTRAP}aws_iam_openid_connect_provider.this["ci"]')["arn"])

    @property
    def queue(self) -> str:
        """ARN of the queue that says that the budget is spent."""
        return str(self.values("module.budget.aws_sqs_queue.spent")["arn"])

    @property
    def pools(self) -> dict[str, Any]:
        """What lsstpipe reads: pools.json."""
        content: dict[str, Any] = json.loads(
            self.values('aws_s3_object.config["pools.json"]')["content"]
        )
        return content

    @property
    def launch_templates(self) -> dict[str, dict[str, Any]]:
        """Launch templates by id."""
        return {item.values["id"]: item.values for item in self.of_type("aws_launch_template")}

    @property
    def log_groups(self) -> list[str]:
        """ARNs of the log groups that machines write to."""
        return [
            item.values["arn"]
            for item in self.of_type("aws_cloudwatch_log_group")
            if item.address.startswith("module.observability.")
        ]


def read_site(resources: Iterable[Resource]) -> Site:
    """Find the policies of resources, and what they are for."""
    site = Site({item.address: item for item in resources})
    role_arns = {item.values["id"]: item.values["arn"] for item in site.of_type("aws_iam_role")}
    queues = {item.values["url"]: item.values["arn"] for item in site.of_type("aws_sqs_queue")}
    for item in site.resources.values():
        if item.type == "aws_iam_role":
            site.policies[item.address] = json.loads(item.values["assume_role_policy"])
            site.resource[item.values["arn"]] = item.address
            site.identity.setdefault(item.values["arn"], [])
        elif item.type == "aws_iam_role_policy":
            site.policies[item.address] = json.loads(item.values["policy"])
            site.identity.setdefault(role_arns[item.values["role"]], []).append(item.address)
        elif item.type in _OF_RESOURCE:
            site.policies[item.address] = json.loads(item.values["policy"])
            name = item.values[_OF_RESOURCE[item.type]]
            arn = name if name.startswith("arn:") else queues.get(name, f"arn:aws:s3:::{name}")
            site.resource[arn] = item.address
    return site
