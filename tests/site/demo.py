"""``make demo-site``: from a plan of Terraform to products in its bucket and rows in its registry.

The apply is mocked: a stand-in with the real schema answers instead of AWS. What it says it has
made, and the code uses, is then made in truth at moto's server by boto3; a local PostgreSQL that
takes TLS and tokens of IAM alone stands where RDS would, and instances are processes that a real
Slurm takes for nodes. `config/site.json` is as `lsstpipe site up` has written it, and all that the
production is told of the site.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import psycopg2
import pytest
import yaml
from moto.server import ThreadedMotoServer

from lsstpipe.cluster.config import read_cluster
from tests.cluster.elastic import ElasticCluster, keep_logs
from tests.cluster.slurm_server import missing_programs
from tests.postgres_server import find_program
from tests.site.applied import Applied, bring_up, read_record
from tests.site.bucket_policy import judging
from tests.site.conftest import CODE
from tests.site.registry_server import DATABASE
from tests.site.trial import BIN, NODE_IMAGE, PRINCIPALS, Trial, digests

REPOSITORY = CODE.parent
FOLDER = Path("runs/demo-site")
SURVEY = FOLDER / "survey"
REPO = SURVEY / "repo"
RIGHT = "ci-small"
EXPECTED: dict[str, Any] = yaml.safe_load(
    (REPOSITORY / "tests" / "e2e" / "survey_ci_small.yaml").read_text()
)
LSSTPIPE = str(BIN / "lsstpipe")


class Demo:
    """The site and its cluster, and a person on the head node.

    Parameters
    ----------
    trial
        The site.
    cluster
        Its cluster.
    """

    def __init__(self, trial: Trial, cluster: ElasticCluster) -> None:
        self._trial, self._cluster = trial, cluster
        self.etc = trial.folder / "head"
        self.applied = Applied({}, (), {})

    def run(self, *command: str) -> None:
        """Show a command and run it on the head node."""
        shown = " ".join(word.removeprefix(f"{BIN}/") for word in command)
        click.echo(click.style(f"$ {shown}", bold=True))
        # EC2 is moto with machines; past it S3 is quicker. Both have one account.
        own = self._trial.environment
        own["AWS_ENDPOINT_URL_S3"] = own.pop("AWS_ENDPOINT_URL")
        own["TERM"] = os.environ.get("TERM", "dumb")
        process = self._cluster.start_on_head(*command, **own)
        try:
            status = process.wait()
        except BaseException:  # its jobs end with the cluster
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        if status:
            sys.exit(f"{shown}: exit code {status}; logs are in {FOLDER}/logs")

    def start(self) -> None:
        """Take what Terraform wrote for the head node out of the bucket; start Slurm with it."""
        config = self._trial.site["buckets"]["config"]
        (self.etc / "slurm").mkdir(parents=True)
        source = f"s3://{config}/clusters/trial"
        self._trial.lsstpipe("cluster", "conf", "--from", source, "--etc", str(self.etc))
        pools = read_cluster(self.etc / "lsstpipe" / "pools.json")
        self._cluster.start_as(pools.model_dump(mode="json"))

    def produce(self) -> None:
        """Simulate a survey, process it on nodes that come and go, publish it."""
        self.run(LSSTPIPE, "profile", "install", "aws")
        self.run(LSSTPIPE, "simulate", "ci_small", "--to", str(SURVEY), "--jobs", "2")
        self.run(LSSTPIPE, "init", str(REPO), "--site", str(self.etc / "lsstpipe" / "site.json"))
        settings = ("--configfile", str(SURVEY / "campaign.yaml"), "--config", "visits_per_chunk=5")
        where = f"publish=releases/{RIGHT}"
        self.run(*self._cluster.snakemake(*settings, where, cwd=REPOSITORY))

    def prove(self) -> list[str]:
        """Print what there is now; give what is not as it must be."""
        checks = (self._made, self._registry, self._bucket, self._refusals, self._nodes)
        return [fault for check in checks for fault in check()]

    def _made(self) -> Iterator[str]:
        made, left_out = self._trial.cloud.made, self.applied.left_out
        click.echo(f"{made.total()} resources were made as planned:")
        for kind, count in sorted(made.items()):
            click.echo(f"  {count:3} {kind}")
        others = ", ".join(f"{count} {kind}" for kind, count in sorted(left_out.items()))
        click.echo(f"{sum(left_out.values())} were not, since nothing here uses them: {others}")
        if not made["aws_s3_bucket"] == made["aws_s3_bucket_policy"] == 4:
            yield "there are not four buckets, each with a policy"

    def _registry(self) -> Iterator[str]:
        rows = self._trial.registry.server.execute(
            "SELECT t.name, count(*) FROM dataset d JOIN dataset_type t ON t.id = d.type_id "
            "GROUP BY 1",
            DATABASE,
        )
        there = {str(name): int(str(count)) for name, count in rows}
        click.echo(
            f"In the registry on PostgreSQL: {sum(there.values())} datasets of {len(there)} types; "
            f"{self._trial.registry.login.n_allowed} sign-ins by IAM"
        )
        if there != EXPECTED["datasets"]:
            yield f"the registry has {there}, not {EXPECTED['datasets']}"

    def _bucket(self) -> Iterator[str]:
        published, local = self._trial.published(RIGHT), digests(REPO)
        n_same = sum(published.get(path) == value for path, value in local.items())
        bucket = self._trial.site["buckets"]["products"]
        click.echo(
            f"In s3://{bucket}/releases/{RIGHT}: {len(published)} products, of which {n_same} of "
            f"{len(local)} are bit for bit what was made"
        )
        if published != local:
            yield "what is in the bucket is not what was made"

    def _refusals(self) -> Iterator[str]:
        token, other = self._trial.token(), self._trial.token(region="us-west-2")
        for what, settings in (
            ("without TLS", {"password": token, "sslmode": "disable"}),
            ("with a token of another region", {"password": other}),
        ):
            try:
                self._trial.registry.connect(**settings)
            except psycopg2.OperationalError as error:
                said = str(error).strip().rpartition("FATAL:  ")[2]
                click.echo(f"A connection {what} is refused: {said}")
            else:
                yield f"a connection {what} was taken"

    def _nodes(self) -> Iterator[str]:
        ec2 = self._cluster.ec2
        ids = ec2.of_pool("spot")
        click.echo(f"{len(ids)} instances were launched from the template of the plan")
        if not ids:
            yield "no instance was launched"
        # The image is named by the template alone: no launch has asked for it.
        found = self._trial.cloud.client("ec2").describe_instances(InstanceIds=ids)
        images = {row["ImageId"] for group in found["Reservations"] for row in group["Instances"]}
        if images != {NODE_IMAGE}:
            yield f"instances have the images {images}, not {NODE_IMAGE}"


@contextmanager
def told(what: str) -> Iterator[None]:
    """Say what begins, and how long it took."""
    click.echo(click.style(f"\n== {what}", fg="cyan", bold=True))
    begun = time.monotonic()
    yield
    click.echo(click.style(f"   {time.monotonic() - begun:.0f} s", fg="cyan"))


def apply(endpoint: str, port: int) -> Applied:
    """Give what an apply says: one that is made here, else the record of one."""
    try:
        folder = FOLDER.absolute() / "clone"
        folder.mkdir(parents=True)
        return bring_up(folder, endpoint, port)
    except pytest.skip.Exception as absent:
        click.echo(f"From the record of an apply, since here {absent}.")
        return read_record(port)


def play(server: ThreadedMotoServer) -> list[str]:
    """Do everything; give what is not as it must be."""
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    cluster = ElasticCluster(idle_s=30, silence_s=120)
    cluster.ec2.serve()
    trial = Trial(FOLDER.absolute(), endpoint)
    try:
        demo = Demo(trial, cluster)
        with told("lsstpipe site up: planned and applied at a stand-in for AWS"):
            demo.applied = apply(endpoint, trial.registry.port)
        with told("The same in truth: moto's server by boto3, PostgreSQL in place of RDS, Slurm"):
            trial.make(demo.applied)
            demo.start()
            click.echo(trial.site_file.read_text())
        with told("The production, told of the site by site.json alone"):
            demo.produce()
        with told("What there is now"):
            wrong = demo.prove()
        with told("The end of the nodes, and what they would have cost"):
            cluster.wait_for_rest(120)
            demo.run(LSSTPIPE, "cluster", "cost", "--repo", str(REPO))
        return wrong
    finally:
        if cluster.state.exists():
            keep_logs(cluster, FOLDER / "logs")
        cluster.stop()
        trial.stop()


def main() -> int:
    """Start everything, process, look, stop everything."""
    missing = [*missing_programs()]
    missing += [name for name in ("openssl",) if shutil.which(name) is None]
    if find_program("postgres") is None:
        missing.append("postgresql")
    if missing:
        sys.exit(f"The demo of a site needs {', '.join(missing)}; see envs/debian.txt.")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    begun = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        with judging(PRINCIPALS) as denied:
            wrong = play(server)
    finally:
        server.stop()
    # Who works with the site asks for nothing that a bucket refuses.
    for fault in [*wrong, *denied]:
        click.echo(f"WRONG: {fault}")
    click.echo(f"{time.monotonic() - begun:.0f} s in all; everything has ended; see {FOLDER}.")
    return 1 if wrong or denied else 0


if __name__ == "__main__":
    sys.exit(main())
