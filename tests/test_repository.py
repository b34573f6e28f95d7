"""What a repository keeps of its settings, and that a next try makes one whose making failed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from lsstpipe.butler import Butler
from lsstpipe.cli.init import command
from lsstpipe.config import parse_campaign
from lsstpipe.errors import ConfigError, RepositoryError
from lsstpipe.registry.address import parse_address
from lsstpipe.repository import REPOSITORY_FILE, Repository, read_repository
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.xdist_group("postgres")

SECRET = "hunter2"
WITH_PASSWORD = [
    f"postgresql://drp:{SECRET}@db.example.org/dr1",
    f"postgresql://db.example.org/dr1?user=drp&password={SECRET}",
    f"postgresql://drp@db.example.org/dr1?pass%77ord={SECRET}",
    f"postgresql://drp@db.example.org/dr1?Password={SECRET}",
    f"postgresql://drp@db.example.org/dr1?sslpassword={SECRET}&sslkey=/etc/key",
]


def init(*arguments: str | Path) -> Result:
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(command, words)


@pytest.mark.parametrize("url", WITH_PASSWORD)
def test_a_password_is_neither_kept_in_a_repository_nor_shown(tmp_path: Path, url: str) -> None:
    with pytest.raises(RepositoryError, match="by PGPASSWORD or") as caught:
        Butler.create(tmp_path / "a", settings=Repository(url))
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(parse_address(url))
    assert not (tmp_path / "a").exists()


def test_a_password_with_an_at_sign_is_no_part_of_the_host(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="cannot be read") as caught:
        Butler.create(tmp_path, settings=Repository(f"postgresql://drp:a@{SECRET}@db/dr1"))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", WITH_PASSWORD)
def test_a_password_is_refused_in_a_campaign_and_not_shown(repository: Path, url: str) -> None:
    demo = yaml.safe_load((repository / "config" / "campaigns" / "demo.yaml").read_text())
    with pytest.raises(ConfigError, match=r"'registry' cannot be used: .* PGPASSWORD or") as caught:
        parse_campaign(demo | {"registry": url})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", WITH_PASSWORD)
def test_a_password_that_an_older_lsstpipe_kept_is_not_shown(tmp_path: Path, url: str) -> None:
    old = {"schema_version": 2, "registry": url}
    (tmp_path / REPOSITORY_FILE).write_text(json.dumps(old))
    result = init(tmp_path, "--registry", "postgresql://drp@db.example.org/dr2?auth=iam")
    assert "other settings, registry='dr1 on db.example.org'" in str(result.exception)
    assert SECRET not in str(result.exception) + result.output


def test_a_registry_beside_that_of_a_site_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "site.json").write_text("{}")
    result = init(tmp_path / "a", "--site", tmp_path / "site.json", "--registry", WITH_PASSWORD[0])
    assert "leave out --registry." in str(result.exception)
    assert SECRET not in str(result.exception) + result.output


def test_the_file_with_the_password_may_be_named(tmp_path: Path, postgres: PostgresServer) -> None:
    url = f"{postgres.create_database()}?passfile=/etc/pgpass"
    Butler.create(tmp_path, settings=Repository(url))
    assert read_repository(tmp_path).registry == url


@pytest.mark.parametrize("wrong", ["?auth=foo", "?connect_timeout=1&port=1", ".absent"])
def test_an_address_that_leads_nowhere_is_not_kept(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setattr("lsstpipe.registry.source.PATIENCE_S", 0.0)
    url = postgres.create_database()
    assert init(tmp_path / "a", "--registry", url + wrong).exception is not None
    assert init(tmp_path / "a", "--registry", url).exception is None
    assert read_repository(tmp_path / "a") == Repository(url)


KILLED = """
import os, signal, sys
from pathlib import Path
from lsstpipe import repository
from lsstpipe.butler import Butler
from lsstpipe.registry.registry import Registry

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

place, root, registry = sys.argv[1:]
if place == "before the settings":
    repository.write_atomically = kill
else:
    Registry.create = kill
settings = repository.Repository(registry, cache_gb=1.0)
Butler.create(root, settings=settings, exist_ok=True)
"""


@pytest.mark.parametrize("place", ["before the settings", "before the registry"])
@pytest.mark.parametrize("is_file_beside", [False, True])
def test_a_repository_whose_making_was_killed_is_made_by_a_next_try_with_any_settings(
    tmp_path: Path, place: str, is_file_beside: bool
) -> None:
    registries = [str(tmp_path / name) for name in ("first.sqlite3", "second.sqlite3")]
    first, second = ("" if is_file_beside else f"sqlite:///{path}" for path in registries)
    root = tmp_path / "a"
    killed = subprocess.run([sys.executable, "-c", KILLED, place, root, first], check=False)
    assert killed.returncode == -signal.SIGKILL
    wanted = Repository(second, cache_gb=2.0)
    Butler.create(root, settings=wanted, exist_ok=True)
    assert read_repository(root) == wanted
    Butler(root).close()


def test_a_registry_in_memory_is_refused(tmp_path: Path) -> None:
    for url in ("sqlite://", "sqlite:///:memory:"):
        with pytest.raises(RepositoryError, match=f"in memory, {url}, is gone with its process"):
            Butler.create(tmp_path / "a", settings=Repository(url), exist_ok=True)
    assert not (tmp_path / "a").exists()


def test_the_file_of_a_registry_is_found_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path)
    assert init("a", "--registry", "sqlite:///other.sqlite3").exception is None
    assert init("a", "--registry", "sqlite:///other.sqlite3").exception is None
    os.chdir("b")
    Butler("../a").close()
    assert read_repository(tmp_path / "a").registry == f"sqlite:///{tmp_path}/other.sqlite3"


@pytest.mark.parametrize("size", [float("nan"), float("inf"), -1.0])
def test_a_cache_has_a_size(tmp_path: Path, size: float) -> None:
    with pytest.raises(ConfigError, match=f"must have 0 GB or more, got {size}."):
        Butler.create(tmp_path / "a", settings=Repository(cache_gb=size))
    assert not (tmp_path / "a").exists()
