"""What is said where a program of Slurm fails or is absent: one sentence with its reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lsstpipe.cluster import slurm
from lsstpipe.cluster.leftovers import cancel_jobs
from lsstpipe.cluster.slurm import SlurmCommands
from lsstpipe.errors import TemporaryError, UserError

NO_CONFIGURATION = """\
squeue: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host
squeue: error: fetch_config: DNS SRV lookup failed
squeue: error: _establish_config_source: failed to fetch config
squeue: fatal: Could not establish a configuration source
"""

Ask = Callable[[], object]
ASKS: list[Ask] = [lambda: cancel_jobs("dr1-"), lambda: SlurmCommands().queue()]


@pytest.fixture(params=ASKS, ids=["leftovers", "queue"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Ask Slurm for jobs."""
    found: Ask = request.param
    return found


def put_squeue(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put another squeue in front of the path."""
    program = folder / "squeue"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (NO_CONFIGURATION, "Could not establish a configuration source."),
        ("slurm_load_jobs error: Unable to contact slurm controller\n",
         "slurm_load_jobs error: Unable to contact slurm controller."),
        ("squeue: error: Invalid user.\n", "Invalid user."),
        ("", "exit code 1."),
    ],
)  # fmt: skip
def test_a_failure_is_one_sentence_with_the_last_reason(
    says: str, reason: str, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "says").write_text(says)
    put_squeue(tmp_path, f"cat {tmp_path}/says >&2; exit 1", monkeypatch)
    with pytest.raises(TemporaryError) as failed:
        ask()
    assert str(failed.value) == f"squeue --noheader failed: {reason}"


def test_a_machine_without_slurm_is_said_to_be_one(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"^squeue is not there: this is no node of a Slurm\.$"):
        ask()


def test_a_controller_that_does_not_answer_is_told(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_squeue(tmp_path, "exec sleep 60", monkeypatch)
    monkeypatch.setattr(slurm, "_TIMEOUT_S", 0.2)
    with pytest.raises(TemporaryError, match=r"failed: no answer within 0\.2 s\.$"):
        ask()


def test_jobs_of_the_prefix_are_found_and_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_squeue(tmp_path, f"[ -e {tmp_path}/told ] || echo '7 dr1-a\n8 other'", monkeypatch)
    (tmp_path / "scancel").write_text(f"#!/bin/sh\necho $* > {tmp_path}/told\n")
    (tmp_path / "scancel").chmod(0o755)
    assert cancel_jobs("dr1-") == [7]
    assert (tmp_path / "told").read_text() == "7\n"
