"""Destroying a cluster ends its nodes, and no others."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.terraform.module_tables import TERRAFORM

AWS = """#!/bin/sh
# In place of AWS's command line: nodes are files; ended ones go when they are waited for.
cd "$(dirname "$0")/nodes" || exit 1
echo "$*" >>../calls
case "$2" in
describe-instances) ls ;;
terminate-instances)
    shift 7
    for node; do mv "$node" ../ending; done
    test ! -e ../late || mv ../late i-9 ;;
wait) ;;
esac
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Path:
    for folder in ("nodes", "ending"):
        (tmp_path / folder).mkdir()
    program = tmp_path / "aws"
    program.write_text(AWS)
    program.chmod(0o755)
    return tmp_path


def end_nodes(cloud: Path, **names: str) -> subprocess.CompletedProcess[str]:
    script = TERRAFORM / "modules" / "cleanup" / "end_nodes"
    environment = {"PATH": f"{cloud}:{os.environ['PATH']}", **names}
    # As Terraform runs it: the text, not the file.
    return subprocess.run(
        ["/bin/sh", "-c", script.read_text()],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )


def test_all_nodes_are_ended_even_one_that_shows_up_late(cloud: Path) -> None:
    for number in range(1200):
        (cloud / "nodes" / f"i-a{number}").touch()
    (cloud / "late").touch()
    result = end_nodes(cloud, CLUSTER="survey", AWS_REGION="us-east-1")
    assert result.returncode == 0, result.stderr
    assert len(list((cloud / "ending").iterdir())) == 1201
    assert "cluster survey has no nodes" in result.stdout


def test_only_nodes_of_the_cluster_are_looked_for(cloud: Path) -> None:
    end_nodes(cloud, CLUSTER="survey", AWS_REGION="eu-west-1")
    (call,) = (cloud / "calls").read_text().splitlines()
    assert "Name=tag:lsstpipe:cluster,Values=survey" in call
    assert "Name=tag:lsstpipe:role,Values=compute" in call
    assert "--region eu-west-1" in call


def test_nothing_is_ended_without_the_name_of_a_cluster(cloud: Path) -> None:
    result = end_nodes(cloud, AWS_REGION="us-east-1")
    assert result.returncode != 0
    assert "names no cluster" in result.stderr
    assert not (cloud / "calls").exists()


def test_a_cloud_that_does_not_answer_is_an_error(cloud: Path) -> None:
    (cloud / "aws").write_text("#!/bin/sh\necho no credentials >&2\nexit 255\n")
    result = end_nodes(cloud, CLUSTER="survey", AWS_REGION="us-east-1")
    assert result.returncode != 0
    assert "no nodes" not in result.stdout
