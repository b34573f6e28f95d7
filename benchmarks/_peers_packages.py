"""Peers that are Python packages: whether they are there, and how they are added."""

from __future__ import annotations

import importlib.util
from functools import cache

PACKAGES = {"ccdproc": "2.5.1", "astroscrappy": "1.3.0"}
"""Versions that the published comparisons were made with."""

_FOLDER = "runs/peers"


@cache
def is_there(name: str) -> bool:
    """Tell whether a peer is installed; say, once, that it is left out and how it is added.

    Parameters
    ----------
    name
        One of `PACKAGES`.
    """
    if importlib.util.find_spec(name) is not None:
        return True
    # Not into the project's environment: that has what the lock file names and no more.
    print(
        f"Left out: {name} is not installed. To compare with it, make an environment with both, "
        f"and run this with its Python:\n  python -m venv {_FOLDER} && {_FOLDER}/bin/python -m pip "
        f"install -e . {name}=={PACKAGES[name]}",
        flush=True,
    )
    return False
