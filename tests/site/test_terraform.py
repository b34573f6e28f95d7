"""Terraform is run, its plans are read, its errors become sentences; with a root of no cloud."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lsstpipe.errors import UserError
from lsstpipe.site.terraform import Change, Root

pytestmark = pytest.mark.needs_program("terraform")

CODE = """
variable "size" {
  type = number
  validation {
    condition     = var.size > 0
    error_message = "The size is above 0."
  }
}
variable "command" {
  type    = string
  default = "true"
}
resource "terraform_data" "thing" {
  input = var.size
  provisioner "local-exec" {
    command = var.command
  }
}
output "size" {
  value = terraform_data.thing.output
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "thing"
    folder.mkdir()
    (folder / "main.tf").write_text(CODE)
    return folder


def open_root(folder: Path, **variables: object) -> Root:
    root = Root(folder, variables=variables)
    root.init()
    return root


def test_a_plan_is_read_and_done(folder: Path, tmp_path: Path) -> None:
    root = open_root(folder, size=3)
    assert root.outputs() == {}
    file = tmp_path / "plan"
    assert root.plan(file) == [Change("create", "terraform_data.thing")]
    apply_aside(folder, file, size=3)
    assert root.outputs() == {"size": 3}
    assert root.plan(file) == []
    assert open_root(folder, size=4).plan(file) == [Change("update", "terraform_data.thing")]
    assert root.plan(file, destroy=True) == [Change("delete", "terraform_data.thing")]


def apply_aside(folder: Path, file: Path, **variables: object) -> str:
    """Apply in a process of its own, whose streams are files as those of a terminal are."""
    code = (
        "from pathlib import Path; from lsstpipe.site.terraform import Root; "
        f"Root(Path({str(folder)!r}), variables={variables!r}).apply(Path({str(file)!r}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=os.environ, check=False, capture_output=True, text=True
    )
    assert result.stdout == "", "it is for what a command answers"
    return result.stderr


def test_progress_goes_to_the_standard_error(folder: Path, tmp_path: Path) -> None:
    open_root(folder, size=3).plan(tmp_path / "plan")
    assert "terraform_data.thing: Creation complete" in apply_aside(
        folder, tmp_path / "plan", size=3
    )


@pytest.mark.filterwarnings("ignore:The 'warn' method")  # python-terraform calls it
@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"size": 0},
            "Terraform cannot plan thing: Invalid value for variable: The size is above 0.",
        ),
        ({}, "Terraform cannot plan thing: No value for required variable: "),
    ],
)
def test_what_terraform_refuses_is_one_sentence(
    folder: Path, tmp_path: Path, variables: dict[str, object], sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        open_root(folder, **variables).plan(tmp_path / "plan")
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:The 'warn' method")
def test_code_that_is_wrong_is_refused_with_its_first_error(folder: Path) -> None:
    (folder / "main.tf").write_text('output "x" {\n  value = var.absent\n}\noutput "x" {}\n')
    with pytest.raises(UserError, match="Terraform cannot init thing: Duplicate output definition"):
        open_root(folder)


def test_what_cannot_be_made_is_said_by_terraform_and_then_by_us(
    folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "plan"
    open_root(folder, size=3, command="exit 7").plan(file)
    told = apply_aside(folder, file, size=3)
    assert "exit status 7" in told
    assert "Terraform cannot apply thing: what it says is above." in told
