"""Profiles are put where Snakemake looks for them, and changes of a person are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from lsstpipe.cli.main import cli
from lsstpipe.errors import UserError


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "snakemake"


def install(*arguments: str) -> None:
    result = CliRunner().invoke(cli, ["profile", "install", *arguments])
    if result.exception is not None:
        raise result.exception


def test_all_profiles_are_installed(config: Path, repository: Path) -> None:
    install()
    assert sorted(path.name for path in config.iterdir()) == ["aws", "slurm"]
    for name in ("aws", "slurm"):
        own = yaml.safe_load((config / name / "config.yaml").read_text())
        assert own["executor"] == "slurm"
        assert own["slurm-requeue"] is True
    # Where it is said in a rule, a job repeats it inside itself, in the memory that was too small.
    for rules in (repository / "workflow" / "rules").glob("*.smk"):
        assert "retries:" not in rules.read_text()


def test_a_changed_profile_is_kept_unless_forced(config: Path) -> None:
    install("aws")
    path = config / "aws" / "config.yaml"
    original = path.read_text()
    path.write_text("jobs: 3\n")
    with pytest.raises(UserError, match="says something else"):
        install("aws")
    assert path.read_text() == "jobs: 3\n"
    install("aws", "--force")
    assert path.read_text() == original
