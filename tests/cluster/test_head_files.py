"""The head node takes its configuration, shares its key, heeds its budget, keeps its accounts."""

from __future__ import annotations

import datetime
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lsstpipe.cli.main import cli
from lsstpipe.cluster.budget import heed_budget
from lsstpipe.cluster.config import read_cluster
from lsstpipe.cluster.head import BUDGET_FLAG
from lsstpipe.cluster.head_files import configure, make_key, take_key
from lsstpipe.errors import ConfigError, TemporaryError
from tests.cluster.fakes import make_pool, make_settings
from tests.s3_server import S3Server


def put_configuration(s3: S3Server, source: str, *pools: dict[str, Any]) -> None:
    """Put into S3 what Terraform would."""
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    contents = {
        "pools.json": json.dumps(make_settings(*pools)),
        "site.json": "{}",
        "slurm.conf": "ClusterName=test\ninclude pools.conf\n",
        "cgroup.conf": "ConstrainCores=yes\n",
    }
    for name, content in contents.items():
        s3.client.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=content.encode())


def run(*words: str) -> list[str]:
    result = CliRunner().invoke(cli, ["cluster", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_the_configuration_comes_from_s3_and_only_changes_are_written(
    s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    source = f"{bucket}/clusters/test"
    put_configuration(s3, source, make_pool("spot", max_nodes=4))
    slurm, own = tmp_path / "slurm", tmp_path / "lsstpipe"
    first = run("conf", "--from", source, "--etc", str(tmp_path))
    assert sorted(first) == sorted(
        str(path)
        for path in (
            own / "pools.json", own / "site.json",
            slurm / "slurm.conf", slurm / "cgroup.conf", slurm / "pools.conf",
        )
    )  # fmt: skip
    assert read_cluster(own / "pools.json").pools[0].max_nodes == 4
    assert "NodeName=spot-[1-4] " in (slurm / "pools.conf").read_text()
    assert (slurm / "slurm.conf").stat().st_mode & 0o444 == 0o444, "users read it"
    assert run("conf", "--from", source, "--etc", str(tmp_path)) == []

    put_configuration(s3, source, make_pool("spot", max_nodes=9))
    changed = run("conf", "--from", source, "--etc", str(tmp_path))
    assert changed == [str(own / "pools.json"), str(slurm / "pools.conf")]
    assert "NodeName=spot-[1-9] " in (slurm / "pools.conf").read_text()


def test_the_programs_that_slurm_calls_are_there(tmp_path: Path) -> None:
    (tmp_path / "lsstpipe").mkdir()
    (tmp_path / "lsstpipe" / "pools.json").write_text(json.dumps(make_settings()))
    assert configure(tmp_path, None) == [tmp_path / "slurm" / "pools.conf"]
    lines = (tmp_path / "slurm" / "pools.conf").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines)
    for name in ("ResumeProgram", "SuspendProgram", "ResumeFailProgram"):
        assert Path(settings[name]).stat().st_mode & 0o111 == 0o111, name


def test_a_configuration_that_cannot_be_changes_nothing(
    s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    source = f"{bucket}/clusters/test"
    put_configuration(s3, source)
    configure(tmp_path, source)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    put_configuration(s3, source, make_pool(min_nodes=9, max_nodes=4))
    with pytest.raises(ConfigError, match=r"pools.json: pools.0: .*min_nodes 9 is above"):
        configure(tmp_path, source)
    with pytest.raises(ConfigError, match=r"elsewhere/pools.json is absent"):
        configure(tmp_path, f"{bucket}/elsewhere")
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_nodes_get_the_key_of_their_head_and_nobody_else_reads_it(
    bucket: str, tmp_path: Path
) -> None:
    shared = f"{bucket}/clusters/test/auth/munge.key"
    head, node = tmp_path / "head.key", tmp_path / "etc" / "munge" / "munge.key"
    with pytest.raises(TemporaryError, match="the head node has not shared it"):
        take_key(shared, node)
    run("key", shared, str(head), "--make")
    run("key", shared, str(node))
    key = node.read_bytes()
    assert key == head.read_bytes()
    assert len(set(key)) > 64, "it is random"
    assert [path.stat().st_mode & 0o777 for path in (head, node)] == [0o600, 0o600]
    make_key(head, shared)
    assert head.read_bytes() == key, "a head node that starts again keeps its key"
    make_key(tmp_path / "other.key", f"{bucket}/other")
    assert (tmp_path / "other.key").read_bytes() != key


def test_a_folder_where_a_file_should_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "pools.json").mkdir()
    with pytest.raises(ConfigError, match=r"is no key that can be read: Is a directory\.$"):
        take_key(str(tmp_path), tmp_path / "key")
    with pytest.raises(ConfigError, match=r"pools\.json cannot be read: Is a directory\.$"):
        configure(tmp_path / "etc", str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pools.json"]


def test_a_spent_budget_puts_the_flag_and_is_told_once(s3: S3Server, tmp_path: Path) -> None:
    import boto3

    client = boto3.client("sqs", region_name="us-east-1")
    queue = client.create_queue(QueueName="budget-spent")["QueueUrl"]
    state = ["--state", str(tmp_path), "--region", "us-east-1"]
    assert not heed_budget(queue, "us-east-1", tmp_path, wait_s=0)
    assert not (tmp_path / BUDGET_FLAG).exists()
    client.send_message(QueueUrl=queue, MessageBody="survey-month has exceeded 200 USD")
    run("budget", queue, *state)
    assert "exceeded 200 USD" in (tmp_path / BUDGET_FLAG).read_text()
    (tmp_path / BUDGET_FLAG).unlink()
    assert not heed_budget(queue, "us-east-1", tmp_path, wait_s=0), "the message has gone"
    assert not (tmp_path / BUDGET_FLAG).exists(), "what a person allowed again stays allowed"
    client.delete_queue(QueueUrl=queue)
    with pytest.raises(TemporaryError, match="queue of the budget cannot be read"):
        heed_budget(queue, "us-east-1", tmp_path, wait_s=0)
    client.close()


def test_the_flag_is_there_before_the_message_goes(s3: S3Server, tmp_path: Path) -> None:
    import boto3

    client = boto3.client("sqs", region_name="us-east-1")
    queue = client.create_queue(
        QueueName="budget-again", Attributes={"VisibilityTimeout": "0"}
    )["QueueUrl"]  # fmt: skip
    client.send_message(QueueUrl=queue, MessageBody="spent")
    (tmp_path / BUDGET_FLAG).mkdir()  # it cannot be written
    with pytest.raises(Exception, match="cannot be written"):
        heed_budget(queue, "us-east-1", tmp_path, wait_s=0)
    (tmp_path / BUDGET_FLAG).rmdir()
    assert heed_budget(queue, "us-east-1", tmp_path, wait_s=0), "the message is still there"
    client.close()


@pytest.mark.parametrize("fails", [False, True])
def test_a_dump_of_the_accounts_is_whole_or_not_there(
    fails: bool, s3: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is dumped for real is in tests/node_image, where a MariaDB with accounts runs."""
    program = tmp_path / "mariadb-dump"
    end = "echo 'no such database' >&2; exit 2" if fails else ""
    program.write_text(f'#!/bin/sh\necho "$*"\n{end}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    result = CliRunner().invoke(cli, ["cluster", "dump-accounts", f"{bucket}/accounts/"])
    day = datetime.datetime.now(datetime.UTC).date()
    if fails:
        assert isinstance(result.exception, TemporaryError)
        assert "no such database" in str(result.exception)
        assert s3.objects(bucket) == {}
    else:
        (packed,) = s3.objects(bucket).items()
        assert packed[0] == f"accounts/{day}.sql.gz"
        assert b"--single-transaction" in gzip.decompress(packed[1])
