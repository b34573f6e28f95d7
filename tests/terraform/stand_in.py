"""Plans and applies the roots with a stand-in for the AWS provider: the real schema, no cloud."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.module_tables import TERRAFORM

MIRROR = TERRAFORM.parents[1] / "shared" / "terraform-mirror"
BACKEND = 'terraform {\n  backend "local" {}\n}\n'
# What AWS would answer, and the stand-in does not.
DATABASE = 'output "resource_id" {\n  value = "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"\n}\n'
# And it lists no route tables: where a network leads is for the tests of the root.
ROUTES_OVERRIDE = "routes_override.tf"
NO_ROUTES = """data "aws_route_tables" "to_s3" {
  count = 0
}
data "aws_network_interfaces" "endpoints" {
  count = 0
}
"""

# Run with the real provider by mistake, the first call would fail: nothing is changed anywhere.
NO_CLOUD = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@dataclass(frozen=True)
class Resource:
    """A resource of a state: its address, type and values."""

    address: str
    type: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Roots:
    """A copy of the Terraform code whose state is a file.

    Attributes
    ----------
    folder
        Where it is.
    config
        Terraform's own configuration, which names the mirror.
    """

    folder: Path
    config: Path

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Terraform, or a script beside it."""
        environment = os.environ | NO_CLOUD | {"TF_CLI_CONFIG_FILE": str(self.config)}
        result = subprocess.run(words, env=environment, check=False, capture_output=True, text=True)
        assert result.returncode == 0 or not check, result.stdout + result.stderr
        return result

    def terraform(self, root: str, *words: str, check: bool = True) -> str:
        """Run a command of Terraform in a root; give what it says, without boxes and line ends."""
        command = ["terraform", f"-chdir={self.folder / root}", *words]
        result = self.run(*command, check=check)
        if check:
            return result.stdout
        return re.sub(r"[\s│╷╵]+", " ", result.stdout + result.stderr)

    def settings(self, root: str, example: str) -> list[str]:
        """The arguments that choose an example."""
        words = [f"-var-file={self.folder}/examples/{example}/{root}.tfvars", "-input=false"]
        return [*words, "-no-color"]

    def apply(self, example: str) -> None:
        """Apply data and cluster of an example."""
        self.terraform("data", "apply", "-auto-approve", *self.settings("data", example))
        data = json.loads(self.terraform("data", "output", "-json", "data"))
        (self.folder / "cluster" / "data.auto.tfvars.json").write_text(json.dumps({"data": data}))
        self.terraform("cluster", "apply", "-auto-approve", *self.settings("cluster", example))

    def resources(self, root: str) -> list[Resource]:
        """What the state of a root has, modules included."""
        state = json.loads(self.terraform(root, "show", "-json"))
        return list(walk(state["values"]["root_module"]))

    def changes(self, root: str, *words: str) -> list[dict[str, Any]]:
        """What a plan would change."""
        plan = self.folder / f"{root}.plan"
        self.terraform(root, "plan", f"-out={plan}", *words)
        shown = json.loads(self.terraform(root, "show", "-json", str(plan)))
        changes = shown.get("resource_changes", [])
        return [row for row in changes if row["change"]["actions"] not in (["no-op"], ["read"])]


def walk(module: dict[str, Any]) -> list[Resource]:
    """Give the resources of a module of a state, and of those that it calls."""
    own = [
        Resource(row["address"], row["type"], row["values"])
        for row in module.get("resources", [])
        if row["mode"] == "managed"
    ]
    return own + [item for child in module.get("child_modules", []) for item in walk(child)]


def find_provider(folder: Path) -> Path:
    """Find Terraform's configuration that names a provider; leave the test out if there is none."""
    if shutil.which("terraform") is None:
        pytest.skip("the program terraform is not installed")
    config = Path(os.environ.get("TF_CLI_CONFIG_FILE") or "absent")
    if not config.is_file():
        if not MIRROR.is_dir():
            pytest.skip("TF_CLI_CONFIG_FILE names no mirror of Terraform's AWS provider")
        config = folder / "cli.tfrc"
        config.write_text(
            "disable_checkpoint = true\nprovider_installation {\n"
            f'  filesystem_mirror {{ path = "{MIRROR}" }}\n}}\n'
        )
    return config


def copy_roots(folder: Path) -> Roots:
    """Copy the Terraform code and initialise its roots."""
    config = find_provider(folder)
    ignored = shutil.ignore_patterns(".terraform*", "*.tfstate*")
    shutil.copytree(TERRAFORM, folder / "terraform", ignore=ignored)
    roots = Roots(folder / "terraform", config)
    (roots.folder / "modules" / "registry_db" / "answer_override.tf").write_text(DATABASE)
    (roots.folder / "data" / ROUTES_OVERRIDE).write_text(NO_ROUTES)
    for root in ("data", "cluster"):
        (roots.folder / root / "backend_override.tf").write_text(BACKEND)
        roots.terraform(root, "init", "-input=false")
    return roots
