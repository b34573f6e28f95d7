"""What lets a user in is never shown to anybody, least of all when it does not let him in."""

from __future__ import annotations

import datetime
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import boto3
import botocore.auth
import pytest

from lsstpipe.errors import RepositoryError
from lsstpipe.registry import postgres as postgres_module
from lsstpipe.registry.address import Address
from lsstpipe.registry.registry import Registry
from lsstpipe.repository import Repository, write_repository
from tests.postgres_server import find_program
from tests.site.iam_login import Account
from tests.site.registry_server import DATABASE, RegistryServer

ACCOUNT = Account("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "us-east-1")
USER, WRONG = "visitor", "hunter2-is-not-it"

pytestmark = [pytest.mark.xdist_group("postgres"), pytest.mark.needs_program("openssl")]


@pytest.fixture(scope="module")
def shared_rds() -> Iterator[RegistryServer]:
    """A server as RDS is one: TLS, a user who signs in by IAM, and an owner with a password."""
    if find_program("postgres") is None:
        pytest.skip("PostgreSQL is not installed; envs/debian.txt names its package")
    server = RegistryServer(ACCOUNT)
    try:
        server.start()
        server.server.execute(f"CREATE ROLE {USER} LOGIN IN ROLE rds_iam")
        server.server.execute(f"GRANT ALL ON SCHEMA public TO {USER}", DATABASE)
        yield server
    finally:
        server.remove()


@pytest.fixture
def rds(shared_rds: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[RegistryServer]:
    """The same with its clock right, as the environment names it."""
    key = {"AWS_ACCESS_KEY_ID": ACCOUNT.key, "AWS_SECRET_ACCESS_KEY": ACCOUNT.secret}
    for name, value in (shared_rds.environment | key).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    # A session that another test left keeps the keys of that one.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    yield shared_rds
    shared_rds.login.ahead = datetime.timedelta()


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All tokens that are made."""
    made: list[str] = []
    fetch = postgres_module._fetch_token

    def noted(address: Address, region: str) -> dict[str, str]:
        credentials = fetch(address, region)
        made.append(credentials["password"])
        return credentials

    monkeypatch.setattr(postgres_module, "_fetch_token", noted)
    return made


def url(server: RegistryServer, user: str, rest: str = "") -> str:
    return f"postgresql://{user}@{server.host}:{server.port}/{DATABASE}{rest}"


def parts(token: str) -> list[str]:
    """What of a token would be of use to a thief, and what it was made with."""
    signature = token.partition("X-Amz-Signature=")[2].partition("&")[0]
    assert len(signature) == 64
    return [token, signature, ACCOUNT.secret]


def test_a_token_that_the_server_calls_expired_is_refused_without_showing_it(
    rds: RegistryServer, tokens: list[str]
) -> None:
    address = url(rds, USER, f"?auth=iam&region={ACCOUNT.region}")
    Registry.create(address).close()
    n_allowed, n_refused = rds.login.n_allowed, rds.login.n_refused
    rds.login.ahead = datetime.timedelta(minutes=16)
    with pytest.raises(RepositoryError) as refused:
        Registry.open(address)
    assert "authentication failed" in str(refused.value)
    assert "token of AWS holds for 15 minutes" in str(refused.value)
    assert str(refused.value).count("\n") == 0
    assert (rds.login.n_allowed, rds.login.n_refused) == (n_allowed, n_refused + 2)
    shown = "".join(traceback.format_exception(refused.value)) + repr(refused.value)
    assert len(tokens) >= 3
    for secret in (part for token in tokens for part in parts(token)):
        assert secret not in shown


def test_a_token_that_expired_in_between_is_made_anew(
    rds: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_at = [datetime.timedelta(minutes=-16)]
    monkeypatch.setattr(
        botocore.auth,
        "get_current_datetime",
        lambda: (
            datetime.datetime.now(datetime.UTC)
            + (made_at.pop() if made_at else datetime.timedelta())
        ),
    )
    n_refused = rds.login.n_refused
    address = url(rds, USER, f"?auth=iam&region={ACCOUNT.region}")
    with Registry.create(address, exist_ok=True) as registry:
        assert registry.collections() == []
    assert not made_at
    assert rds.login.n_refused == n_refused + 1


def test_a_wrong_password_is_not_shown(rds: RegistryServer) -> None:
    address = url(rds, "registry_owner").replace("@", f":{WRONG}@", 1)
    with pytest.raises(RepositoryError) as refused:
        Registry.open(address)
    assert "password authentication failed" in str(refused.value)
    shown = "".join(traceback.format_exception(refused.value)) + repr(refused.value)
    assert WRONG not in shown


def test_a_command_shows_neither_a_wrong_password_nor_an_expired_token(
    rds: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", WRONG)
    rds.login.ahead = datetime.timedelta(minutes=16)
    for user, auth in (("registry_owner", ""), (USER, f"?auth=iam&region={ACCOUNT.region}")):
        root = tmp_path / user
        root.mkdir()
        write_repository(root, Repository(url(rds, user, auth)))
        code = "from lsstpipe.cli.main import main; main()"
        command = [sys.executable, "-c", code, "collection", "list", "--repo", str(root)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 1
        assert run.stderr.startswith("lsstpipe: The registry registry on trial-registry.")
        assert "authentication failed" in run.stderr
        assert "Traceback" not in run.stderr
        for secret in (WRONG, "X-Amz-", ACCOUNT.secret):
            assert secret not in run.stdout + run.stderr
