"""Bounds that a benchmark must hold: what is beyond one is named, and ends it with an error."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping


def require(found: Mapping[str, float], bounds: Mapping[str, float]) -> None:
    """End the process with an error if a figure is beyond its bound.

    Parameters
    ----------
    found
        Figures by name; each that has a bound must be there.
    bounds
        The most that each may be.
    """
    exceeded = [
        f"{name} is {found[name]:.3g}, its bound {bound:g}"
        for name, bound in bounds.items()
        if not found[name] <= bound
    ]
    if exceeded:
        # A busy machine makes CPU seconds longer too; that is to be seen, but is no pass.
        load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        sys.exit(f"A bound is exceeded: {'; '.join(exceeded)} ({load}).")
