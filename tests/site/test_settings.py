"""Settings are read as Terraform reads them: its defaults, its refusals."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lsstpipe.errors import ConfigError, TemporaryError, UserError
from lsstpipe.site.settings import Settings, read_settings
from tests.site.conftest import CODE

PERSISTENT = "persistent_lustre = { storage_gib = 2400, throughput_mbps_per_tib = 500 }"


@pytest.fixture
def folder(tmp_path: Path, minimal: Settings) -> Path:
    """The settings of the minimal site, to be spoilt."""
    return Path(shutil.copytree(CODE / "examples" / "minimal", tmp_path / "site"))


def change(folder: Path, root: str, old: str, new: str) -> None:
    path = folder / f"{root}.tfvars"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_what_is_not_given_is_terraforms_default(minimal: Settings) -> None:
    pool = minimal.cluster.pools["spot"]
    assert (pool.capacity, pool.fallback, pool.min_nodes, pool.disk_gib) == (
        "spot",
        "on-demand",
        0,
        50,
    )
    assert pool.markets() == ("spot", "on-demand")
    assert minimal.cluster.lustre is None
    assert minimal.data.registry.engine_version == "17"
    assert minimal.head_zone == "us-east-1a"
    assert minimal.pool_zones(pool) == ["us-east-1a", "us-east-1b"]


def test_an_existing_network_has_its_zones(existing_vpc: Settings) -> None:
    assert existing_vpc.data.network is None
    assert existing_vpc.data.zones() == ["us-east-1a", "us-east-1b"]


@pytest.mark.parametrize(
    ("root", "old", "new", "sentence"),
    [
        ("data", '"trial"', '"Trial_1"', "A name begins with a small letter"),
        ("data", '"us-east-1"', '"us-west-2"', "in another region than the data"),
        ("cluster", "max_nodes      = 20", "", 'attribute "max_nodes" is required'),
        ("cluster", "cpus           = 4", 'cpus = "four"', "a number is required"),
        ("cluster", "pools =", "pools = nothing", "must end with a newline"),
    ],
)
def test_what_terraform_refuses_is_refused_in_its_words(
    folder: Path, root: str, old: str, new: str, sentence: str
) -> None:
    change(folder, root, old, new)
    with pytest.raises(UserError, match=sentence) as caught:
        read_settings(folder, CODE)
    assert str(caught.value).startswith(str(folder / f"{root}.tfvars"))
    assert "\n" not in str(caught.value)
    assert "│" not in str(caught.value)


def test_one_file_system_is_enough(folder: Path) -> None:
    change(folder, "data", "network = {", f"{PERSISTENT}\nnetwork = {{")
    kept = read_settings(folder, CODE).data.persistent_lustre
    assert kept is not None
    assert (kept.storage_gib, kept.throughput_mbps_per_tib) == (2400, 500)
    change(folder, "cluster", "pools =", "lustre = {}\npools =")
    with pytest.raises(ConfigError, match=r"lustre is left out of cluster\.tfvars"):
        read_settings(folder, CODE)


def test_an_absent_file_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no folder of Terraform code"):
        read_settings(folder, tmp_path)
    (folder / "cluster.tfvars").unlink()
    with pytest.raises(ConfigError, match=r"cluster\.tfvars is absent"):
        read_settings(folder, CODE)


def test_without_terraform_it_is_said_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(UserError, match=r"terraform is not found: install Terraform 1\.10"):
        read_settings(folder, CODE)


@pytest.mark.parametrize(("status", "says"), [(2, "no threads left"), (0, "")])
def test_terraform_that_fails_itself_may_do_so_once_only(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, says: str
) -> None:
    program = tmp_path / "terraform"
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(TemporaryError, match=f"it ended with exit code {status}: .*{says}"):
        read_settings(folder, CODE)
