"""``config/site.json``: what Terraform tells the workflow, held to its schema."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.datastore.layout import locate
from lsstpipe.errors import ConfigError
from lsstpipe.repository import Repository

if TYPE_CHECKING:
    import sqlalchemy as sa

_SCHEMA = "site.schema.json"


def read_schema() -> dict[str, Any]:
    """Read the schema of what Terraform tells, which lies beside this module wherever it is."""
    schema: dict[str, Any] = json.loads((files("lsstpipe.site") / _SCHEMA).read_bytes())
    return schema


def write_site(site: dict[str, Any], path: Path) -> None:
    """Write what the workflow needs to know, if it is as the schema says.

    Parameters
    ----------
    site
        The output ``site`` of the cluster.
    path
        Where.

    Raises
    ------
    ConfigError
        If it is not as the schema says: nothing is written then.
    """
    if fault := _find_fault(site):
        raise ConfigError(f"What the cluster tells is not as {_SCHEMA} says: {fault}.")
    write_atomically(path, f"{json.dumps(site, indent=2)}\n".encode())


def read_site(path: Path) -> dict[str, Any]:
    """Read what Terraform tells of a site, if it is as the schema says.

    Parameters
    ----------
    path
        Such as ``config/site.json``, or ``/etc/lsstpipe/site.json`` on a head node.

    Raises
    ------
    ConfigError
        If it is absent, or not as the schema says.
    """
    try:
        site: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(
            f"{path} is absent: `lsstpipe site up` and `lsstpipe site outputs` write it."
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error
    if fault := _find_fault(site):
        raise ConfigError(f"{path} is not as {_SCHEMA} says: {fault}.")
    return site


def _find_fault(site: object) -> str:
    """Say the first thing that is not as the schema says; empty where all is."""
    # It comes with the extra `aws`, as all does that a site needs.
    from jsonschema import Draft202012Validator

    faults = sorted(
        Draft202012Validator(read_schema()).iter_errors(site),
        key=lambda fault: list(map(str, fault.absolute_path)),
    )
    if not faults:
        return ""
    where = ".".join(map(str, faults[0].absolute_path)) or "the whole"
    return f"{where}: {faults[0].message}"


def site_registry(site: dict[str, Any]) -> sa.URL:
    """Spell the URL of a site's registry: who signs in how, and that the server must prove itself.

    Parameters
    ----------
    site
        What `read_site` gave.
    """
    import sqlalchemy as sa

    registry = site["registry"]
    return sa.URL.create(
        "postgresql",
        username=registry["user"],
        host=registry["host"],
        port=registry["port"],
        database=registry["database"],
        query={
            "auth": registry["auth"],
            "region": site["region"],
            "sslmode": registry["tls"],
        },
    )


def site_repository(
    site: dict[str, Any], also_read: Sequence[str] = (), cache_gb: float = 0.0
) -> Repository:
    """Give the settings of a repository of a site.

    Parameters
    ----------
    site
        What `read_site` gave.
    also_read
        Where else files are read; ``releases/RIGHT`` is that of the site's bucket of products.
    cache_gb
        How much of remote files is kept, GB.
    """
    products = f"s3://{site['buckets']['products']}"
    return Repository(
        registry=site_registry(site).render_as_string(),
        also_read=tuple(locate(given, products) for given in also_read),
        cache_gb=cache_gb,
        products=products,
    )
