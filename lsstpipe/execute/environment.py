"""What made a product besides its inputs: the code, the packages, the machine, and what it took."""

from __future__ import annotations

import hashlib
import platform
import resource
import time
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import lsstpipe
from lsstpipe.config.campaign import digest

_PACKAGES = ("astropy", "numba", "numpy", "pyarrow", "pydantic", "scipy", "sep", "sqlalchemy")
_UNIX_EPOCH_MJD = 40587.0


@lru_cache
def code_version() -> str:
    """Give the version of lsstpipe, its commit where there is one, and a digest of its sources."""
    package = Path(lsstpipe.__file__).parent
    sources = hashlib.blake2b(digest_size=4)
    for path in sorted(package.rglob("*.py")):
        sources.update(path.read_bytes())
    commit = _commit(package.parent / ".git")
    return f"{lsstpipe.__version__}+{f'g{commit[:12]}.' if commit else ''}d{sources.hexdigest()}"


def _commit(folder: Path) -> str:
    """Read which commit is checked out; empty where there is no repository."""
    try:
        head = (folder / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        if (folder / name).is_file():
            return (folder / name).read_text().strip()
        packed = (folder / "packed-refs").read_text().splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
    except OSError:
        return ""


@lru_cache
def environment() -> dict[str, str]:
    """Give the versions of Python and of the packages that touch pixels, and the machine's kind."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


@lru_cache
def environment_digest() -> str:
    """Give the digest of `environment`."""
    return digest(environment())


@dataclass(slots=True)
class Usage:
    """What a quantum took."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_mb: float = 0.0
    started_mjd: float = 0.0


class Meter:
    """Measures from when it is made."""

    def __init__(self) -> None:
        self._started = time.time()
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def read(self) -> Usage:
        """Tell what was taken since; the memory is the peak of the whole process."""
        peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return Usage(
            wall_s=round(time.perf_counter() - self._wall, 4),
            cpu_s=round(time.process_time() - self._cpu, 4),
            max_rss_mb=round(peak_kb / 1024, 1),
            started_mjd=self._started / 86400 + _UNIX_EPOCH_MJD,
        )
