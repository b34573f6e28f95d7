"""A site on this host: what is planned is made at moto's server, RDS is a local PostgreSQL."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsstpipe.site.site_file import write_site
from tests.cluster.production import THREADS
from tests.site.applied import Applied
from tests.site.cloud import Cloud
from tests.site.conftest import CODE
from tests.site.iam_login import Account
from tests.site.registry_server import RegistryServer

BIN = Path(sys.executable).parent
ACCOUNT = Account("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "us-east-1")

NODE_IMAGE = "ami-00000000000000002"
VISITOR = "AKIAI44QH8DHBEXAMPLE"
PRINCIPALS = {
    ACCOUNT.key: "arn:aws:iam::123456789012:role/lsstpipe/trial-head",
    VISITOR: "arn:aws:iam::123456789012:role/astronomer",
}
"""Who has which key."""


def digests(repo: Path, run: str = "main") -> dict[str, bytes]:
    """Give the digests of the products of a repository, by path."""
    return {
        str(path.relative_to(repo)): hashlib.sha256(path.read_bytes()).digest()
        for path in (repo / run).rglob("*")
        if path.is_file()
    }


class Trial:
    """A site on this host, from what an apply says to a registry and buckets that can be used.

    Parameters
    ----------
    folder
        Where everything is; an empty one.
    endpoint
        Of moto's server.
    """

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.folder = folder
        self.site_file = folder / "config" / "site.json"
        self.site: dict[str, Any] = {}
        self.user_told: list[str] = []
        self.registry = RegistryServer(ACCOUNT)
        self.cloud = Cloud(
            {
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_ACCESS_KEY_ID": ACCOUNT.key,
                "AWS_SECRET_ACCESS_KEY": ACCOUNT.secret,
                "AWS_DEFAULT_REGION": ACCOUNT.region,
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            }
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a person has who works with the site, beyond a path."""
        return {**self.cloud.environment, **self.registry.environment, **THREADS}

    def make(self, applied: Applied) -> None:
        """Make in truth what was applied, start the registry, let the pipeline's user sign in."""
        self.site = applied.site
        write_site(self.site, self.site_file)
        self.cloud.make(applied.resources)
        self.registry.start()
        secret = self.registry.keep_secret(self.cloud.client("secretsmanager"))
        command = ("cluster", "registry-user", "--secret", secret, "--site", str(self.site_file))
        self.user_told = [self.lsstpipe(*command) for _ in range(2)]  # it can be called again

    def lsstpipe(self, *words: str, **environment: str) -> str:
        """Run a command of lsstpipe in the folder; give what it printed."""
        return self.run(str(BIN / "lsstpipe"), *words, **environment)

    def run(self, *command: str, **environment: str) -> str:
        """Run a program in the folder; give what it printed."""
        done = self.attempt(*command, environment=environment)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def attempt(
        self, *command: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the folder, which may fail."""
        own = os.environ | self.environment | {"PATH": f"{BIN}:{os.environ['PATH']}"}
        own["PYTHONPATH"] = str(CODE.parent)
        return subprocess.run(
            command, cwd=self.folder, env=own | dict(environment or {}),
            check=False, capture_output=True, text=True,
        )  # fmt: skip

    def token(self, **changes: str) -> str:
        """Sign a token for the registry as a machine of the site does, or otherwise."""
        import boto3

        own = {"key": ACCOUNT.key, "secret": ACCOUNT.secret, "region": ACCOUNT.region}
        own = own | {"host": self.registry.host} | changes
        client = boto3.client(
            "rds", region_name=own["region"],
            aws_access_key_id=own["key"], aws_secret_access_key=own["secret"],
        )  # fmt: skip
        token = client.generate_db_auth_token(own["host"], self.registry.port, "lsstpipe")
        client.close()
        return str(token)

    def published(self, right: str) -> dict[str, bytes]:
        """Give the digests of what is published under a right, by path; without its index."""
        s3, bucket = self.cloud.client("s3"), self.site["buckets"]["products"]
        prefix = f"releases/{right}/"
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        found = {}
        for row in (row for page in pages for row in page.get("Contents", [])):
            content = s3.get_object(Bucket=bucket, Key=row["Key"])["Body"].read()
            found[row["Key"].removeprefix(prefix)] = hashlib.sha256(content).digest()
        del found["index.json"]
        return found

    def stop(self) -> None:
        """Stop the registry."""
        self.cloud.close()
        self.registry.remove()
