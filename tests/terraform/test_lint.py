"""Static checks of the Terraform code and of the policies that it renders find nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import IN_CI
from tests.terraform.left_out import leave_out
from tests.terraform.module_tables import TERRAFORM
from tests.terraform.stand_in import Resource

SAID = {
    "pip, no registry": (
        "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'",
        False,
    ),
    "pip, no such package": ("ERROR: Could not find a version (from versions: none)", False),
    "pip, no such version": ("ERROR: Could not find a version (from versions: 1.0, 2.0)", True),
    "pip, a build that fails": ("ERROR: Failed building wheel for rustworkx", True),
    "npm, no registry": ("npm error code ENOTFOUND", False),
    "npm, no such package": ("npm error code E404", False),
    "npm, another content": ("npm error code EINTEGRITY", True),
}

pytestmark = pytest.mark.xdist_group("terraform")

NOT_HAD = 77
MOST_SKIPS = 12

# What parliament says of policies that are right, and why they stay.
EXPECTED = {
    # A launch is allowed on new machines by their tags and on the rest by name: in statements of
    # which none has all kinds of resources that the action needs.
    ("RESOURCE_MISMATCH", "module.head_role.aws_iam_role_policy.this"),
    # All actions of S3 are refused without TLS 1.2; two of them do not know its version. And that
    # version is no whole number, the only ones that parliament takes.
    *(
        (issue, f'module.buckets.aws_s3_bucket_policy.this["{kind}"]')
        for issue in ("UNKNOWN_CONDITION_FOR_ACTION", "MISMATCHED_TYPE")
        for kind in ("config", "logs", "products", "raw")
    ),
}
# Not the policy of the key: a key's own policy names no resource but all, which is the key.
POLICIES = (
    "aws_iam_role_policy",
    "aws_s3_bucket_policy",
    "aws_sns_topic_policy",
    "aws_sqs_queue_policy",
)


def lint(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run terraform/lint; leave the test out where a tool cannot be had.

    In CI these are tflint and shellcheck alone, unless no registry answers.
    """
    environment = os.environ | {"TFLINT": "installed"}
    result = subprocess.run(
        [TERRAFORM / "lint", *words], env=environment, check=False, capture_output=True, text=True
    )
    if result.returncode == NOT_HAD:
        # The registry of Python packages brings these; the others are programs of the host.
        leave_out(str(words[0]), result.stderr, IN_CI and words[0] in ("checkov", "parliament"))
    return result


@pytest.mark.parametrize("name", SAID)
def test_in_ci_a_tool_that_is_offered_and_does_not_come_is_a_failure(name: str) -> None:
    said, is_ours = SAID[name]
    outcome = pytest.fail.Exception if is_ours else pytest.skip.Exception
    with pytest.raises(outcome, match="a tool cannot be had here"):
        leave_out("a tool", said, in_ci=True)
    with pytest.raises(pytest.skip.Exception):
        leave_out("a tool", said, in_ci=False)


@pytest.mark.parametrize("tool", ["shellcheck", "tflint", "checkov"])
def test_a_tool_finds_nothing(tool: str) -> None:
    result = lint(tool)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Parsing errors" not in result.stdout


def test_what_checkov_may_not_say_is_little_and_has_reasons() -> None:
    skips = [
        skip
        for path in TERRAFORM.rglob("*.tf")
        for skip in re.findall(r"checkov:skip=.*", path.read_text())
    ]
    assert 0 < len(skips) <= MOST_SKIPS
    assert not [
        skip for skip in skips if not re.fullmatch(r"checkov:skip=CKV2?_AWS_\d+:.{20,}", skip)
    ]


def test_parliament_finds_nothing_in_rendered_policies(
    resources: list[Resource], tmp_path: Path
) -> None:
    names = {}
    for number, item in enumerate(item for item in resources if item.type in POLICIES):
        names[f"{number}.json"] = item.address
        # Parliament knows numbers as text only; AWS takes both.
        policy = json.loads(item.values["policy"], parse_float=str)
        (tmp_path / f"{number}.json").write_text(json.dumps(policy))
    assert len(names) > 8
    result = lint("parliament", tmp_path)
    assert not result.stderr, result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    said = {
        (row["issue"], names[Path(row["location"]["filepath"]).name]): row["detail"]
        for row in found
    }
    assert {key: said[key] for key in said if key not in EXPECTED} == {}


def test_parliament_finds_what_is_wrong(tmp_path: Path) -> None:
    wide = {"Effect": "Allow", "Action": "s3:GetObjet", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [wide]}
    (tmp_path / "wrong.json").write_text(json.dumps(policy))
    assert "UNKNOWN_ACTION" in lint("parliament", tmp_path).stdout
