"""Run a command from a small process and print what the kernel says that it took, as JSON.

python benchmarks/_peers_usage.py LOG COMMAND...

A child starts as a copy of its parent, and the kernel counts the copy's memory too: a benchmark
with images in memory cannot see the peak of a small program by itself.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

started = time.perf_counter()
with Path(sys.argv[1]).open("w") as log:
    process = subprocess.Popen(sys.argv[2:], stdout=log, stderr=log)
    _, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
took = {
    "cpu_s": usage.ru_utime + usage.ru_stime,
    "wall_s": time.perf_counter() - started,
    "peak_memory_mb": usage.ru_maxrss / 1024,
    "exit_code": process.returncode,
}
print(json.dumps(took))
