"""An account of AWS at moto's server, and in it what Terraform says that it has made.

The stand-in for Terraform's provider makes nothing: it makes up what AWS would answer. Here its
resources are made in truth, by boto3, from the values of Terraform's state; ids that were made up
give way to the real ones, wherever they stand in policies, templates and files.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3

from tests.terraform.stand_in import Resource

Json = dict[str, Any]
Clients = Callable[[str], Any]
Maker = Callable[[Clients, Json], Mapping[str, str]]
"""Makes a resource with some values; gives what AWS answers, by the name of the attribute."""


@dataclass
class Cloud:
    """An account, and what has been made in it.

    Attributes
    ----------
    environment
        Endpoint, region and key, as for every program of AWS.
    made
        How many resources were made, by type.
    """

    environment: Mapping[str, str]
    made: Counter[str] = field(default_factory=Counter)
    _clients: dict[str, Any] = field(default_factory=dict)
    _answers: dict[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Give the client of a service."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.environment["AWS_ENDPOINT_URL"],
                region_name=self.environment["AWS_DEFAULT_REGION"],
                aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            )
        return self._clients[service]

    def make(self, resources: Iterable[Resource]) -> None:
        """Make resources, those first that others name."""
        resources = list(resources)
        for kind, maker in MAKERS.items():
            for item in (item for item in resources if item.type == kind):
                answer = maker(self.client, json.loads(self.translate(json.dumps(item.values))))
                made_up = {item.values.get(name): value for name, value in answer.items()}
                self._answers |= {old: new for old, new in made_up.items() if old and old != new}
                self.made[kind] += 1

    def translate(self, text: str) -> str:
        """Put the ids that AWS has given in place of those that were made up."""
        # An id may be a part of another one: an ARN has the id at its end.
        for made_up in sorted(self._answers, key=len, reverse=True):
            text = text.replace(made_up, self._answers[made_up])
        return text

    def close(self) -> None:
        """Close its clients."""
        for client in self._clients.values():
            client.close()


def _tags(values: Json) -> list[dict[str, str]]:
    tags = values.get("tags_all") or values.get("tags") or {}
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def _tagged(kind: str, values: Json) -> list[Json]:
    return [{"ResourceType": kind, "Tags": _tags(values)}] if _tags(values) else []


def _key(aws: Clients, v: Json) -> Mapping[str, str]:
    found = aws("kms").create_key(Description=v["description"], Policy=v["policy"])["KeyMetadata"]
    return {"arn": found["Arn"], "key_id": found["KeyId"], "id": found["KeyId"]}


def _key_alias(aws: Clients, v: Json) -> Mapping[str, str]:
    aws("kms").create_alias(AliasName=v["name"], TargetKeyId=v["target_key_id"])
    return {}


def _vpc(aws: Clients, v: Json) -> Mapping[str, str]:
    tags = _tagged("vpc", v)
    made = aws("ec2").create_vpc(CidrBlock=v["cidr_block"], TagSpecifications=tags)
    return {"id": made["Vpc"]["VpcId"]}


def _subnet(aws: Clients, v: Json) -> Mapping[str, str]:
    made = aws("ec2").create_subnet(
        VpcId=v["vpc_id"], CidrBlock=v["cidr_block"], AvailabilityZone=v["availability_zone"],
        TagSpecifications=_tagged("subnet", v),
    )  # fmt: skip
    return {"id": made["Subnet"]["SubnetId"]}


def _security_group(aws: Clients, v: Json) -> Mapping[str, str]:
    made = aws("ec2").create_security_group(
        GroupName=v["name"], Description=v["description"], VpcId=v["vpc_id"]
    )
    # Terraform's provider takes away what AWS gives every group: leave to send anything anywhere.
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    aws("ec2").revoke_security_group_egress(GroupId=made["GroupId"], IpPermissions=everything)
    return {"id": made["GroupId"]}


def _permission(v: Json) -> Json:
    rule: Json = {"IpProtocol": v["ip_protocol"]}
    if v["ip_protocol"] != "-1":
        rule |= {"FromPort": v["from_port"], "ToPort": v["to_port"]}
    text = v.get("description", "")
    if v.get("referenced_security_group_id"):
        group = v["referenced_security_group_id"]
        rule["UserIdGroupPairs"] = [{"GroupId": group, "Description": text}]
    else:
        rule["IpRanges"] = [{"CidrIp": v["cidr_ipv4"], "Description": text}]
    return {"GroupId": v["security_group_id"], "IpPermissions": [rule]}


def _ingress(aws: Clients, v: Json) -> Mapping[str, str]:
    aws("ec2").authorize_security_group_ingress(**_permission(v))
    return {}


def _egress(aws: Clients, v: Json) -> Mapping[str, str]:
    aws("ec2").authorize_security_group_egress(**_permission(v))
    return {}


def _role(aws: Clients, v: Json) -> Mapping[str, str]:
    made = aws("iam").create_role(
        RoleName=v["name"],
        Path=v.get("path") or "/",
        AssumeRolePolicyDocument=v["assume_role_policy"],
    )
    return {"arn": made["Role"]["Arn"]}


def _role_policy(aws: Clients, v: Json) -> Mapping[str, str]:
    aws("iam").put_role_policy(RoleName=v["role"], PolicyName=v["name"], PolicyDocument=v["policy"])
    return {}


def _profile(aws: Clients, v: Json) -> Mapping[str, str]:
    iam = aws("iam")
    made = iam.create_instance_profile(InstanceProfileName=v["name"], Path=v.get("path") or "/")
    iam.add_role_to_instance_profile(InstanceProfileName=v["name"], RoleName=v["role"])
    return {"arn": made["InstanceProfile"]["Arn"]}


def _log_group(aws: Clients, v: Json) -> Mapping[str, str]:
    logs = aws("logs")
    logs.create_log_group(logGroupName=v["name"])
    logs.put_retention_policy(logGroupName=v["name"], retentionInDays=v["retention_in_days"])
    return {}


def _queue(aws: Clients, v: Json) -> Mapping[str, str]:
    return {"url": aws("sqs").create_queue(QueueName=v["name"])["QueueUrl"]}


def _topic(aws: Clients, v: Json) -> Mapping[str, str]:
    return {"arn": aws("sns").create_topic(Name=v["name"])["TopicArn"]}


def _launch_template(aws: Clients, v: Json) -> Mapping[str, str]:
    made = aws("ec2").create_launch_template(
        LaunchTemplateName=v["name"],
        VersionDescription=v["description"],
        LaunchTemplateData=_launch_data(v),
        TagSpecifications=_tagged("launch-template", v),
    )
    return {"id": made["LaunchTemplate"]["LaunchTemplateId"]}


def _launch_data(v: Json) -> Json:
    """Say what a node is, in EC2's words."""
    metadata, (interface,) = v["metadata_options"][0], v["network_interfaces"]
    disks = [
        {
            "DeviceName": row["device_name"],
            "Ebs": {
                "VolumeType": row["ebs"][0]["volume_type"],
                "VolumeSize": row["ebs"][0]["volume_size"],
                "Encrypted": _is_on(row["ebs"][0]["encrypted"]),
                "KmsKeyId": row["ebs"][0]["kms_key_id"],
                "DeleteOnTermination": _is_on(row["ebs"][0]["delete_on_termination"]),
            },
        }
        for row in v["block_device_mappings"]
    ]
    return {
        "ImageId": v["image_id"],
        "UserData": v["user_data"],
        "InstanceInitiatedShutdownBehavior": v["instance_initiated_shutdown_behavior"],
        "IamInstanceProfile": {"Arn": v["iam_instance_profile"][0]["arn"]},
        "NetworkInterfaces": [
            {
                "DeviceIndex": 0,
                "AssociatePublicIpAddress": _is_on(interface["associate_public_ip_address"]),
                "DeleteOnTermination": _is_on(interface["delete_on_termination"]),
                "Groups": interface["security_groups"],
            }
        ],
        "MetadataOptions": {
            "HttpEndpoint": metadata["http_endpoint"],
            "HttpTokens": metadata["http_tokens"],
            "HttpPutResponseHopLimit": metadata["http_put_response_hop_limit"],
            "InstanceMetadataTags": metadata["instance_metadata_tags"],
        },
        "BlockDeviceMappings": disks,
        "TagSpecifications": [
            {"ResourceType": row["resource_type"], "Tags": _tags(row)}
            for row in v["tag_specifications"]
        ],
    }


def _is_on(value: object) -> bool:
    """Read what Terraform's provider writes as text: true, false, or nothing."""
    return str(value).lower() == "true"


def _bucket(aws: Clients, v: Json) -> Mapping[str, str]:
    aws("s3").create_bucket(Bucket=v["bucket"])
    if _tags(v):
        aws("s3").put_bucket_tagging(Bucket=v["bucket"], Tagging={"TagSet": _tags(v)})
    return {"id": v["bucket"]}


def _bucket_policy(aws: Clients, v: Json) -> Mapping[str, str]:
    aws("s3").put_bucket_policy(Bucket=v["bucket"], Policy=v["policy"])
    return {}


def _versioning(aws: Clients, v: Json) -> Mapping[str, str]:
    status = v["versioning_configuration"][0]["status"]
    aws("s3").put_bucket_versioning(Bucket=v["bucket"], VersioningConfiguration={"Status": status})
    return {}


def _public_access(aws: Clients, v: Json) -> Mapping[str, str]:
    aws("s3").put_public_access_block(
        Bucket=v["bucket"],
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": v["block_public_acls"],
            "BlockPublicPolicy": v["block_public_policy"],
            "IgnorePublicAcls": v["ignore_public_acls"],
            "RestrictPublicBuckets": v["restrict_public_buckets"],
        },
    )
    return {}


def _encryption(aws: Clients, v: Json) -> Mapping[str, str]:
    (rule,) = v["rule"]
    (wanted,) = rule["apply_server_side_encryption_by_default"]
    default = {"SSEAlgorithm": wanted["sse_algorithm"]}
    if key := wanted.get("kms_master_key_id"):
        default["KMSMasterKeyID"] = key
    own = {
        "ApplyServerSideEncryptionByDefault": default,
        "BucketKeyEnabled": bool(rule.get("bucket_key_enabled")),
    }
    aws("s3").put_bucket_encryption(
        Bucket=v["bucket"], ServerSideEncryptionConfiguration={"Rules": [own]}
    )
    return {}


def _ownership(aws: Clients, v: Json) -> Mapping[str, str]:
    rules = [{"ObjectOwnership": v["rule"][0]["object_ownership"]}]
    aws("s3").put_bucket_ownership_controls(Bucket=v["bucket"], OwnershipControls={"Rules": rules})
    return {}


def _object(aws: Clients, v: Json) -> Mapping[str, str]:
    aws("s3").put_object(
        Bucket=v["bucket"], Key=v["key"], Body=v["content"].encode(),
        ServerSideEncryption="aws:kms", SSEKMSKeyId=v["kms_key_id"],
    )  # fmt: skip
    return {}


MAKERS: dict[str, Maker] = {
    "aws_kms_key": _key,
    "aws_kms_alias": _key_alias,
    "aws_vpc": _vpc,
    "aws_subnet": _subnet,
    "aws_security_group": _security_group,
    "aws_vpc_security_group_ingress_rule": _ingress,
    "aws_vpc_security_group_egress_rule": _egress,
    "aws_iam_role": _role,
    "aws_iam_instance_profile": _profile,
    "aws_cloudwatch_log_group": _log_group,
    "aws_sns_topic": _topic,
    "aws_sqs_queue": _queue,
    "aws_launch_template": _launch_template,
    "aws_s3_bucket": _bucket,
    "aws_s3_bucket_versioning": _versioning,
    "aws_s3_bucket_public_access_block": _public_access,
    "aws_s3_bucket_ownership_controls": _ownership,
    "aws_s3_bucket_server_side_encryption_configuration": _encryption,
    "aws_s3_bucket_policy": _bucket_policy,
    "aws_iam_role_policy": _role_policy,
    "aws_s3_object": _object,
}
"""What makes the resources of a type; a type comes after those that it names."""
