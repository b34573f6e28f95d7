"""The user of the pipeline in a PostgreSQL of AWS, made once by the owner of the database."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from lsstpipe.errors import RepositoryError
from lsstpipe.registry.database import Database

_IAM_ROLE = "rds_iam"


def grant_user(url: sa.URL, user: str) -> bool:
    """Make a user who signs in by IAM and may keep a registry in the database; no more than that.

    It can be called again: what is there already stays.

    Parameters
    ----------
    url
        The database, with the credentials of its owner.
    user
        Name of the user.

    Returns
    -------
    bool
        Whether the user was new.

    Raises
    ------
    RepositoryError
        If the database is not one of RDS, or refuses.
    """
    engine = Database(url.render_as_string(hide_password=False)).engine
    quote = engine.dialect.identifier_preparer.quote_identifier
    exists = sa.text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :name)")
    name = quote(user)
    try:
        with engine.connect() as connection:
            if not connection.scalar(exists, {"name": _IAM_ROLE}):
                raise RepositoryError(
                    f"{url.host} has no role {_IAM_ROLE}: only databases of RDS let users sign in "
                    "by IAM."
                )
            is_new = not connection.scalar(exists, {"name": user})
            if is_new:
                connection.execute(sa.text(f"CREATE ROLE {name} LOGIN"))
            database = quote(str(url.database))
            for statement in (
                f"GRANT {_IAM_ROLE} TO {name}",
                f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {name}",
                # Since PostgreSQL 15 nobody but the owner may make tables here.
                f"GRANT USAGE, CREATE ON SCHEMA public TO {name}",
            ):
                connection.execute(sa.text(statement))
    except DBAPIError as error:
        raise RepositoryError(f"The user {user} cannot be made: {error.orig}".rstrip()) from error
    finally:
        engine.dispose()
    return is_new
