"""The user of the pipeline: made once, may keep a registry, and may do nothing more."""

from __future__ import annotations

import psycopg2
import pytest
import sqlalchemy as sa

from lsstpipe.errors import RepositoryError
from lsstpipe.registry.registry import Registry
from lsstpipe.registry.roles import grant_user
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.xdist_group("postgres")

NAME = "pipe-1"  # must be quoted


@pytest.fixture
def database(postgres: PostgresServer) -> sa.URL:
    """A database whose owner's user of the same server has not been made."""
    for role in (NAME, "rds_iam"):
        if postgres.execute(f"SELECT FROM pg_roles WHERE rolname = '{role}'"):
            for (name,) in postgres.execute("SELECT datname FROM pg_database WHERE datallowconn"):
                postgres.execute(f'DROP OWNED BY "{role}" CASCADE', database=str(name))
            postgres.execute(f'DROP ROLE "{role}"')
    return sa.make_url(postgres.create_database())


def as_user(url: sa.URL) -> str:
    return url.set(username=NAME).render_as_string()


def test_the_user_keeps_a_registry_and_can_do_nothing_more(
    postgres: PostgresServer, database: sa.URL
) -> None:
    postgres.execute("CREATE ROLE rds_iam")
    assert grant_user(database, NAME)
    assert not grant_user(database, NAME), "a second call finds it there"
    Registry.create(as_user(database)).close()
    Registry.open(as_user(database)).close()
    member = f"SELECT pg_has_role('{NAME}', 'rds_iam', 'member')"
    assert postgres.execute(member) == [(True,)]
    connection = psycopg2.connect(
        host="127.0.0.1", port=postgres.port, user=NAME, dbname=database.database
    )
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in ("CREATE ROLE other", "CREATE DATABASE other", "DROP SCHEMA public"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(statement)
    connection.close()


def test_a_database_without_iam_is_left_alone(postgres: PostgresServer, database: sa.URL) -> None:
    with pytest.raises(RepositoryError, match="has no role rds_iam: only databases of RDS"):
        grant_user(database, NAME)
    assert not postgres.execute(f"SELECT FROM pg_roles WHERE rolname = '{NAME}'")
