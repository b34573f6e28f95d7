"""What machines of the cluster, and services of AWS for it, must be allowed.

`requests_of` says which permissions a recorded call needs: AWS checks each action on each resource
(Service Authorization Reference, as `iam-data` has it; the simulator refuses an action, a kind of
resource or a context key that is not in it). `BY_HAND` has what no program of this project calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.terraform.iam.recording import Call
from tests.terraform.iam.simulator import Context, Request
from tests.terraform.iam.site import (
    ACCOUNT,
    BOOTSTRAP,
    CONFIG,
    EC2,
    HEAD,
    LOGS,
    PRODUCTS,
    RAW,
    REGION,
    ROLES,
    Site,
)  # fmt: skip

DATABASE = f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OURS: Context = {
    "aws:ResourceTag/lsstpipe:cluster": "survey",
    "aws:ResourceTag/lsstpipe:role": "compute",
}
IN_SERVICE_OF_EC2: Context = {"kms:ViaService": f"ec2.{REGION}.amazonaws.com"}
IN_SERVICE_OF_S3: Context = {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
FOR_AWS: Context = {"kms:GrantIsForAWSResource": "true"}

ADMIN = f"{ROLES}/admin"
OF_AWS = f"{ROLES}/aws-service-role"
LUSTRE = f"{OF_AWS}/s3.data-source.lustre.fsx.amazonaws.com/AWSServiceRoleForFSxS3Access_fs-0a"
SPOT = f"{OF_AWS}/spot.amazonaws.com/AWSServiceRoleForEC2Spot"


@dataclass(frozen=True)
class Ask:
    """An action on a resource, as one of those that a call consists of."""

    action: str
    resource: str
    context: Context


def requests_of(site: Site, who: str, calls: list[Call]) -> list[Request]:
    """Give what a machine must be allowed for its calls, each request once."""
    found: dict[str, Request] = {}
    for call in calls:
        for ask in _ASKS[call.name](site, call.parameters):
            request = Request(who, ask.action, ask.resource, call.name, ask.context)
            found.setdefault(str(request), request)
    return list(found.values())


def _look(_: Site, __: dict[str, Any]) -> Iterator[Ask]:
    yield Ask("ec2:DescribeInstances", "*", {})


def _launch(site: Site, asked: dict[str, Any]) -> Iterator[Ask]:
    """CreateFleet of type instant: EC2 uses the rights of who asks, for the fleet and all in it.

    Amazon EC2 User Guide, "EC2 Fleet prerequisites"; Amazon EBS User Guide, "Requirements for
    Amazon EBS encryption".
    """
    (config,) = asked["LaunchTemplateConfigs"]
    template = site.launch_templates[config["LaunchTemplateSpecification"]["LaunchTemplateId"]]
    arn = f"{EC2}:launch-template/{template['id']}"
    subnets = sorted({f"{EC2}:subnet/{item['SubnetId']}" for item in config["Overrides"]})
    image = f"arn:aws:ec2:{REGION}::image/{template['image_id']}"
    groups = template["network_interfaces"][0]["security_groups"]
    made = {row["ResourceType"]: _tag_context(row["Tags"]) for row in asked["TagSpecifications"]}

    yield Ask("ec2:CreateFleet", f"{EC2}:fleet/fleet-0a", {})
    for resource in (arn, image, *subnets):
        yield Ask("ec2:CreateFleet", resource, {})
    for resource in (arn, image, *subnets, *(f"{EC2}:security-group/{key}" for key in groups)):
        yield Ask("ec2:RunInstances", resource, {"ec2:LaunchTemplate": arn})
    if asked["TargetCapacitySpecification"]["DefaultTargetCapacityType"] == "spot":
        yield Ask("ec2:RunInstances", f"{EC2}:spot-instances-request/sir-0a", {})
    for kind, tags in made.items():
        resource = f"{EC2}:{kind}/new"
        if kind != "network-interface":
            yield Ask("ec2:CreateFleet", resource, tags)
        yield Ask("ec2:RunInstances", resource, tags | {"ec2:LaunchTemplate": arn})
        for action in ("CreateFleet", "RunInstances"):
            yield Ask("ec2:CreateTags", resource, tags | {"ec2:CreateAction": action})
    profile = template["iam_instance_profile"][0]["arn"]
    role = profile.replace(":instance-profile/", ":role/")
    yield Ask("iam:PassRole", role, {"iam:PassedToService": "ec2.amazonaws.com"})
    key = template["block_device_mappings"][0]["ebs"][0]["kms_key_id"]
    yield Ask("kms:CreateGrant", key, IN_SERVICE_OF_EC2 | FOR_AWS)
    for action in (
        "Decrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo",
    ):  # fmt: skip
        yield Ask(f"kms:{action}", key, IN_SERVICE_OF_EC2)


def _tag_context(tags: list[dict[str, str]]) -> Context:
    context: Context = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in tags}
    return context | {"aws:TagKeys": [tag["Key"] for tag in tags]}


def _name(_: Site, asked: dict[str, Any]) -> Iterator[Ask]:
    for key in asked["Resources"]:
        yield Ask("ec2:CreateTags", f"{EC2}:instance/{key}", _tag_context(asked["Tags"]) | OURS)


def _end(_: Site, asked: dict[str, Any]) -> Iterator[Ask]:
    for key in asked["InstanceIds"]:
        yield Ask("ec2:TerminateInstances", f"{EC2}:instance/{key}", OURS)


def _connect(_: Site, asked: dict[str, Any]) -> Iterator[Ask]:
    yield Ask("rds-db:connect", f"{DATABASE}/{asked['DBUser']}", {})


def _on_object(action: str, *key_actions: str) -> Callable[[Site, dict[str, Any]], Iterator[Ask]]:
    """Make what a call on an object asks, of S3 and of the key of the bucket."""

    def ask(site: Site, asked: dict[str, Any]) -> Iterator[Ask]:
        yield Ask(f"s3:{action}", f"arn:aws:s3:::{asked['Bucket']}/{asked['Key']}", {})
        for name in key_actions:
            yield Ask(f"kms:{name}", site.key, IN_SERVICE_OF_S3)

    return ask


def _on_queue(action: str) -> Callable[[Site, dict[str, Any]], Iterator[Ask]]:
    """Make what a call on the queue of the budget asks, whose messages are encrypted."""

    def ask(site: Site, asked: dict[str, Any]) -> Iterator[Ask]:
        assert asked["QueueUrl"].endswith(site.queue.rpartition(":")[2])
        yield Ask(f"sqs:{action}", site.queue, {})
        yield Ask("kms:Decrypt", site.key, {"kms:ViaService": f"sqs.{REGION}.amazonaws.com"})

    return ask


def _list(_: Site, asked: dict[str, Any]) -> Iterator[Ask]:
    context: Context = {"s3:prefix": asked.get("Prefix", "")}
    yield Ask("s3:ListBucket", f"arn:aws:s3:::{asked['Bucket']}", context)


def _on_stream(action: str) -> Callable[[Site, dict[str, Any]], Iterator[Ask]]:
    """Make what a call on a stream of logs asks; CloudWatch Logs uses the key in its own name."""

    def ask(_: Site, asked: dict[str, Any]) -> Iterator[Ask]:
        group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{asked['logGroupName']}"
        yield Ask(f"logs:{action}", f"{group}:log-stream:{asked['logStreamName']}", {})

    return ask


# Amazon S3 User Guide, "Required permissions for Amazon S3 API operations", and "Using server-side
# encryption with AWS KMS keys" for what the key is asked.
_ASKS: dict[str, Callable[[Site, dict[str, Any]], Iterator[Ask]]] = {
    "ec2 CreateFleet": _launch,
    "ec2 CreateTags": _name,
    "ec2 DescribeInstances": _look,
    "ec2 TerminateInstances": _end,
    "logs CreateLogStream": _on_stream("CreateLogStream"),
    "logs PutLogEvents": _on_stream("PutLogEvents"),
    "rds-db connect": _connect,
    "s3 AbortMultipartUpload": _on_object("AbortMultipartUpload"),
    "s3 CompleteMultipartUpload": _on_object("PutObject", "Decrypt"),
    "s3 CreateMultipartUpload": _on_object("PutObject", "GenerateDataKey"),
    "s3 GetObject": _on_object("GetObject", "Decrypt"),
    "s3 HeadObject": _on_object("GetObject", "Decrypt"),
    "s3 ListObjectsV2": _list,
    "s3 PutObject": _on_object("PutObject", "GenerateDataKey"),
    "s3 UploadPart": _on_object("PutObject", "GenerateDataKey", "Decrypt"),
    "sqs DeleteMessage": _on_queue("DeleteMessage"),
    "sqs ReceiveMessage": _on_queue("ReceiveMessage"),
}


# What services of AWS say that they do with a key of ours: CloudWatch Logs User Guide, "Encrypt log
# data"; Amazon FSx for Lustre User Guide, "Working with server-side encrypted Amazon S3 buckets";
# Amazon EC2 User Guide, "Grant access to customer managed keys for use with encrypted AMIs".
_FULL_USE = (
    "Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey",
)  # fmt: skip


def by_hand(site: Site) -> list[Request]:
    """Give what must be allowed and no program of this project calls, with the reason for each."""
    return [
        *_failures(), *_agents(), *_services_of_aws(site), *_roles_of_aws(site),
        *_people(site), *_trust(site),
    ]  # fmt: skip


def _failures() -> Iterator[Request]:
    """Give what programs ask when something fails that does not fail in a test."""
    dump = f"{CONFIG}/clusters/survey/accounts/2026-11-26.sql.gz"
    yield Request(HEAD, "s3:AbortMultipartUpload", dump, "gives up a large dump that fails")


def _agents() -> Iterator[Request]:
    """Give what agents of AWS ask on machines."""
    machine = f"{EC2}:instance/i-0a"
    yield Request(HEAD, "ssm:UpdateInstanceInformation", machine, "SSM agent")
    for name in (
        "CreateControlChannel", "CreateDataChannel", "OpenControlChannel", "OpenDataChannel",
    ):  # fmt: skip
        yield Request(HEAD, f"ssmmessages:{name}", "*", "SSM agent, for shells")


def _services_of_aws(site: Site) -> Iterator[Request]:
    """Give what services of AWS do in their own name, and in roles that they take."""
    ours: Context = {"aws:SourceAccount": ACCOUNT}
    topics = {item.address: item.values["arn"] for item in site.of_type("aws_sns_topic")}
    spent, alarms = (
        topics["module.budget.aws_sns_topic.spent"],
        topics["module.observability.aws_sns_topic.alarms"],
    )
    yield Request("budgets.amazonaws.com", "sns:Publish", spent, "budget", ours)
    yield Request("cloudwatch.amazonaws.com", "sns:Publish", alarms, "alarms", ours)
    queue: Context = {"aws:SourceArn": spent}
    yield Request("sns.amazonaws.com", "sqs:SendMessage", site.queue, "topic to queue", queue)
    for service in ("budgets", "cloudwatch", "sns"):
        for action in ("Decrypt", "GenerateDataKey"):
            who, why = f"{service}.amazonaws.com", "encrypted messages"
            yield Request(who, f"kms:{action}", site.key, why, ours)
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/lsstpipe/survey/events"
    for action in _FULL_USE:
        context: Context = {"kms:EncryptionContext:aws:logs:arn": group}
        who = f"logs.{REGION}.amazonaws.com"
        yield Request(who, f"kms:{action}", site.key, "encrypted logs", context)
    for kind in (RAW, PRODUCTS, CONFIG):
        source = ours | {"aws:SourceArn": kind}
        where = f"{LOGS}/access/{kind.rpartition('-')[2]}/2026"
        yield Request("logging.s3.amazonaws.com", "s3:PutObject", where, "access logs", source)


def _roles_of_aws(site: Site) -> Iterator[Request]:
    """Give what AWS does in roles of ours, and in its own, whose policies it keeps itself."""
    flow = next(
        item for item in site.of_type("aws_iam_role") if ".aws_iam_role.flow" in item.address
    )
    logs = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/lsstpipe/survey/flow"
    for action in ("CreateLogStream", "PutLogEvents", "DescribeLogStreams"):
        where = f"{logs}:*" if action == "DescribeLogStreams" else f"{logs}:log-stream:eni-0a"
        yield Request(flow.values["arn"], f"logs:{action}", where, "flow logs")
    (system,) = site.of_type("aws_fsx_lustre_file_system")
    release = site.values('module.lustre[0].aws_iam_role.release["daily"]')["arn"]
    task = system.values["arn"].replace(":file-system/", ":task/").rpartition("/")[0] + "/task-0a"
    for where in (system.values["arn"], task):
        yield Request(release, "fsx:CreateDataRepositoryTask", where, "makes room on Lustre")
    yield Request(release, "kms:Decrypt", site.key, "the schedule is encrypted")
    for action in ("GetObject", "PutObject"):
        yield Request(LUSTRE, f"s3:{action}", f"{PRODUCTS}/embargo/2026-11-26/a", "Lustre's links")
    for action in _FULL_USE:
        yield Request(LUSTRE, f"kms:{action}", site.key, "Lustre's links", IN_SERVICE_OF_S3)
        yield Request(SPOT, f"kms:{action}", site.key, "disks of Spot nodes", IN_SERVICE_OF_EC2)
    grant = IN_SERVICE_OF_EC2 | FOR_AWS
    yield Request(SPOT, "kms:CreateGrant", site.key, "disks of Spot nodes", grant)


def _people(site: Site) -> Iterator[Request]:
    """Give what a person does whom the account allows everything."""
    yield Request(ADMIN, "kms:PutKeyPolicy", site.key, "the key stays in somebody's hands")
    yield Request(ADMIN, "s3:PutObject", f"{RAW}/night/frame.fits", "brings raw frames")
    yield Request(ADMIN, "s3:GetObject", f"{PRODUCTS}/releases/dp1/a", "looks at a release")
    yield Request(ADMIN, "s3:GetObject", f"{LOGS}/access/raw/2026", "looks who has read")
    for bucket in (RAW, PRODUCTS, CONFIG, LOGS):
        yield Request(ADMIN, "s3:DeleteBucket", bucket, "ends data, with two switches")
    encrypted: Context = {"s3:x-amz-server-side-encryption": "aws:kms"}
    with_key: Context = {"s3:x-amz-server-side-encryption-aws-kms-key-id": site.key}
    for bucket in (RAW, PRODUCTS, CONFIG):
        for context in (encrypted, encrypted | with_key):
            why = "names the encryption that the bucket has"
            yield Request(ADMIN, "s3:PutObject", f"{bucket}/a", why, context)


def _trust(site: Site) -> Iterator[Request]:
    """Give who takes which role."""
    ours: Context = {"aws:SourceAccount": ACCOUNT}
    takers = {
        "module.head_role": ("ec2", {}),
        "module.compute_role": ("ec2", {}),
        "module.lustre[0]": ("scheduler", ours),
        "module.network[0]": ("vpc-flow-logs", ours),
    }
    for item in site.of_type("aws_iam_role"):
        if item.address.startswith(BOOTSTRAP):
            continue  # CI, with its token
        service, context = takers[item.address.partition(".aws_iam_role")[0]]
        who = f"{service}.amazonaws.com"
        yield Request(who, "sts:AssumeRole", item.values["arn"], "takes its role", context)
