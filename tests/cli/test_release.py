"""The commands that move collections say what they do, do it, and change nothing when dry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small_repository as small
from click.testing import CliRunner, Result

from lsstpipe.butler import Butler
from lsstpipe.cli.main import cli
from lsstpipe.errors import UserError
from tests.s3_server import SECRET, S3Server


def invoke(*words: str | Path, answer: str | None = None) -> Result:
    arguments = [str(word) for word in words]
    return CliRunner().invoke(cli, arguments, catch_exceptions=False, input=answer)


def test_publish_then_verify_then_fetch(repo: Path, bucket: str, tmp_path: Path) -> None:
    target = f"{bucket}/releases/dp1"
    dry = invoke("publish", "main", target, "--repo", repo, "--dry-run")
    assert dry.output.startswith("9 of 9 files (0.1 of 0.1 MB) would be copied to s3://")
    done = json.loads(invoke("publish", "main", target, "--repo", repo, "--json").output)
    assert (done["n_copied"], done["collection"], done["root"]) == (9, "releases/dp1", target)
    again = invoke("publish", "main", target, "--repo", repo)
    assert again.output.startswith("0 of 9 files")
    for extra in ([], ["--quick"]):
        found = invoke("verify", "releases/dp1", "--repo", repo, "--at", target, *extra)
        assert found.exit_code == 0
        assert found.output == "9 files were looked at, 0 are damaged or absent.\n"
    mine = tmp_path / "mine"
    invoke("init", mine)
    where = ["--where", "band = 'g' AND type = 'visit_image'"]
    before = small.state_of(mine)
    dry = invoke("fetch", target, "--repo", mine, *where, "--dry-run")
    assert "2 of 2 files" in dry.output
    assert small.state_of(mine) == before
    done = json.loads(invoke("fetch", target, "--repo", mine, *where, "--json").output)
    assert (done["n_copied"], done["n_files"]) == (2, 2)
    theirs = small.files_of(repo)
    assert len(small.files_of(mine)) == 2
    assert small.files_of(mine).items() <= theirs.items()


def test_what_was_published_is_noted_the_same_each_time_and_never_by_a_dry_run(
    repo: Path, bucket: str, tmp_path: Path
) -> None:
    target, record = f"{bucket}/releases/dp1", tmp_path / "published.json"
    command = ("publish", "main", target, "--repo", repo, "--record", record)
    invoke(*command, "--dry-run")
    assert not record.exists()
    invoke(*command)
    first = record.read_bytes()
    noted = json.loads(first)
    files = small.files_of(repo)
    assert (noted["target"], noted["collection"], noted["tag"]) == (target, "main", "releases/dp1")
    assert (noted["n_files"], noted["n_bytes"]) == (9, sum(map(len, files.values())))
    record.unlink()
    invoke(*command)
    assert record.read_bytes() == first, "nothing was copied, and all of it is published"


def test_export_then_import(repo: Path, tmp_path: Path) -> None:
    folder, mine = tmp_path / "folder", tmp_path / "mine"
    dry = invoke("export", "main", folder, "--repo", repo, "--dry-run")
    assert "9 of 9 files" in dry.output
    assert not folder.exists()
    invoke("export", "main", folder, "--repo", repo)
    invoke("init", mine)
    dry = invoke("import", folder, "--repo", mine, "--dry-run")
    assert "would be copied" in dry.output
    assert small.files_of(mine) == {}
    done = json.loads(invoke("import", folder, "--repo", mine, "--json").output)
    assert (done["n_copied"], done["collection"]) == (9, "imported/main")
    assert small.files_of(mine) == small.files_of(repo)


def test_verify_names_what_is_wrong_and_says_so_by_its_exit_code(repo: Path) -> None:
    paths = sorted((repo / "main" / small.SUMMARY).iterdir())
    paths[0].unlink()
    paths[1].write_bytes(b" " + paths[1].read_bytes()[1:])
    found = invoke("verify", "main", "--repo", repo)
    assert found.exit_code == 1
    assert f"absent      {paths[0]}\n" in found.output
    assert f"checksum    {paths[1]}\n" in found.output
    assert "9 files were looked at, 2 are damaged or absent." in found.output
    as_json = json.loads(invoke("verify", "main", "--repo", repo, "--json").output)
    assert as_json["n_files"] == 9
    assert {d["fault"] for d in as_json["damages"]} == {"absent", "checksum"}
    quick = json.loads(invoke("verify", "main", "--repo", repo, "--quick", "--json").output)
    assert [d["path"] for d in quick["damages"]] == [str(paths[0])]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("s3://b", "Products are published to"),
        ("s3://b/dp1", "Products are published to"),
        ("releases/dp1", "Products are published to"),
        ("s3://b/releases/DP1", "A right is named by"),
        ("s3://b/embargo/tomorrow", "A night is a date"),
        ("s3://b/embargo/20261126", "Products are published to"),
    ],
)
def test_a_target_outside_of_the_layout_is_refused(repo: Path, target: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        invoke("publish", "main", target, "--repo", repo)


def test_no_secret_is_printed_whatever_fails(repo: Path, bucket: str, s3: S3Server) -> None:
    words = ["publish", "main", f"{bucket}/embargo/2026-11-26", "--repo", str(repo)]
    command = [sys.executable, "-c", "from lsstpipe.cli.main import main; main()", *words]
    s3.plan.rule = lambda method, path, number: "503"
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]), "AWS_MAX_ATTEMPTS": "2"
    }  # fmt: skip
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 75
    assert result.stderr.startswith("lsstpipe: s3://")
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("in 2 attempts; try again later.\n")
    assert SECRET not in result.stderr + result.stdout


@pytest.fixture
def orphan(repo: Path) -> Path:
    path = repo / "main/metrics/metrics_old.json"
    path.touch()
    os.utime(path, (time.time() - 1e6, time.time() - 1e6))
    return path


def test_sweep_leaves_orphans_unless_it_is_asked(repo: Path, orphan: Path) -> None:
    assert invoke("sweep", repo).output == "0 files were removed.\n"
    dry = invoke("sweep", repo, "--orphans", "--dry-run")
    assert dry.output == f"{orphan}\n1 files would be removed.\n"
    young = invoke("sweep", repo, "--orphans", "--grace-days", "30", "--yes")
    assert young.output == "0 files were removed.\n"
    assert orphan.exists()


def test_sweep_lists_orphans_and_asks_before_it_removes_them(repo: Path, orphan: Path) -> None:
    refused = invoke("sweep", repo, "--orphans", answer="n\n")
    assert refused.exit_code == 1
    assert str(orphan) in refused.output
    assert orphan.exists()
    invoke("sweep", repo, "--orphans", answer="y\n")
    assert not orphan.exists()
    with Butler(repo, ["main"]) as butler:
        assert all(butler.store.verify(record) for record in butler.query())


def test_sweep_of_orphans_as_json(repo: Path, orphan: Path) -> None:
    done = invoke("sweep", repo, "--orphans", "--yes", "--json")
    assert json.loads(done.output) == [str(orphan)]
    assert not orphan.exists()
