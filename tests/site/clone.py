"""A clone of the project's Terraform code: its provider is a stand-in, its state is at moto's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from tests.site.conftest import ACCOUNT, CODE
from tests.terraform.stand_in import Resource, walk

KEYS = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
# AWS counts the versions of a launch template, the stand-in does not.
VERSION = """\
output "launch_template" {
  value = { id = aws_launch_template.this.id, version = "1" }
}
"""


@dataclass
class Clone:
    """A clone of the project's Terraform code, settings, and a cloud of its own."""

    folder: Path
    environment: dict[str, str]
    told: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)

    def site(self, name: str, *words: str, answer: str = "") -> None:
        """Run a command of `lsstpipe site`; what it says is kept under a name."""
        command, *options = words
        self.told[name] = subprocess.run(
            ["lsstpipe", "site", command, "site", *options],
            cwd=self.folder,
            env=self.environment,
            input=answer,
            check=False,
            capture_output=True,
            text=True,
        )

    def answer(self, name: str) -> Any:
        """What a command has printed as JSON."""
        result = self.told[name]
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def terraform(self, root: str, *words: str) -> bytes:
        """Run Terraform in a root; give what it printed."""
        command = ["terraform", f"-chdir={self.folder}/terraform/{root}", *words]
        done = subprocess.run(command, env=self.environment, check=True, capture_output=True)
        return done.stdout

    def resources(self, root: str) -> list[Resource]:
        """What the state of a root has, modules included."""
        return list(
            walk(json.loads(self.terraform(root, "show", "-json"))["values"]["root_module"])
        )

    def set(self, line: str) -> None:
        """Add a setting of the data."""
        with (self.folder / "site" / "data.tfvars").open("a") as settings:
            settings.write(f"{line}\n")


def make_clone(folder: Path, config: Path, endpoint: str, database: str) -> Clone:
    """Clone the code into a folder.

    Parameters
    ----------
    folder
        An empty one; the settings of the site come into ``site`` below it.
    config
        Terraform's own configuration, which names the stand-in.
    endpoint
        Of moto's server.
    database
        What AWS would answer about the database, as outputs of its module.
    """
    ignored = shutil.ignore_patterns(
        ".terraform*", "*.tfstate*", "*.auto.tfvars.json", "backend.hcl"
    )
    shutil.copytree(CODE, folder / "terraform", ignore=ignored)
    modules = folder / "terraform" / "modules"
    (modules / "registry_db" / "answer_override.tf").write_text(database)
    (modules / "compute_pool" / "answer_override.tf").write_text(VERSION)
    (folder / "config").mkdir()
    # In place of AWS's command line, which ends nodes when a cluster goes: there are none.
    (folder / "bin").mkdir()
    (folder / "bin" / "aws").write_text("#!/bin/sh\n")
    (folder / "bin" / "aws").chmod(0o755)
    environment = os.environ | {
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
        "TF_CLI_CONFIG_FILE": str(config),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **KEYS)
    # The stand-in makes no bucket; the state needs one.
    s3.create_bucket(Bucket=f"trial-{ACCOUNT}-state")
    s3.close()
    return Clone(folder, environment)
