"""Each folder of Terraform is formatted and valid, and its own tests pass."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.terraform.module_tables import TERRAFORM

FOLDERS = sorted(str(path.parent.relative_to(TERRAFORM)) for path in TERRAFORM.rglob("versions.tf"))


def require_terraform(folder: str) -> None:
    """Leave a test out, by name, where there is no Terraform, or no provider for it."""
    if shutil.which("terraform") is None:
        pytest.skip("the program terraform is not installed")
    if "required_providers" not in (TERRAFORM / folder / "versions.tf").read_text():
        return
    has_config = Path(os.environ.get("TF_CLI_CONFIG_FILE") or "absent").is_file()
    if not has_config and not (TERRAFORM.parents[1] / "shared" / "terraform-mirror").is_dir():
        pytest.skip("TF_CLI_CONFIG_FILE names no mirror of Terraform's AWS provider")


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_is_valid_and_its_tests_pass(folder: str) -> None:
    require_terraform(folder)
    result = subprocess.run(
        [TERRAFORM / "check", folder], check=False, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Success!" in result.stdout


def test_a_folder_that_is_not_valid_is_found(tmp_path: Path) -> None:
    require_terraform("modules/slurm_config")
    shutil.copy(TERRAFORM / "check", tmp_path)
    module = tmp_path / "wrong"
    module.mkdir()
    (module / "versions.tf").write_text('output "x" {\n  value = var.absent\n}\n')
    result = subprocess.run(
        [tmp_path / "check", "wrong"], check=False, capture_output=True, text=True
    )
    assert result.returncode != 0
    assert "absent" in result.stderr
