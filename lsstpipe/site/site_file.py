"""``config/site.json``: what Terraform tells the workflow, held to its schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.errors import ConfigError


def write_site(site: dict[str, Any], path: Path, schema: Path) -> None:
    """Write what the workflow needs to know, if it is as the schema says.

    Parameters
    ----------
    site
        The output ``site`` of the cluster.
    path
        Where.
    schema
        The schema, a file.

    Raises
    ------
    ConfigError
        If it is not as the schema says: nothing is written then.
    """
    from jsonschema import Draft202012Validator

    faults = sorted(
        Draft202012Validator(json.loads(schema.read_text())).iter_errors(site),
        key=lambda fault: list(map(str, fault.absolute_path)),
    )
    if faults:
        where = ".".join(map(str, faults[0].absolute_path)) or "the whole"
        raise ConfigError(
            f"What the cluster tells is not as {schema.name} says: {where}: {faults[0].message}."
        )
    write_atomically(path, f"{json.dumps(site, indent=2)}\n".encode())
