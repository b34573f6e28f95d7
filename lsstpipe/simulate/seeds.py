"""Random numbers that depend on what they are for, never on who draws them or when."""

from __future__ import annotations

import zlib

import numpy as np


def random_for(purpose: str, *numbers: int) -> np.random.Generator:
    """Make the generator of one purpose: equal arguments give equal numbers in any process.

    Parameters
    ----------
    purpose
        What is drawn.
    numbers
        Seed of the survey, exposure, detector: what tells one drawing from another.
    """
    return np.random.default_rng([zlib.crc32(purpose.encode()), *numbers])
