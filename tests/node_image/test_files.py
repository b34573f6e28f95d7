"""Scripts and settings of the image are clean, and name nothing that is not there."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

IMAGE = REPOSITORY / "envs" / "image"
ROOT = IMAGE / "root"
LIBRARY = ROOT / "usr" / "local" / "lib" / "lsstpipe"
UNITS = ROOT / "etc" / "systemd" / "system"
SCRIPTS = [IMAGE / "provision", *sorted(LIBRARY.iterdir())]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_clean_and_can_be_run(script: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("the program shellcheck is not installed")
    result = subprocess.run(["shellcheck", script], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    assert os.access(script, os.X_OK)


def test_units_call_scripts_that_are_there() -> None:
    texts = [path.read_text() for path in (*UNITS.rglob("*.service"), *LIBRARY.iterdir())]
    called = {name for text in texts for name in re.findall(r"/usr/local/lib/lsstpipe/(\S+)", text)}
    assert called == {path.name for path in LIBRARY.iterdir()}


def test_users_of_head_and_nodes_do_not_reach_the_rights_of_the_machine() -> None:
    rules = (ROOT / "etc" / "nftables.conf").read_text()
    assert "ip daddr 169.254.169.254 meta skuid != { root, slurm, lsstpipe } reject" in rules


def test_whatever_becomes_of_its_service_a_node_ends() -> None:
    unit = (UNITS / "lsstpipe-node.service").read_text()
    assert re.findall(r"^(\w+)Action=poweroff$", unit, flags=re.MULTILINE) == ["Success", "Failure"]
    assert "Restart=" not in unit


def test_a_node_listens_where_the_reaper_of_its_cluster_speaks() -> None:
    spoken = re.findall(r"--share (\S+)", (UNITS / "lsstpipe-reconcile.service").read_text())
    heard = re.findall(r"--heartbeat (\S+)", (UNITS / "lsstpipe-node.service").read_text())
    assert heard == spoken == ["${CONFIG}/heartbeat"]
    policies = REPOSITORY / "terraform" / "modules" / "node_policies" / "data.tf"
    assert policies.read_text().count('clusters/${var.name}/heartbeat"') == 2


def test_logs_are_sent_until_all_that_writes_them_has_ended() -> None:
    unit = (UNITS / "lsstpipe-logs.service").read_text()
    # What starts first is stopped last.
    (before,) = re.findall(r"^Before=(.+)$", unit, flags=re.MULTILINE)
    assert before.split() == ["lsstpipe-prepare.service", "lsstpipe-node.service"]
    assert "network-online.target" in re.findall(r"^After=(.+)$", unit, flags=re.MULTILINE)[0]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the image is for x86-64")
def test_kernels_are_of_one_kind_whatever_processor_compiled_them() -> None:
    lines = (ROOT / "etc" / "lsstpipe" / "settings").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    ask = (
        "from numba.core.registry import cpu_target as t;"
        "print(*t.target_context.codegen().magic_tuple(), sep='|')"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask], check=True, capture_output=True, text=True,
        env=os.environ | settings,
    )  # fmt: skip
    _, name, features = done.stdout.strip().split("|")
    assert name == "x86-64-v3"
    assert sorted(features.split(",")) == sorted(settings["NUMBA_CPU_FEATURES"].split(","))
