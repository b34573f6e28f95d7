"""A job keeps the memory that it frees."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCK = 64 * 2**20
ROUNDS = 8

SCRIPT = f"""
import resource
import sys
from lsstpipe.execute.memory import keep_freed_memory
if sys.argv[1] == "kept" and not keep_freed_memory():
    print("no such library")
    sys.exit()
bytearray({BLOCK})
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({ROUNDS}):
    bytearray({BLOCK})
pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(pages * resource.getpagesize())
"""


def bytes_from_kernel(how: str) -> int:
    """Take and free blocks in a process of its own; give what the kernel had to provide again."""
    made = subprocess.run(
        [sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True
    )
    if made.stdout.startswith("no"):
        pytest.skip("the C library here is not that of GNU")
    return int(made.stdout)


def test_what_is_freed_is_used_again() -> None:
    assert bytes_from_kernel("kept") < BLOCK
    assert bytes_from_kernel("given back") > bytes_from_kernel("kept")
