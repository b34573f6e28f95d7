"""moto's server behind the fault proxy, as one thing that starts and stops."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.fault_proxy import FaultProxy, Plan

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"


class S3Server:
    """A server of S3 with faults."""

    def __init__(self, backend: str, proxy: FaultProxy) -> None:
        # Here, so that tests beside these, which share the fixtures, need not wait for it.
        import boto3
        from botocore.config import Config

        self.plan: Plan = proxy.plan
        self.environment = {
            "AWS_ENDPOINT_URL": proxy.url,
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }
        # Past the proxy, so that a test sees what is there whatever goes wrong.
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=backend,
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def make_bucket(self, name: str) -> str:
        self.client.create_bucket(Bucket=name)
        return f"s3://{name}"

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Read everything that is visible in a bucket."""
        name = bucket.removeprefix("s3://")
        listing = self.client.list_objects_v2(Bucket=name).get("Contents", [])
        return {
            entry["Key"]: self.client.get_object(Bucket=name, Key=entry["Key"])["Body"].read()
            for entry in listing
        }

    def unfinished_uploads(self, bucket: str) -> int:
        """Count multipart uploads that were neither completed nor given up."""
        found = self.client.list_multipart_uploads(Bucket=bucket.removeprefix("s3://"))
        return len(found.get("Uploads", []))


@contextmanager
def serve_s3() -> Iterator[S3Server]:
    """Start a server on a port of its own, and stop it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        with FaultProxy((host, port)) as proxy:
            server = S3Server(f"http://{host}:{port}", proxy)
            yield server
            server.client.close()
    finally:
        moto.stop()
