"""What would fail half-way is found before; moto answers as AWS, and a stub where it does not."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner

from lsstpipe.cli.main import cli
from lsstpipe.site import check_account, check_capacity, check_data, check_storage
from lsstpipe.site.checks import CHECKS, Check, check, run
from lsstpipe.site.findings import Aws, Finding
from lsstpipe.site.settings import Lustre, PersistentLustre, Settings
from tests.site.conftest import ACCOUNT, CODE, look_at

ZONES = ("us-east-1a", "us-east-1b")


def said(findings: list[Finding], level: str) -> str:
    """What the findings of a level say, in one text."""
    return "\n".join(f"{item.about}: {item.says}" for item in findings if item.level == level)


def with_cluster(settings: Settings, **changes: Any) -> Settings:
    return Settings(settings.data, settings.cluster.model_copy(update=changes))


def with_data(settings: Settings, **changes: Any) -> Settings:
    return Settings(settings.data.model_copy(update=changes), settings.cluster)


def with_pool(settings: Settings, **changes: Any) -> Settings:
    pool = settings.cluster.pools["spot"].model_copy(update=changes)
    return with_cluster(settings, pools={"spot": pool})


def stubbed(service: str) -> tuple[Any, Stubber]:
    """A client that answers what a test says, in the shapes that AWS's models allow."""
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    client = boto3.client(service, region_name="us-east-1", **keys)
    stub = Stubber(client)
    stub.activate()
    return client, stub


def stub_quotas(cloud: Aws, *quotas: tuple[str, str, int]) -> Stubber:
    """Let a cloud tell quotas, each of a service and a code, when it is asked in this order."""
    cloud.clients["service-quotas"], stub = stubbed("service-quotas")
    for service, code, value in quotas:
        asked = {"ServiceCode": service, "QuotaCode": code}
        stub.add_response("get_service_quota", {"Quota": {"Value": value}}, asked)
    return stub


def test_roles_that_are_absent_are_named_with_the_command_that_makes_them(
    minimal: Settings, cloud: Aws
) -> None:
    findings = run(check_account.check_roles, look_at(minimal, cloud))
    assert "AWSServiceRoleForEC2Fleet is absent" in said(findings, "error")
    assert "--aws-service-name spot.amazonaws.com makes it" in said(findings, "error")
    assert "AWSServiceRoleForRDS is absent" in said(findings, "warning")
    assert "FSx" not in "".join(item.says for item in findings)  # it has no Lustre
    for service in ("ec2fleet", "spot", "rds"):
        cloud.client("iam").create_service_linked_role(AWSServiceName=f"{service}.amazonaws.com")
    made = {role["RoleName"] for role in cloud.client("iam").list_roles()["Roles"]}
    for name in ("AWSServiceRoleForEC2Fleet", "AWSServiceRoleForEC2Spot", "AWSServiceRoleForRDS"):
        if name not in made:  # moto spells some of them otherwise than AWS
            cloud.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    findings = run(check_account.check_roles, look_at(minimal, cloud))
    assert [item.level for item in findings] == ["ok"] * 3


def test_either_kind_of_lustre_needs_the_role_of_fsx(minimal: Settings, cloud: Aws) -> None:
    kept = PersistentLustre(storage_gib=1200, throughput_mbps_per_tib=125)
    for settings in (
        with_cluster(minimal, lustre=Lustre(storage_gib=1200)),
        with_data(minimal, persistent_lustre=kept),
    ):
        findings = run(check_account.check_roles, look_at(settings, cloud))
        assert "AWSServiceRoleForAmazonFSx is absent" in said(findings, "warning")


@pytest.mark.parametrize(
    ("quotas", "changes", "level", "sentence"),
    [
        ({"spot": 80, "on-demand": 8}, {}, "ok", "80 are allowed, all nodes take 80"),
        ({"spot": 79, "on-demand": 8}, {}, "warning", "79 are allowed, all nodes take 80"),
        ({"spot": 0, "on-demand": 8}, {}, "warning", "so all will be bought on demand"),
        ({"spot": 0, "on-demand": 8}, {"fallback": "none"}, "error", "one node takes 4"),
        ({"spot": 80, "on-demand": 1}, {}, "error", "1 are allowed, one node takes 2"),
    ],
)
def test_quotas_of_cpus_are_held_to_what_the_pools_may_launch(
    minimal: Settings,
    cloud: Aws,
    quotas: dict[str, float],
    changes: dict[str, object],
    level: str,
    sentence: str,
) -> None:
    codes = {"spot": check_account.SPOT_QUOTA, "on-demand": check_account.ON_DEMAND_QUOTA}
    stub = stub_quotas(cloud, *(("ec2", codes[market], n) for market, n in quotas.items()))
    findings = run(check_account.check_quotas, look_at(with_pool(minimal, **changes), cloud))
    assert sentence in said(findings, level)
    stub.assert_no_pending_responses()


def test_a_network_that_cannot_be_made_for_quotas_is_an_error(
    minimal: Settings, cloud: Aws
) -> None:
    def look(limit: int) -> list[Finding]:
        stub_quotas(cloud, ("vpc", "L-F678F1CE", limit), ("ec2", "L-0263D0A3", 5))
        return run(check_account.check_network_quotas, look_at(minimal, cloud))

    # There is one network in a new account.
    assert "1 are allowed in us-east-1, 1 are there; ask for more" in said(look(1), "error")
    assert not said(look(2), "error")
    # Ours is there already: no other is made.
    ours = [{"Key": "lsstpipe:data", "Value": "trial"}]
    cloud.client("ec2").create_vpc(
        CidrBlock="10.20.0.0/20", TagSpecifications=[{"ResourceType": "vpc", "Tags": ours}]
    )
    assert not said(look(2), "error")


def test_a_bucket_of_somebody_else_is_found_and_ours_is_known(
    minimal: Settings, cloud: Aws
) -> None:
    s3 = cloud.client("s3")
    taken, ours = f"trial-{ACCOUNT}-raw", f"trial-{ACCOUNT}-products"
    for bucket in (taken, ours):
        s3.create_bucket(Bucket=bucket)
    tags = {"TagSet": [{"Key": "lsstpipe:data", "Value": "trial"}]}
    s3.put_bucket_tagging(Bucket=ours, Tagging=tags)
    findings = run(check_account.check_names, look_at(minimal, cloud))
    assert said(findings, "error").count("is taken") == 1
    assert f"The name {taken} is taken" in said(findings, "error")
    assert f"{ours} is there, and ours" in said(findings, "ok")
    assert f"The name trial-{ACCOUNT}-state is free" in said(findings, "ok")


def test_a_bucket_of_another_account_is_found(minimal: Settings, cloud: Aws) -> None:
    cloud.clients["s3"], stub = stubbed("s3")
    stub.add_client_error("head_bucket", "403", http_status_code=403)
    for _ in range(4):
        stub.add_client_error("head_bucket", "404", http_status_code=404)
    findings = run(check_account.check_names, look_at(minimal, cloud))
    assert f"The name trial-{ACCOUNT}-raw is taken" in said(findings, "error")


def test_a_database_and_a_snapshot_in_the_way_are_found(minimal: Settings, cloud: Aws) -> None:
    rds = cloud.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier="trial-registry",
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="owner",
        MasterUserPassword="not-a-secret",
    )
    rds.create_db_snapshot(
        DBInstanceIdentifier="trial-registry", DBSnapshotIdentifier="trial-registry-last"
    )
    findings = run(check_account.check_names, look_at(minimal, cloud))
    assert "The name trial-registry is taken" in said(findings, "error")
    assert "A snapshot trial-registry-last" in said(findings, "warning")


def test_zones_and_types_of_the_example_are_there(minimal: Settings, cloud: Aws) -> None:
    look = look_at(minimal, cloud)
    findings = run(check_capacity.check_zones, look) + run(check_capacity.check_types, look)
    assert {item.level for item in findings} == {"ok"}
    assert "t3a.medium is offered in us-east-1a" in said(findings, "ok")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"instance_types": ("m7a.hugge",)}, "no instance type m7a.hugge"),
        # As in AWS, there is none of it in this region.
        ({"instance_types": ("hpc7a.96xlarge",)}, "hpc7a.96xlarge"),
        ({"cpus": 8}, "m7a.xlarge has 4 CPUs, fewer than the 8 of the pool"),
        ({"memory_mb": 16200}, "16384 MB, of which 15892 can be used, less than the 16200"),
    ],
)
def test_a_pool_that_no_type_can_be_is_an_error(
    minimal: Settings, cloud: Aws, changes: dict[str, object], sentence: str
) -> None:
    look = look_at(with_pool(minimal, **changes), cloud)
    assert sentence in said(run(check_capacity.check_types, look), "error")


def test_a_type_that_some_zones_lack_is_a_warning(minimal: Settings, cloud: Aws) -> None:
    # us-east-1e is the old zone that newer types are not in.
    network = minimal.data.network
    assert network is not None
    zones = network.model_copy(update={"zones": ("us-east-1a", "us-east-1e")})
    look = look_at(with_data(minimal, network=zones), cloud)
    assert "m7a.xlarge is not offered in us-east-1e" in said(
        run(check_capacity.check_types, look), "warning"
    )


def test_a_zone_that_there_is_not_is_an_error(minimal: Settings, cloud: Aws) -> None:
    network = minimal.data.network
    assert network is not None
    zones = network.model_copy(update={"zones": ("us-east-1a", "us-east-1z")})
    look = look_at(with_data(minimal, network=zones), cloud)
    assert "no zone us-east-1z; there are us-east-1a, " in said(
        run(check_capacity.check_zones, look), "error"
    )


@pytest.mark.parametrize(("scores", "level"), [((3, 9), "ok"), ((3, 1), "warning")])
def test_the_best_zone_says_whether_spot_can_be_had(
    minimal: Settings, scores: tuple[int, int], level: str
) -> None:
    client, stub = stubbed("ec2")
    zones = [
        {"ZoneName": name, "ZoneId": f"use1-az{n}", "State": "available"}
        for n, name in enumerate(ZONES)
    ]
    rows = [
        {"Region": "us-east-1", "AvailabilityZoneId": f"use1-az{n}", "Score": score}
        for n, score in enumerate(scores)
    ]
    asked = {
        "InstanceTypes": list(minimal.cluster.pools["spot"].instance_types),
        "TargetCapacity": 20,
        "SingleAvailabilityZone": True,
        "RegionNames": ["us-east-1"],
    }
    stub.add_response("describe_availability_zones", {"AvailabilityZones": zones})
    stub.add_response("get_spot_placement_scores", {"SpotPlacementScores": rows}, asked)
    findings = run(check_capacity.check_spot, look_at(minimal, Aws("us-east-1", {"ec2": client})))
    assert f"{scores[0]} in us-east-1a, {scores[1]} in us-east-1b" in said(findings, level)


@pytest.mark.parametrize(
    ("changes", "level", "sentence"),
    [
        ({}, "ok", "All prices are known"),
        ({"instance_types": ("x9z.huge",)}, "error", "no price of x9z.huge"),
        ({"max_hourly_usd": 0.1}, "error", "would never launch a node"),
        ({"max_hourly_usd": 0.5}, "warning", "let 4 of 20 nodes run"),
    ],
)
def test_prices_and_limits_let_nodes_run(
    minimal: Settings, cloud: Aws, changes: dict[str, object], level: str, sentence: str
) -> None:
    look = look_at(with_pool(minimal, **changes), cloud)
    assert sentence in said(run(check_capacity.check_prices, look), level)


def image(key: str, **changes: Any) -> dict[str, Any]:
    """An image as EC2 describes it, made a week ago."""
    made = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=7)
    disk = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20}}
    return {
        "ImageId": key,
        "State": "available",
        "Architecture": "x86_64",
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [disk],
        "CreationDate": made.isoformat(),
    } | changes


@pytest.mark.parametrize(
    ("changes", "level", "sentence"),
    [
        ({}, "ok", "is 7 days old"),
        ({"State": "failed"}, "error", "is failed"),
        ({"Architecture": "arm64"}, "error", "is for arm64, m6a.xlarge has x86_64"),
        ({"RootDeviceName": "/dev/sda1"}, "error", "starts from /dev/sda1, not from /dev/xvda"),
        (
            {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 60}}]},
            "error",
            "needs a disk of 60 GiB, more than the 50 that are set",
        ),
        ({"CreationDate": "2026-01-01T00:00:00.000Z"}, "warning", "days old: bake it anew"),
        ({"DeprecationTime": "2026-02-01T00:00:00.000Z"}, "warning", "deprecated since 2026-02-01"),
    ],
)
def test_an_image_fits_its_machines_and_is_recent(
    minimal: Settings, cloud: Aws, changes: dict[str, Any], level: str, sentence: str
) -> None:
    look = look_at(minimal, cloud)
    assert look.types  # of moto, which has no images as these
    look.aws.clients["ec2"], stub = stubbed("ec2")
    images = minimal.cluster.images
    rows = [image(images.head), image(images.node, **changes)]
    by_id = [{"Name": "image-id", "Values": [images.head, images.node]}]
    stub.add_response("describe_images", {"Images": rows}, {"Filters": by_id})
    findings = run(check_capacity.check_images, look)
    assert sentence in said(findings, level).partition(f"image of nodes: {images.node} ")[2]
    assert f"image of the head node: {images.head} is 7 days old" in said(findings, "ok")


def test_an_image_that_there_is_not_is_an_error(minimal: Settings, cloud: Aws) -> None:
    findings = run(check_capacity.check_images, look_at(minimal, cloud))
    assert "There is no image ami-00000000000000002" in said(findings, "error")


def test_a_network_without_addresses_for_all_nodes_is_an_error(
    minimal: Settings, cloud: Aws
) -> None:
    # A quarter of /25 has 32 addresses, 7 of them for two zones' nodes each.
    network = minimal.data.network
    assert network is not None
    small = network.model_copy(update={"cidr": "10.20.0.0/25"})
    findings = run(check_data.check_new_network, look_at(with_data(minimal, network=small), cloud))
    assert "has 14 free addresses for nodes, all nodes take 20" in said(findings, "error")
    assert not said(run(check_data.check_new_network, look_at(minimal, cloud)), "error")


def build_network(ec2: Any) -> tuple[str, dict[str, str]]:
    """A network as `existing_vpc` wants it, with a default route and an endpoint for S3."""
    vpc = ec2.create_vpc(CidrBlock="10.40.0.0/20")["Vpc"]["VpcId"]
    for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=vpc, **{attribute: {"Value": True}})
    subnets = {}
    for n, zone in enumerate(ZONES):
        made = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.40.{n}.0/24", AvailabilityZone=zone)
        subnets[zone] = made["Subnet"]["SubnetId"]
    table = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    key = table["RouteTables"][0]["RouteTableId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.create_route(RouteTableId=key, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2.create_vpc_endpoint(
        VpcId=vpc,
        ServiceName="com.amazonaws.us-east-1.s3",
        VpcEndpointType="Gateway",
        RouteTableIds=[key],
    )
    return vpc, subnets


def spoil_dns(ec2: Any, vpc: str) -> None:
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsSupport={"Value": False})


def spoil_endpoint(ec2: Any, vpc: str) -> None:
    found = ec2.describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    keys = [row["VpcEndpointId"] for row in found["VpcEndpoints"]]
    ec2.delete_vpc_endpoints(VpcEndpointIds=keys)


def spoil_route(ec2: Any, vpc: str) -> None:
    found = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    ec2.delete_route(
        RouteTableId=found["RouteTables"][0]["RouteTableId"], DestinationCidrBlock="0.0.0.0/0"
    )


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (spoil_dns, "has no DNS support: switch it on"),
        (spoil_endpoint, "has no gateway endpoint for S3"),
        (spoil_route, "neither a default route nor endpoints for ec2, ec2messages, kms"),
    ],
)
def test_a_network_that_lacks_something_is_found(
    existing_vpc: Settings, cloud: Aws, spoil: Callable[[Any, str], None], sentence: str
) -> None:
    ec2 = cloud.client("ec2")
    vpc, subnets = build_network(ec2)
    network = existing_vpc.data.existing_network
    assert network is not None
    ours = network.model_copy(update={"vpc_id": vpc, "subnets": subnets})
    look = look_at(with_data(existing_vpc, existing_network=ours), cloud)
    assert not said(run(check_data.check_existing_network, look), "error")
    spoil(ec2, vpc)
    assert sentence in said(run(check_data.check_existing_network, look), "error")


def test_subnets_that_are_elsewhere_are_found(existing_vpc: Settings, cloud: Aws) -> None:
    vpc, subnets = build_network(cloud.client("ec2"))
    network = existing_vpc.data.existing_network
    assert network is not None
    wrong = {"us-east-1a": subnets["us-east-1b"], "us-east-1b": "subnet-0"}
    ours = network.model_copy(update={"vpc_id": vpc, "subnets": wrong})
    look = look_at(with_data(existing_vpc, existing_network=ours), cloud)
    told = said(run(check_data.check_existing_network, look), "error")
    assert f"{wrong['us-east-1a']} is in us-east-1b, not in us-east-1a" in told
    assert f"There is no subnet subnet-0 in {vpc}" in told
    look = look_at(existing_vpc, cloud)
    assert "There is no network vpc-0123456789abcdef0" in said(
        run(check_data.check_existing_network, look), "error"
    )


@pytest.mark.parametrize(
    ("zones", "multi_az", "level"),
    [(ZONES[:1], False, "ok"), (ZONES[:1], True, "error"), (("us-east-1f",), False, "error")],
)
def test_a_database_that_the_zones_do_not_have_is_an_error(
    minimal: Settings, zones: tuple[str, ...], multi_az: bool, level: str
) -> None:
    client, stub = stubbed("rds")
    there = [{"Name": zone} for zone in zones]
    options = [
        {"Engine": "postgres", "EngineVersion": "17.4", "AvailabilityZones": there},
        {"Engine": "postgres", "EngineVersion": "16.8", "AvailabilityZones": [{"Name": ZONES[1]}]},
    ]
    asked = {"Engine": "postgres", "DBInstanceClass": "db.t4g.micro"}
    answer = {"OrderableDBInstanceOptions": options}
    stub.add_response("describe_orderable_db_instance_options", answer, asked)
    registry = minimal.data.registry.model_copy(update={"multi_az": multi_az})
    look = look_at(with_data(minimal, registry=registry), Aws("us-east-1", {"rds": client}))
    assert "PostgreSQL 17 on db.t4g.micro is offered in" in said(
        run(check_data.check_database, look), level
    )


@pytest.mark.parametrize(
    ("name", "days", "level", "sentence"),
    [
        ("rds-ca-rsa2048-g1", 4000, "ok", "holds until"),
        ("rds-ca-rsa2048-g1", 100, "warning", "holds until"),
        ("rds-ca-2019", 4000, "error", "it has rds-ca-2019"),
    ],
)
def test_the_certificate_of_the_database_is_there_and_holds(
    minimal: Settings, name: str, days: int, level: str, sentence: str
) -> None:
    client, stub = stubbed("rds")
    ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    rows = [{"CertificateIdentifier": name, "ValidTill": ends}]
    stub.add_response("describe_certificates", {"Certificates": rows})
    look = look_at(minimal, Aws("us-east-1", {"rds": client}))
    assert sentence in said(run(check_data.check_certificate, look), level)


def test_what_is_looked_for_is_what_terraform_makes() -> None:
    module = (CODE / "modules" / "registry_db" / "main.tf").read_text()
    assert f'ca_cert_identifier     = "{check_data.CERTIFICATE}"' in module
    network = (CODE / "data" / "network.tf").read_text()
    needed = re.search(r"needed_endpoints = \[(.*)\]", network)
    assert needed is not None
    assert re.findall(r'"([^"]+)"', needed[1]) == list(check_data.NEEDED_ENDPOINTS)
    pool = (CODE / "modules" / "compute_pool" / "main.tf").read_text()
    assert f'device_name = "{check_capacity.ROOT_DEVICE}"' in pool


def test_what_aws_does_not_tell_is_unknown_and_hides_nothing(minimal: Settings, cloud: Aws) -> None:
    # moto knows neither quotas of EC2 nor placement scores.
    cloud.clients["service-quotas"], stub = stubbed("service-quotas")
    stub.add_client_error("get_service_quota", "AccessDeniedException", "not yours to know")
    findings = run(check_account.check_quotas, look_at(minimal, cloud))
    assert [item.level for item in findings] == ["unknown"]
    assert "not yours to know" in findings[0].says


def test_every_check_is_run(minimal: Settings, cloud: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Check] = []

    def note(each: Check, look: object) -> list[Finding]:
        ran.append(each)
        return []

    monkeypatch.setattr("lsstpipe.site.checks.run", note)
    findings = check(minimal, cloud)
    assert findings == [Finding("account", "ok", f"Account {ACCOUNT}, region us-east-1.")]
    modules = (check_account, check_capacity, check_data, check_storage)
    there = [
        getattr(module, name)
        for module in modules
        for name in vars(module)
        if name.startswith("check_")
    ]
    assert tuple(ran) == CHECKS
    assert set(there) == set(CHECKS)


def test_a_region_that_there_is_not_is_an_error(minimal: Settings) -> None:
    findings = check(with_data(minimal, region="mars-north-1"))
    assert findings == [Finding("region", "error", "AWS has no region mars-north-1.")]


@pytest.mark.parametrize("command", ["plan", "up"])
def test_what_would_fail_is_refused_before_terraform_is_asked(
    cloud: Aws, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("lsstpipe.site.checks.CHECKS", (check_capacity.check_images,))
    words = ["site", command, str(CODE / "examples" / "minimal"), "--terraform", str(CODE)]
    result = CliRunner().invoke(cli, words)
    assert str(result.exception).startswith("Nothing was done: 2 of what was checked would fail")
    assert "There is no image ami-00000000000000001" in result.stderr


def test_the_command_prints_what_it_finds_and_fails_if_something_is_wrong(
    cloud: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_check(*checks: Check) -> list[dict[str, str]]:
        monkeypatch.setattr("lsstpipe.site.checks.CHECKS", checks)
        words = ["site", "check", str(CODE / "examples" / "minimal"), "--terraform", str(CODE)]
        result = CliRunner().invoke(cli, [*words, "--json"])
        rows: list[dict[str, str]] = json.loads(result.stdout)
        assert result.exit_code == int("error" in {row["level"] for row in rows})
        return rows

    assert {row["level"] for row in run_check(check_capacity.check_zones)} == {"ok"}
    levels = [row["level"] for row in run_check(check_capacity.check_images)]
    assert levels == ["ok", "error", "error"]
