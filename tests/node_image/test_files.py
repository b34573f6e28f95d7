"""Scripts and settings of the image are clean, and name nothing that is not there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
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
