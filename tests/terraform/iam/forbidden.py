"""What must never be allowed: each line is one thing that would be harm."""

from __future__ import annotations

from collections.abc import Iterator

from tests.terraform.iam.needed import (
    ADMIN,
    DATABASE,
    FOR_AWS,
    IN_SERVICE_OF_EC2,
    IN_SERVICE_OF_S3,
    LUSTRE,
    OURS,
    SPOT,
)  # fmt: skip
from tests.terraform.iam.simulator import Context, Request
from tests.terraform.iam.site import (
    ACCOUNT,
    COMPUTE,
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

INSTANCE, VOLUME = f"{EC2}:instance/i-0b", f"{EC2}:volume/vol-0b"
INTERFACE = f"{EC2}:network-interface/eni-0b"
THEIRS = OURS | {"aws:ResourceTag/lsstpipe:cluster": "other"}
HEAD_ITSELF = OURS | {"aws:ResourceTag/lsstpipe:role": "head"}
NEW_OURS: Context = {
    "aws:RequestTag/lsstpipe:cluster": "survey",
    "aws:RequestTag/lsstpipe:role": "compute",
    "aws:TagKeys": ["lsstpipe:cluster", "lsstpipe:role"],
}
NEW_THEIRS = NEW_OURS | {"aws:RequestTag/lsstpipe:cluster": "other"}
NEW_HEAD = NEW_OURS | {"aws:RequestTag/lsstpipe:role": "head"}
TO_EC2: Context = {"iam:PassedToService": "ec2.amazonaws.com"}
TEAMS = f"arn:aws:iam::{ACCOUNT}:role/teams"
STRANGER, OTHER_ACCOUNT = "arn:aws:iam::999999999999:role/lsstpipe/survey-head", "999999999999"
OTHER_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000"
OTHER_DATABASE = DATABASE.replace("db-ABC", "db-XYZ")


def forbidden(site: Site) -> list[Request]:
    """Give all that must be refused."""
    return [
        *_instances(), *_launches(site), *_rights(site), *_data(), *_accounts(site), *_keys(site),
        *_buckets(site), *_services(site), *_trust(site), *_nodes(site),
    ]  # fmt: skip


def _instances() -> Iterator[Request]:
    """Machines that are not nodes of the cluster."""
    end, tag = "ec2:TerminateInstances", "ec2:CreateTags"
    named: Context = {"aws:RequestTag/Name": "spot-1", "aws:TagKeys": ["Name"]}
    yield Request(HEAD, end, INSTANCE, "ends a node of another cluster", THEIRS)
    yield Request(HEAD, end, INSTANCE, "ends the head node", HEAD_ITSELF)
    yield Request(HEAD, end, INSTANCE, "ends what has no tag")
    for key in OURS:
        one: Context = {key: OURS[key]}
        yield Request(HEAD, end, INSTANCE, "ends what has one of the tags only", one)
    for action in (
        "StopInstances", "StartInstances", "RebootInstances", "ModifyInstanceAttribute",
        "ModifyInstanceMetadataOptions", "GetConsoleOutput", "AttachVolume", "CreateImage",
    ):  # fmt: skip
        why = "does to a node what nobody needs"
        yield Request(HEAD, f"ec2:{action}", INSTANCE, why, OURS)
    yield Request(HEAD, tag, INSTANCE, "takes a foreign machine by tagging it as ours", NEW_OURS)
    yield Request(HEAD, tag, INSTANCE, "takes a machine of another cluster", NEW_OURS | THEIRS)
    yield Request(HEAD, tag, VOLUME, "takes a foreign disk", NEW_OURS)
    yield Request(HEAD, tag, INTERFACE, "takes a foreign interface", NEW_OURS)
    yield Request(HEAD, tag, INSTANCE, "names a node of another cluster", named | THEIRS)
    yield Request(HEAD, tag, INSTANCE, "names the head node", named | HEAD_ITSELF)
    yield Request(HEAD, tag, INSTANCE, "names what has no tag", named)
    theirs = "aws:RequestTag/lsstpipe:cluster"
    gone: Context = {theirs: "other", "aws:TagKeys": ["lsstpipe:cluster"]}
    yield Request(HEAD, tag, INSTANCE, "gives a node away, so that nobody ends it", gone | OURS)
    dear: Context = {"aws:RequestTag/CostCenter": "1", "aws:TagKeys": ["CostCenter"]}
    yield Request(HEAD, tag, INSTANCE, "lets another pay for a node", dear | OURS)
    untag: Context = {"aws:TagKeys": ["lsstpipe:cluster"]}
    yield Request(HEAD, "ec2:DeleteTags", INSTANCE, "hides a node from the reaper", untag | OURS)
    group = f"{EC2}:security-group/sg-0b"
    yield Request(HEAD, tag, group, "tags a security group", named)


def _launches(site: Site) -> Iterator[Request]:
    """Launches with what is not the cluster's, or without saying whose they are."""
    run = "ec2:RunInstances"
    for what in (
        f"{EC2}:launch-template/lt-0b", f"{EC2}:subnet/subnet-0b", f"{EC2}:security-group/sg-0b",
        f"arn:aws:ec2:{REGION}::image/ami-0b", f"{EC2}:key-pair/mine",
    ):  # fmt: skip
        yield Request(HEAD, run, what, "launches with what is not of the cluster")
        if "security-group" not in what and "key-pair" not in what:
            yield Request(HEAD, "ec2:CreateFleet", what, "launches with what is not of the cluster")
    for what in (f"{EC2}:instance/new", f"{EC2}:volume/new", f"{EC2}:network-interface/new"):
        for tags, why in (
            ({}, "launches without a tag: the reaper would not find it"),
            (NEW_THEIRS, "launches in the name of another cluster"),
            (NEW_HEAD, "launches another head node"),
        ):
            yield Request(HEAD, run, what, why, tags)
            if "interface" not in what:
                yield Request(HEAD, "ec2:CreateFleet", what, why, tags)
    create: Context = {"ec2:CreateAction": "RunInstances"}
    new = f"{EC2}:instance/new"
    yield Request(HEAD, "ec2:CreateTags", new, "launches for another cluster", NEW_THEIRS | create)
    yield Request(HEAD, "ec2:CreateTags", new, "launches another head node", NEW_HEAD | create)
    disk: Context = {"ec2:CreateAction": "CreateVolume"}
    yield Request(HEAD, "ec2:CreateTags", f"{EC2}:volume/new", "makes disks", NEW_OURS | disk)
    templates = sorted(site.launch_templates)
    for action in ("CreateLaunchTemplateVersion", "ModifyLaunchTemplate", "DeleteLaunchTemplate"):
        what, why = f"{EC2}:launch-template/{templates[0]}", "changes what nodes are"
        yield Request(HEAD, f"ec2:{action}", what, why)
    yield Request(HEAD, "ec2:AuthorizeSecurityGroupIngress", f"{EC2}:security-group/sg-0a", "opens")


def _rights(site: Site) -> Iterator[Request]:
    """Roads to more rights."""
    give, why = "iam:PassRole", "gives a machine more rights than a node has"
    for role in (HEAD, ADMIN, f"{COMPUTE}-2", f"{ROLES}/survey-compute", TEAMS):
        yield Request(HEAD, give, role, why, TO_EC2)
    for service in ("lambda", "ecs-tasks", "ssm"):
        to: Context = {"iam:PassedToService": f"{service}.amazonaws.com"}
        yield Request(HEAD, give, COMPUTE, "runs code with the rights of nodes elsewhere", to)
    for action in (
        "AttachRolePolicy", "PutRolePolicy", "UpdateAssumeRolePolicy",
        "DeleteRolePermissionsBoundary", "CreateRole", "DeleteRolePolicy",
    ):  # fmt: skip
        for who in (HEAD, COMPUTE):
            yield Request(who, f"iam:{action}", who, "changes its own rights")
    yield Request(
        HEAD, "iam:CreatePolicyVersion", f"arn:aws:iam::{ACCOUNT}:policy/limit", "boundary"
    )
    yield Request(
        HEAD, "iam:CreateAccessKey", f"arn:aws:iam::{ACCOUNT}:user/pi", "becomes a person"
    )
    yield Request(HEAD, "sts:AssumeRole", ADMIN, "takes another role")
    yield Request(COMPUTE, "sts:AssumeRole", HEAD, "a node becomes the head node")


def _data() -> Iterator[Request]:
    """Data that go, that are spoilt, or that are others'."""
    gone, new = "s3:DeleteObject", "s3:PutObject"
    for who in (HEAD, COMPUTE):
        for what in (f"{RAW}/n/a", f"{PRODUCTS}/releases/dp1/a", f"{PRODUCTS}/embargo/n/a"):
            yield Request(who, gone, what, "deletes data")
            yield Request(who, f"{gone}Version", what, "deletes data for good")
        yield Request(who, new, f"{RAW}/n/a", "changes a raw frame")
        yield Request(who, new, f"{LOGS}/access/raw/a", "changes the log of who has read")
        yield Request(who, "s3:GetObject", f"{LOGS}/access/raw/a", "reads the log of who has read")
        yield Request(who, "s3:GetObject", "arn:aws:s3:::other-products/a", "reads another's data")
        yield Request(who, new, "arn:aws:s3:::other-products/a", "writes another's data")
        yield Request(who, "s3:ListBucket", "arn:aws:s3:::other-products", "lists another's data")
        yield Request(who, "s3:PutObjectAcl", f"{PRODUCTS}/a", "opens a product to all")
        for action in (
            "PutBucketPolicy", "DeleteBucketPolicy", "PutLifecycleConfiguration",
            "PutBucketVersioning", "PutEncryptionConfiguration", "PutBucketPublicAccessBlock",
            "DeleteBucket", "PutReplicationConfiguration",
        ):  # fmt: skip
            yield Request(who, f"s3:{action}", PRODUCTS, "changes the bucket")
    other = f"{CONFIG}/clusters/other"
    yield Request(HEAD, "s3:GetObject", f"{other}/pools.json", "reads another cluster's settings")
    yield Request(HEAD, new, f"{other}/accounts/a", "writes another cluster's accounts")
    yield Request(HEAD, new, f"{other}/auth/munge.key", "gives another cluster a key")
    yield Request(COMPUTE, "s3:GetObject", f"{other}/auth/munge.key", "takes another's key")
    yield Request(COMPUTE, new, f"{CONFIG}/clusters/survey/auth/munge.key", "changes the key")
    yield Request(HEAD, new, f"{CONFIG}/clusters/survey/pools.json", "changes its own limits")
    yield Request(HEAD, gone, f"{CONFIG}/clusters/survey/accounts/a", "hides its own accounts")


def _accounts(site: Site) -> Iterator[Request]:
    """The registry, secrets, queues and logs of others."""
    yield Request(HEAD, "rds-db:connect", f"{DATABASE}/registry_owner", "owns the registry")
    yield Request(HEAD, "rds-db:connect", f"{OTHER_DATABASE}/lsstpipe", "another registry")
    for action in ("DeleteDBInstance", "ModifyDBInstance"):
        database = f"arn:aws:rds:{REGION}:{ACCOUNT}:db:survey-registry"
        yield Request(HEAD, f"rds:{action}", database, "changes the registry's machine")
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret"
    for name in ("rds!db-0a-AbCdEf", "other/registry-AbCdEf"):
        for who in (HEAD, COMPUTE):
            why = "reads the owner's or another site's secret"
            yield Request(who, "secretsmanager:GetSecretValue", f"{secret}:{name}", why)
    queue = site.queue.replace("survey-", "other-")
    for action in ("ReceiveMessage", "DeleteMessage"):
        yield Request(HEAD, f"sqs:{action}", queue, "takes the flag of another cluster")
    yield Request(HEAD, "sqs:SendMessage", site.queue, "says itself that the budget is spent")
    yield Request(HEAD, "sqs:PurgeQueue", site.queue, "empties the queue")
    logs = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/lsstpipe"
    for group in ("other/events", "survey/flow"):
        stream, why = f"{logs}/{group}:log-stream:a", "writes into a log that is not its own"
        yield Request(HEAD, "logs:PutLogEvents", stream, why)
    yield from _logs(site)
    parameter = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/other"
    yield Request(HEAD, "ssm:GetParameter", parameter, "reads another's setting")
    yield Request(HEAD, "ssm:SendCommand", INSTANCE, "runs commands on another machine")
    yield Request(HEAD, "ssm:StartSession", INSTANCE, "opens a shell on another machine")
    yield Request(
        HEAD, "budgets:ModifyBudget", f"arn:aws:budgets::{ACCOUNT}:budget/survey-month", ""
    )
    yield Request(
        HEAD, "fsx:DeleteFileSystem", f"arn:aws:fsx:{REGION}:{ACCOUNT}:file-system/fs-0a", ""
    )


def _logs(site: Site) -> Iterator[Request]:
    """Logs of other machines, and what would take from those that there are."""
    streams = {HEAD: "head/events", COMPUTE: "compute/spot-1/i-0a/events"}
    for who, other in ((HEAD, COMPUTE), (COMPUTE, HEAD)):
        for group in site.log_groups:
            for action in ("CreateLogStream", "PutLogEvents"):
                where, why = f"{group}:log-stream:{streams[other]}", "speaks for another machine"
                yield Request(who, f"logs:{action}", where, why)
        own, stream = site.log_groups[0], f"{site.log_groups[0]}:log-stream:{streams[who]}"
        yield Request(who, "logs:PutLogEvents", f"{own}:log-stream:a", "writes without a name")
        for action in ("DeleteLogGroup", "PutRetentionPolicy", "DeleteMetricFilter"):
            yield Request(who, f"logs:{action}", own, "loses what has happened")
        yield Request(who, "logs:DeleteLogStream", stream, "hides what it has done")
        yield Request(who, "logs:GetLogEvents", stream, "reads what people read")


def _keys(site: Site) -> Iterator[Request]:
    """Keys of others, and what takes ours away."""
    for who in (HEAD, COMPUTE):
        for action in ("Decrypt", "GenerateDataKey"):
            why = "uses the key of another site"
            yield Request(who, f"kms:{action}", OTHER_KEY, why, IN_SERVICE_OF_S3)
        for action in ("ScheduleKeyDeletion", "DisableKey", "PutKeyPolicy", "RevokeGrant"):
            yield Request(who, f"kms:{action}", site.key, "takes the key from all")
    grant = IN_SERVICE_OF_EC2 | {"kms:GrantIsForAWSResource": "false"}
    for who in (HEAD, SPOT):
        yield Request(who, "kms:CreateGrant", site.key, "lets anybody use the key", grant)
        yield Request(who, "kms:CreateGrant", site.key, "lets anybody use the key")
    yield Request(HEAD, "kms:CreateGrant", OTHER_KEY, "another site's", IN_SERVICE_OF_EC2 | FOR_AWS)
    yield Request(LUSTRE, "kms:CreateGrant", site.key, "Lustre gives the key on", FOR_AWS)
    strange = ROLES.replace(ACCOUNT, OTHER_ACCOUNT)
    for who in (
        STRANGER, LUSTRE.replace(ACCOUNT, OTHER_ACCOUNT), SPOT.replace(ACCOUNT, OTHER_ACCOUNT),
        f"{strange}/admin",
    ):  # fmt: skip
        yield Request(who, "kms:Decrypt", site.key, "another account uses the key")
        yield Request(who, "kms:CreateGrant", site.key, "another account gives it on", FOR_AWS)
    role = f"{ROLES}/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    for action in ("Decrypt", "CreateGrant"):
        context = FOR_AWS if action == "CreateGrant" else {}
        yield Request(role, f"kms:{action}", site.key, "another service uses the key", context)


def _buckets(site: Site) -> Iterator[Request]:
    """What buckets refuse even those whom the account allows everything."""
    plain: Context = {"aws:SecureTransport": "false"}
    old: Context = {"s3:TlsVersion": "1.1"}
    for bucket in (RAW, PRODUCTS, CONFIG, LOGS):
        yield Request(ADMIN, "s3:GetObject", f"{bucket}/a", "reads without TLS", plain)
        yield Request(ADMIN, "s3:GetObject", f"{bucket}/a", "reads with an old TLS", old)
        yield Request(ADMIN, "s3:ListBucket", bucket, "lists without TLS", plain)
        yield Request(ADMIN, "s3:ListBucket", bucket, "lists with an old TLS", old)
        wide = f"{ROLES}/lsstpipe/wide"
        yield Request(wide, "s3:DeleteBucket", bucket, "a role of the pipeline that is too wide")
        yield Request(STRANGER, "s3:GetObject", f"{bucket}/a", "another account reads")
    for bucket in (RAW, PRODUCTS, CONFIG):
        algorithm: Context = {"s3:x-amz-server-side-encryption": "AES256"}
        yield Request(ADMIN, "s3:PutObject", f"{bucket}/a", "another encryption", algorithm)
        key: Context = {
            "s3:x-amz-server-side-encryption": "aws:kms",
            "s3:x-amz-server-side-encryption-aws-kms-key-id": OTHER_KEY,
        }
        yield Request(ADMIN, "s3:PutObject", f"{bucket}/a", "another key", key)
    for action in (
        "GetObject", "GetObjectVersion", "PutObject", "DeleteObject", "DeleteObjectVersion",
    ):  # fmt: skip
        where = f"{PRODUCTS}/embargo/2026-11-26/a"
        yield Request(ADMIN, f"s3:{action}", where, "a person breaks the embargo")
    yield Request(TEAMS, "s3:GetObject", f"{PRODUCTS}/embargo/n/a", "a team breaks the embargo")


def _services(site: Site) -> Iterator[Request]:
    """Services of AWS that act for somebody else."""
    theirs: Context = {"aws:SourceAccount": OTHER_ACCOUNT}
    ours: Context = {"aws:SourceAccount": ACCOUNT}
    for item in site.of_type("aws_sns_topic"):
        topic = item.values["arn"]
        service = "budgets" if item.address.startswith("module.budget") else "cloudwatch"
        yield Request(f"{service}.amazonaws.com", "sns:Publish", topic, "of a stranger", theirs)
        yield Request("events.amazonaws.com", "sns:Publish", topic, "another service", ours)
        yield Request(STRANGER, "sns:Subscribe", topic, "another account listens")
    other: Context = {"aws:SourceArn": f"arn:aws:sns:{REGION}:{OTHER_ACCOUNT}:topic"}
    yield Request("sns.amazonaws.com", "sqs:SendMessage", site.queue, "a stranger's topic", other)
    yield Request(STRANGER, "sqs:SendMessage", site.queue, "a stranger stops our launches")
    for service in ("budgets", "cloudwatch", "sns"):
        who = f"{service}.amazonaws.com"
        yield Request(who, "kms:Decrypt", site.key, "for a stranger", theirs)
    logs = f"arn:aws:logs:{REGION}:{OTHER_ACCOUNT}:log-group:/a"
    context: Context = {"kms:EncryptionContext:aws:logs:arn": logs}
    yield Request(f"logs.{REGION}.amazonaws.com", "kms:Decrypt", site.key, "a stranger's", context)
    write, where = "s3:PutObject", f"{LOGS}/access/raw/a"
    for source, why in (
        (theirs | {"aws:SourceArn": RAW}, "logs of a bucket that a stranger has by our name"),
        (ours | {"aws:SourceArn": "arn:aws:s3:::other"}, "logs of another bucket"),
    ):
        yield Request("logging.s3.amazonaws.com", write, where, why, source)
    own: Context = ours | {"aws:SourceArn": RAW}
    yield Request("logging.s3.amazonaws.com", write, f"{LOGS}/a", "beside its prefix", own)
    yield Request("logging.s3.amazonaws.com", write, f"{PRODUCTS}/a", "into products", own)


def _trust(site: Site) -> Iterator[Request]:
    """Who may not take a role."""
    theirs: Context = {"aws:SourceAccount": OTHER_ACCOUNT}
    for item in site.of_type("aws_iam_role"):
        role = item.values["arn"]
        yield Request("lambda.amazonaws.com", "sts:AssumeRole", role, "another service", theirs)
        yield Request(STRANGER, "sts:AssumeRole", role, "another account")
        if ".aws_iam_role.this" not in item.address:
            for service in ("scheduler", "vpc-flow-logs", "monitoring.rds"):
                who = f"{service}.amazonaws.com"
                yield Request(who, "sts:AssumeRole", role, "for another account", theirs)


def _nodes(site: Site) -> Iterator[Request]:
    """What the head node may and a node may not."""
    alone = "only the head node does this"
    for action in ("TerminateInstances", "CreateTags"):
        context = OURS | ({"aws:TagKeys": ["Name"]} if action == "CreateTags" else {})
        yield Request(COMPUTE, f"ec2:{action}", INSTANCE, alone, context)
    yield Request(COMPUTE, "ec2:DescribeInstances", "*", alone)
    yield Request(COMPUTE, "ec2:CreateFleet", f"{EC2}:fleet/new", alone)
    yield Request(COMPUTE, "ec2:RunInstances", f"{EC2}:instance/new", alone, NEW_OURS)
    yield Request(COMPUTE, "iam:PassRole", COMPUTE, alone, TO_EC2)
    yield Request(COMPUTE, "rds-db:connect", f"{DATABASE}/lsstpipe", alone)
    yield Request(COMPUTE, "sqs:ReceiveMessage", site.queue, alone)
    yield Request(COMPUTE, "s3:PutObject", f"{CONFIG}/clusters/survey/accounts/a", alone)
    for name in ("pools.json", "accounts/a"):
        yield Request(COMPUTE, "s3:GetObject", f"{CONFIG}/clusters/survey/{name}", alone)
    own, other = f"{CONFIG}/clusters/survey/heartbeat", f"{CONFIG}/clusters/other/heartbeat"
    yield Request(COMPUTE, "s3:PutObject", own, "says in the reaper's place that it lives")
    yield Request(COMPUTE, "s3:GetObject", other, "listens to another cluster's reaper")
    yield Request(COMPUTE, "s3:GetObject", f"{own}/a", "reads beside it")
    yield Request(HEAD, "s3:PutObject", other, "says that another cluster's reaper lives")
    own, other = f"{CONFIG}/clusters/survey/auth", f"{CONFIG}/clusters/other/auth"
    yield Request(COMPUTE, "s3:PutObject", f"{own}/munge.key", "gives all nodes another key")
    yield Request(COMPUTE, "s3:GetObject", f"{other}/munge.key", "joins another cluster")
    yield Request(COMPUTE, "kms:CreateGrant", site.key, alone, IN_SERVICE_OF_EC2 | FOR_AWS)
    yield Request(COMPUTE, "ssmmessages:OpenControlChannel", "*", alone)
