"""From a plan of Terraform to products in its bucket: what it makes and what the code uses fit.

The apply is mocked: buckets with their policies, key, roles, launch template and the cluster's
files, as it says that it has made them, are made at moto's server by boto3, and a local PostgreSQL
that takes TLS and tokens of IAM alone stands where RDS would.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from lsstpipe.cluster.config import parse_cluster
from tests.postgres_server import PostgresServer
from tests.site.applied import read_record
from tests.site.bucket_policy import judging
from tests.site.cloud import Cloud
from tests.site.registry_server import HOST
from tests.site.trial import BIN, PRINCIPALS, VISITOR, Trial, digests

pytestmark = [pytest.mark.xdist_group("site"), pytest.mark.needs_program("openssl")]

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Trial]:
    """A site with nothing in it yet; where there is no PostgreSQL it is left out, as others are."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        trial = Trial(tmp_path_factory.mktemp("trial"), f"http://{host}:{port}")
        try:
            with judging(PRINCIPALS):
                trial.make(read_record(trial.registry.port))
                yield trial
        finally:
            trial.stop()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def produced(trial: Trial) -> Trial:
    """The site after a small production, whose products are published."""
    trial.lsstpipe("simulate", "unit", "--to", "unit", "--jobs", "2")
    trial.lsstpipe("init", "repo", "--site", str(trial.site_file))
    trial.run(
        str(BIN / "snakemake"), "--snakefile", str(REPOSITORY / "Snakefile"), "--cores", "2",
        "--workflow-profile", str(REPOSITORY / "workflow" / "profiles" / "default"),
        "--configfile", "unit/campaign.yaml", "--config", "repo=repo", "publish=releases/trial",
    )  # fmt: skip
    return trial


def test_what_terraform_makes_is_there_and_names_what_is_there(trial: Trial) -> None:
    made, names = trial.cloud.made, trial.site["buckets"]
    assert made["aws_s3_bucket"] == made["aws_s3_bucket_policy"] == 4
    s3, ec2 = trial.cloud.client("s3"), trial.cloud.client("ec2")
    for bucket in names.values():
        policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
        denied = {row["Sid"] for row in policy["Statement"] if row["Effect"] == "Deny"}
        assert {"WithoutTls", "EncryptedWithAnotherKey"} <= denied
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    content = s3.get_object(Bucket=names["config"], Key="clusters/trial/pools.json")["Body"].read()
    cluster = parse_cluster(content, "pools.json")
    (pool,) = cluster.pools
    (template,) = ec2.describe_launch_template_versions(
        LaunchTemplateId=pool.launch_template_id, Versions=[pool.launch_template_version]
    )["LaunchTemplateVersions"]
    data = template["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    groups = data["NetworkInterfaces"][0]["Groups"]
    assert ec2.describe_security_groups(GroupIds=groups)["SecurityGroups"]
    found = ec2.describe_subnets(SubnetIds=list(pool.subnet_ids))["Subnets"]
    assert {subnet["VpcId"] for subnet in found} == {cluster.vpc_id}


def test_the_head_node_gets_the_same_site_json(trial: Trial, tmp_path: Path) -> None:
    source = f"s3://{trial.site['buckets']['config']}/clusters/trial"
    (tmp_path / "slurm").mkdir()
    trial.lsstpipe("cluster", "conf", "--from", source, "--etc", str(tmp_path))
    assert json.loads((tmp_path / "lsstpipe" / "site.json").read_bytes()) == trial.site


def test_the_owner_comes_from_the_secret_and_the_rest_from_the_site(trial: Trial) -> None:
    assert trial.user_told == [
        f"lsstpipe was made on {HOST}.\n",
        f"lsstpipe was there on {HOST}.\n",
    ]


def test_a_repository_is_made_from_site_json_alone(produced: Trial) -> None:
    own = json.loads((produced.folder / "repo" / "repository.json").read_bytes())
    port = produced.registry.port
    assert own["registry"] == (
        f"postgresql://lsstpipe@{HOST}:{port}/registry"
        "?auth=iam&region=us-east-1&sslmode=verify-full"
    )
    assert own["products"] == f"s3://{produced.site['buckets']['products']}"
    assert not (produced.folder / "repo" / "registry.sqlite3").exists()


def test_the_registry_is_the_server_and_knows_every_product(produced: Trial) -> None:
    (count,) = produced.registry.server.execute("SELECT count(*) FROM dataset", "registry")[0]
    records = json.loads(produced.lsstpipe("query", "--repo", "repo", "--json"))
    assert count == len(records) > 50
    paths = {row["path"] for row in records if row["type"] != "raw"}
    assert paths == set(digests(produced.folder / "repo"))
    assert produced.registry.login.n_allowed > 0


def test_every_product_is_in_the_bucket_bit_for_bit(produced: Trial) -> None:
    assert produced.published("trial") == digests(produced.folder / "repo")


def test_another_repository_of_the_site_reads_the_release(produced: Trial) -> None:
    produced.lsstpipe(
        "init", "mine", "--site", str(produced.site_file), "--also-read", "releases/trial"
    )
    produced.lsstpipe("get", "object_table", "--repo", "mine", "--to", "objects.parquet")
    (path,) = (produced.folder / "repo" / "main" / "object_table").rglob("*.parquet")
    assert (produced.folder / "objects.parquet").read_bytes() == path.read_bytes()
    assert not (produced.folder / "mine" / "main").exists()
    words = ("fetch", "releases/trial", "--repo", "mine", "--dry-run", "--json")
    wanted = json.loads(produced.lsstpipe(*words))
    assert wanted["source"] == f"s3://{produced.site['buckets']['products']}/releases/trial"
    assert wanted["n_files"] == len(digests(produced.folder / "repo"))


def test_who_does_not_prove_himself_gets_no_connection(trial: Trial) -> None:
    registry = trial.registry
    registry.connect(password=trial.token())
    for password in (
        "guessed",
        trial.token(host="other.example.org"),
        trial.token(region="us-west-2"),
        trial.token(secret="another"),
    ):
        with pytest.raises(psycopg2.OperationalError, match="LDAP authentication failed"):
            registry.connect(password=password)
    with pytest.raises(psycopg2.OperationalError, match=r"no pg_hba\.conf entry.*no encryption"):
        registry.connect(password=trial.token(), sslmode="disable")
    # A server that cannot prove that it is the site's gets no token.
    n_refused = registry.login.n_refused
    with pytest.raises(psycopg2.OperationalError, match="does not match host name"):
        registry.connect(password=trial.token(), host="other.example.org")
    assert registry.login.n_refused == n_refused


def test_buckets_refuse_what_their_policies_deny(trial: Trial) -> None:
    s3, bucket = trial.cloud.client("s3"), trial.site["buckets"]["products"]
    key = trial.cloud.client("kms").describe_key(KeyId="alias/lsstpipe/trial")["KeyMetadata"]["Arn"]
    s3.put_object(Bucket=bucket, Key="embargo/2026-11-26/a", Body=b"a")
    found = s3.head_object(Bucket=bucket, Key="embargo/2026-11-26/a")
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", key)
    for settings in (
        {"ServerSideEncryption": "AES256"},
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key[:-1]},
    ):
        with pytest.raises(ClientError, match="403"):
            s3.put_object(Bucket=bucket, Key="releases/trial/b", Body=b"b", **settings)
    visitor = Cloud({**trial.cloud.environment, "AWS_ACCESS_KEY_ID": VISITOR})
    other = visitor.client("s3")
    s3.put_object(Bucket=bucket, Key="releases/trial/c", Body=b"c")
    assert other.get_object(Bucket=bucket, Key="releases/trial/c")["Body"].read() == b"c"
    with pytest.raises(ClientError, match="403"):
        other.get_object(Bucket=bucket, Key="embargo/2026-11-26/a")
    visitor.close()
    for name in ("embargo/2026-11-26/a", "releases/trial/c"):
        s3.delete_object(Bucket=bucket, Key=name)


def test_who_knows_no_authority_is_told_where_to_name_it(trial: Trial) -> None:
    done = trial.attempt(
        str(BIN / "lsstpipe"), "init", "alone", "--site", str(trial.site_file),
        environment={"PGSSLROOTCERT": "/absent.pem"},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        'root certificate file "/absent.pem" does not exist; PGSSLROOTCERT names the file with the '
        "certificates to trust."
    )
