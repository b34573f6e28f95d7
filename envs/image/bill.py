"""Write the bill of materials of the machine that this runs on: what is on it, in which version.

Usage: bill.py FILE
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HOME = Path(__file__).parents[2]
KERNELS = Path("/var/cache/lsstpipe/kernels")
EXTRA = Path("/usr/share/lsstpipe/extra.sha256")


def sha256(paths: Iterable[Path], root: Path) -> str:
    """Digest files with their names below a folder, in order."""
    whole = hashlib.sha256()
    for path in sorted(paths):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{digest}  {path.relative_to(root)}\n".encode())
    return whole.hexdigest()


def debian_packages() -> dict[str, str]:
    """Give the version of every Debian package that is installed."""
    fields = "${db:Status-Abbrev}\t${Package}\t${Version}\n"
    command = ["dpkg-query", "--show", f"--showformat={fields}"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [line.split("\t") for line in text.splitlines()]
    return {name: version for status, name, version in rows if status.startswith("ii")}


def python_packages() -> dict[str, str]:
    """Give the version of every Python package of this environment."""
    found = importlib.metadata.distributions()
    return dict(sorted((package.name, package.version) for package in found))


def extra_files() -> dict[str, str]:
    """Give the digest of every file that Debian does not have."""
    lines = EXTRA.read_text().splitlines() if EXTRA.exists() else []
    return {name.removeprefix("./"): digest for digest, name in (line.split() for line in lines)}


def write_bill() -> dict[str, Any]:
    """Say what is on this machine."""
    lock = HOME / "envs" / "requirements.lock"
    kernels = [path for path in KERNELS.rglob("*") if path.is_file()]
    sources = (HOME / "lsstpipe").rglob("*.py")
    return {
        "schema_version": 1,
        "machine": platform.machine(),
        "debian": debian_packages(),
        "python": {
            "version": platform.python_version(),
            "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest(),
            "packages": python_packages(),
        },
        "lsstpipe": {"sha256": sha256(sources, HOME)},
        "kernels": {"n_files": len(kernels), "sha256": sha256(kernels, KERNELS)},
        "extra": extra_files(),
    }


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(write_bill(), indent=1, sort_keys=True) + "\n"
    target.write_text(content)
    digest = hashlib.sha256(content.encode()).hexdigest()
    target.with_suffix(".json.sha256").write_text(f"{digest}  {target.name}\n")
