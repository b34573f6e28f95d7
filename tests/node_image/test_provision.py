"""A plain Debian becomes head node and node by one script, and both start as they do on EC2.

With LSSTPIPE_IMAGE=full the environment is installed anew and kernels are compiled, which takes
some minutes more; else the environment is a copy of the developer's.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lsstpipe.cluster.heartbeat import SHARE_EVERY_S
from tests.conftest import IN_CI
from tests.node_image.debian_root import (
    REPOSITORY,
    copy_environment,
    copy_source,
    make_root,
    missing_programs,
    run_in,
)

pytestmark = pytest.mark.xdist_group("image")

IS_FULL = os.environ.get("LSSTPIPE_IMAGE") == "full"
CAMPAIGN = "config/campaigns/demo.yaml" if IS_FULL else "none"
SCRIPT = "/usr/src/lsstpipe/envs/image/provision"
UNITS = sorted(
    path.name
    for path in (REPOSITORY / "envs" / "image" / "root" / "etc" / "systemd" / "system").iterdir()
    if path.is_file()
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A root folder, set up by the script with one file that Debian does not have."""
    if missing := missing_programs():
        reason = f"a root folder needs {missing[0]}; envs/debian.txt names packages"
        if IN_CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("image")
    made = make_root(folder)
    copy_source(made / "usr" / "src" / "lsstpipe")
    if not IS_FULL:
        copy_environment(made)
    (made / "srv" / "extra").mkdir()
    (made / "srv" / "extra" / "rds-bundle.pem").write_text("whom to trust\n")
    (folder / "provisioned.txt").write_text(provision(made))
    yield made
    # All that was mounted is gone with its namespaces; nothing of the host is removed.
    assert not [line for line in Path("/proc/mounts").read_text().splitlines() if str(made) in line]
    subprocess.run(["rm", "-rf", "--one-file-system", str(made)], check=True)


def provision(root: Path, *options: str) -> str:
    options = options or ("--campaign", CAMPAIGN, "--extra", "/srv/extra")
    done = run_in(root, SCRIPT, *options, timeout_s=7200 if IS_FULL else 1800)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tell(root: Path, *command: str) -> str:
    done = run_in(root, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_everything_that_starts_is_there(root: Path) -> None:
    verify = run_in(root, "systemd-analyze", "verify", "--man=no", *UNITS)
    own = [line for line in verify.stderr.splitlines() if "lsstpipe" in line]
    assert verify.returncode == 0, verify.stderr
    assert own == []


def test_nothing_starts_by_itself_but_the_rules_of_the_metadata_service(root: Path) -> None:
    units = ("slurmctld", "slurmd", "slurmdbd", "mariadb", "munge", "nftables")
    states = run_in(root, "systemctl", "is-enabled", *units).stdout.split()
    assert states == ["disabled"] * 5 + ["enabled"]


def test_no_secret_is_in_the_image(root: Path) -> None:
    assert not (root / "etc" / "munge" / "munge.key").exists()
    assert not (root / "usr" / "sbin" / "policy-rc.d").exists()


def test_what_lies_on_disks_that_outlive_machines_has_the_same_owner_in_every_image(
    root: Path,
) -> None:
    users = dict(
        line.split(":")[:3:2] for line in (root / "etc" / "passwd").read_text().splitlines()
    )
    assert [users[name] for name in ("munge", "mysql", "lsstpipe", "slurm")] == [
        "801", "802", "2000", "64030",
    ]  # fmt: skip


def test_users_cannot_change_what_root_runs(root: Path) -> None:
    writable = [
        "find",
        "/opt/lsstpipe",
        "/usr/local",
        "/etc/lsstpipe",
        "/etc/systemd",
        "!",
        "-type",
        "l",
    ]
    found = tell(root, *writable, "(", "-perm", "/022", "-o", "!", "-user", "root", ")", "-print")
    assert found == ""


def test_logs_of_slurm_are_compressed_only_when_they_were_sent(root: Path) -> None:
    folder = root / "etc" / "logrotate.d"
    (own,) = [path for path in folder.iterdir() if "/var/log/slurm" in path.read_text()]
    assert "delaycompress" in own.read_text()
    done = run_in(root, "logrotate", "--debug", "/etc/logrotate.conf")
    assert "error" not in done.stderr
    assert "rotating pattern: /var/log/slurm/*.log" in done.stderr


def test_the_bill_says_what_is_there(root: Path) -> None:
    folder = root / "usr" / "share" / "lsstpipe"
    content = (folder / "bill.json").read_bytes()
    bill = json.loads(content)
    told = (folder / "bill.json.sha256").read_text()
    assert told == f"{hashlib.sha256(content).hexdigest()}  bill.json\n"
    lock = (REPOSITORY / "envs" / "requirements.lock").read_bytes()
    assert bill["python"]["lock_sha256"] == hashlib.sha256(lock).hexdigest()
    locked = dict(re.findall(r"^([a-z0-9.-]+)==([^ ]+)", lock.decode(), flags=re.MULTILINE))
    packages = {re.sub(r"[._]", "-", n).lower(): v for n, v in bill["python"]["packages"].items()}
    assert packages["numba"] == locked["numba"]
    assert packages["boto3"] == locked["boto3"]
    wanted = (REPOSITORY / "envs" / "image" / "packages.txt").read_text().splitlines()
    names = {line.split()[0] for line in wanted if not line.startswith("#")}
    assert names <= set(bill["debian"])
    version = tell(root, "slurmctld", "-V").split()[1]
    assert version in bill["debian"]["slurmctld"]
    digest = hashlib.sha256(b"whom to trust\n").hexdigest()
    assert bill["extra"] == {"rds-bundle.pem": digest}
    assert (bill["kernels"]["n_files"] > 0) is IS_FULL


def test_a_second_run_changes_nothing(root: Path) -> None:
    if IS_FULL:
        command = (
            "su - lsstpipe -c 'cd /opt/lsstpipe && lsstpipe compile config/campaigns/demo.yaml'"
        )
        assert tell(root, "sh", "-c", command).startswith("0 kernels compiled")
    bill = root / "usr" / "share" / "lsstpipe" / "bill.json"
    before = bill.read_bytes()
    provision(root)
    assert bill.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "says"),
    [(("--colour", "red"), "there is no option --colour"), (("--extra",), "--extra needs a value")],
)
def test_options_that_there_are_not_are_refused(
    root: Path, options: tuple[str, ...], says: str
) -> None:
    done = run_in(root, SCRIPT, *options)
    assert done.returncode == 1
    assert says in done.stderr


@pytest.fixture(scope="module")
def found(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was found when head node and node booted from the root folder."""
    result = tmp_path_factory.mktemp("scenario") / "found.json"
    spaces = [
        "unshare",
        "--mount",
        "--net",
        "--uts",
        "--ipc",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    command = [sys.executable, "-m", "tests.node_image.scenario", str(root), str(result)]
    done = subprocess.run(
        [*spaces, *command], check=False, capture_output=True, text=True, cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    result_found: dict[str, Any] = json.loads(result.read_text())
    return result_found


def test_the_head_node_starts_its_services_in_order(found: dict[str, Any]) -> None:
    started = found["started"]
    for first, then in (
        ("lsstpipe-prepare", "munge"),
        ("lsstpipe-prepare", "mariadb"),
        ("mariadb", "slurmdbd"),
        ("slurmdbd", "lsstpipe-accounts"),
        ("lsstpipe-accounts", "slurmctld"),
        ("slurmctld", "lsstpipe-reconcile"),
        ("lsstpipe-prepare", "lsstpipe-budget"),
    ):
        assert started.index(f"{first}.service") < started.index(f"{then}.service")


def test_a_job_brings_a_node_that_boots_and_runs_it(found: dict[str, Any]) -> None:
    assert "idle~" in found["sinfo before"]
    assert found["job"] == "COMPLETED|lsstpipe|drp"
    assert found["output"][0] == "spot-1"
    assert found["output"][1].startswith("lsstpipe, version")


def test_a_person_runs_the_workflow_by_the_profile_aws_on_that_node(found: dict[str, Any]) -> None:
    (job,) = found["jobs of the campaign"]
    assert job[1:] == [
        "COMPLETED", "lsstpipe", "drp", "spot-1", "rule_calibs_chunk_wildcards_st10_0",
    ]  # fmt: skip
    owners, paths = zip(*found["files of the campaign"], strict=True)
    assert set(owners) == {"lsstpipe"}
    assert {"manifests/calibs/st10_0.json", "demo/dark/dark_st10_0.fits"} <= set(paths)


def test_only_services_and_who_runs_campaigns_reach_the_metadata_service(
    found: dict[str, Any],
) -> None:
    answers = {
        user: found[f"metadata as {user}"] for user in ("root", "slurm", "lsstpipe", "nobody")
    }
    assert answers == {"root": "yes", "slurm": "yes", "lsstpipe": "yes", "nobody": "no"}


def test_a_pool_that_terraform_changes_is_known_without_a_new_machine(
    found: dict[str, Any],
) -> None:
    assert sum(int(n) for n in found["nodes after the change"].split()) == 7


def test_the_accounts_are_dumped_to_where_they_outlive_the_disk(found: dict[str, Any]) -> None:
    key, n_mentions = found["dump"]
    assert re.fullmatch(r"clusters/survey/accounts/\d{4}-\d\d-\d\d\.sql\.gz", key)
    assert n_mentions > 0


def test_a_new_head_node_knows_the_jobs_of_the_one_before_it(found: dict[str, Any]) -> None:
    names = [line.split("|")[1].partition("-")[0] for line in found["history"]]
    assert names == ["wrap", "demo", "long"]
    assert found["history on the second head"] == found["history"]


def test_a_job_goes_on_while_its_head_node_is_replaced(found: dict[str, Any]) -> None:
    assert found["history"][-1].split("|")[1:3] == ["long", "RUNNING"]
    assert found["job across heads"] == "COMPLETED"


def test_the_dump_brings_the_jobs_back_where_the_disk_was_lost(found: dict[str, Any]) -> None:
    assert found["history on an empty disk"] == []
    # The long job came after the dump.
    assert found["history from the dump"] == found["history"][:-1]


def test_the_logs_of_both_machines_outlive_them(found: dict[str, Any]) -> None:
    events = {(stream, json.loads(text)["event"]) for stream, text in found["events in CloudWatch"]}
    assert {("head/events", "launched"), ("head/events", "reconciled")} <= events
    (node,) = {stream for stream, event in events if event == "node-ready"}
    assert re.fullmatch(r"compute/spot-1/i-[0-9a-f]+/events", node)
    streams = {stream for stream, _ in found["slurm in CloudWatch"]}
    slurmd = node.replace("/events", "/slurmd")
    assert streams == {"head/slurmctld", "head/slurmdbd", slurmd}


def test_nodes_can_hear_the_reaper(found: dict[str, Any]) -> None:
    assert found["shared heartbeat"] < 120 + SHARE_EVERY_S


def test_a_spent_budget_puts_the_flag(found: dict[str, Any]) -> None:
    assert found["flag"] == "more than 200 USD"


def test_state_and_accounts_are_on_the_disk_that_outlives_the_machine(
    found: dict[str, Any],
) -> None:
    assert {"job_state", "node_state", "slurm_acct_db"} <= set(found["state"])
    assert found["heartbeat"] < 120
    assert found["keys"] == 1, "a second start keeps the key"
