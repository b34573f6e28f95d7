"""Products of a repository as values, found through its manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lsstpipe import io
from lsstpipe.datasets import find_dataset_type
from lsstpipe.errors import RepositoryError
from lsstpipe.report.manifests import Records, find_files
from lsstpipe.report.page import FloatArray

T = TypeVar("T")


def read_all(repo: Path, records: Records, dataset_type: str, kind: type[T]) -> list[T]:
    """Read all datasets of a type, in the order of their data IDs.

    Parameters
    ----------
    repo
        Folder of the repository.
    records
        What its manifests say.
    dataset_type
        Name of the type.
    kind
        Python type of its values.
    """
    storage = find_dataset_type(dataset_type).storage
    values = [io.read(repo / path, storage) for _, path in find_files(records, dataset_type)]
    for value in values:
        if not isinstance(value, kind):
            raise TypeError(f"{dataset_type} must be {kind.__name__}, got {type(value).__name__}.")
    return [value for value in values if isinstance(value, kind)]


def load_metrics(repo: Path, records: Records) -> dict[str, Any]:
    """Load the metrics of a repository.

    Parameters
    ----------
    repo
        Its folder.
    records
        What its manifests say.

    Raises
    ------
    RepositoryError
        If the stage ``report`` has not run there.
    """
    found = read_all(repo, records, "metrics", dict)
    if not found:
        raise RepositoryError(f"{repo} has no metrics: its stage 'report' has not run yet.")
    return found[0]


def load_lightcurve(repo: Path, records: Records) -> str:
    """Load the light curve of a repository as text; empty where there is none.

    Parameters
    ----------
    repo
        Its folder.
    records
        What its manifests say.
    """
    found = read_all(repo, records, "lightcurve", str)
    return found[0] if found else ""


def parse_lightcurve(text: str) -> dict[str, FloatArray]:
    """Read the columns of a light curve; none where it has no points.

    Parameters
    ----------
    text
        Comma-separated values under a commented header.
    """
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    if len(lines) < 2:
        return {}
    rows = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    return {name: rows[:, index] for index, name in enumerate(lines[0].split(","))}
