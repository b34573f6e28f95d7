"""The policies of a site that was applied, what programs ask of AWS, and who judges it."""

from __future__ import annotations

from dataclasses import replace

import boto3
import pytest

from tests.s3_server import S3Server
from tests.terraform.iam import programs, state
from tests.terraform.iam.recording import Call, record_calls
from tests.terraform.iam.simulator import Simulator
from tests.terraform.iam.site import BOOTSTRAP, CONFIG, PRODUCTS, RAW, REGION, Site, read_site
from tests.terraform.stand_in import Resource, Roots


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Simulator:
    """IAM."""
    return Simulator(tmp_path_factory.mktemp("iam-simulate"))


@pytest.fixture(scope="session")
def site(resources: list[Resource], complete: Roots) -> Site:
    """The example `complete`, and Terraform's state with a role of CI."""
    complete.terraform("bootstrap", "init", "-input=false")
    complete.terraform("bootstrap", "apply", "-auto-approve", "-input=false", *state.SETTINGS)
    own = [
        replace(item, address=f"{BOOTSTRAP}{item.address}")
        for item in complete.resources("bootstrap")
    ]
    return read_site(resources + own)


@pytest.fixture(scope="session")
def recorded(
    site: Site, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Call]]:
    """What each kind of machine asks of AWS, recorded while its programs run."""
    folder = tmp_path_factory.mktemp("programs")
    for arn in (RAW, PRODUCTS, CONFIG):
        s3_server.client.create_bucket(Bucket=arn.rpartition(":")[2])
    frames = RAW.rpartition(":")[2]
    s3_server.client.put_object(Bucket=frames, Key="night/frame.fits", Body=b"frame")
    for item in site.of_type("aws_s3_object"):
        own = {"Bucket": item.values["bucket"], "Key": item.values["key"]}
        s3_server.client.put_object(**own, Body=item.values["content"].encode())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_server.environment.items():
            patch.setenv(name, value)
        logs = boto3.client("logs", region_name=REGION)
        for group in site.of_type("aws_cloudwatch_log_group"):
            logs.create_log_group(logGroupName=group.values["name"])
        twins = programs.Twins(site, boto3.client("ec2", region_name=REGION))
        with record_calls() as cluster:
            programs.run_cluster(twins.to_twin(site.pools), folder)
        sqs = boto3.client("sqs", region_name=REGION)
        queue_url = sqs.create_queue(QueueName=site.queue.rpartition(":")[2])["QueueUrl"]
        sqs.send_message(QueueUrl=queue_url, MessageBody="spent")
        with record_calls() as head:
            programs.keep_head(folder, queue_url, patch)
            programs.connect_to_registry()
            programs.publish_release(folder)
            programs.ship_logs("head", folder, patch)
        with record_calls() as node:
            programs.join_cluster(folder)
            programs.ship_logs("compute", folder, patch)
        with record_calls() as data:
            programs.use_data(folder)
    launched = [
        Call(call.service, call.operation, twins.to_site(call.parameters)) for call in cluster
    ]
    return {"head": launched + head + data, "node": node + data}
