"""What is compiled in one process is not compiled again in the next."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
import numpy as np
from lsstpipe.algorithms.saturation import widen_trails
from lsstpipe.execute.kernels import count_kernels
if sys.argv[1] == "call":
    widen_trails(np.eye(3, dtype=bool))
kernels = count_kernels()
print(kernels.n_compiled, kernels.n_loaded)
"""


def count(cache: Path, what: str) -> tuple[int, int]:
    """Call a kernel, or do nothing, in a process of its own; give what numba did."""
    made = subprocess.run(
        [sys.executable, "-c", SCRIPT, what],
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    n_compiled, n_loaded = made.stdout.split()
    return int(n_compiled), int(n_loaded)


def test_a_kernel_is_compiled_once_and_loaded_ever_after(tmp_path: Path) -> None:
    assert count(tmp_path, "nothing") == (0, 0)
    assert count(tmp_path, "call") == (1, 0)
    assert count(tmp_path, "call") == (0, 1)
