"""Files of the head node that Terraform keeps in S3: its configuration, and what it shares.

The head node takes the configuration when it starts and whenever it changes, makes the key by which
Slurm's daemons know each other, and keeps a dump of Slurm's accounts where it outlives the disk.
"""

from __future__ import annotations

import gzip
import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from lsstpipe.cluster.config import parse_cluster
from lsstpipe.cluster.slurm_conf import PowerSaving, render_pools
from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.datastore.files import files_of
from lsstpipe.errors import ConfigError, TemporaryError

PROGRAMS = Path(__file__).parent / "programs"
"""Folder of ResumeProgram and SuspendProgram."""

POOLS = "lsstpipe/pools.json"
FILES = {
    "pools.json": POOLS,
    "site.json": "lsstpipe/site.json",
    "slurm.conf": "slurm/slurm.conf",
    "cgroup.conf": "slurm/cgroup.conf",
}
"""What Terraform renders, and where it belongs below ``/etc``."""

_POOLS_CONF = "slurm/pools.conf"
_KEY_BYTES = 128  # munge(7) advises 1024 bits and takes from 256 to 8192


def configure(etc: Path, source: str | None) -> list[Path]:
    """Bring the configuration up to date; nothing is written unless all of it is valid.

    Parameters
    ----------
    etc
        ``/etc``.
    source
        Folder or URL with what Terraform rendered, such as ``s3://bucket/clusters/survey``; None
        where that is in place already.

    Returns
    -------
    list of Path
        The files that changed.

    Raises
    ------
    ConfigError
        If a file is absent or cannot be read, or ``pools.json`` says what cannot be.
    """
    wanted: dict[str, bytes] = {}
    if source is not None:
        for name, place in FILES.items():
            wanted[place] = _read(f"{source}/{name}")
    pools = wanted.get(POOLS)
    if pools is None:
        pools = _read(str(etc / POOLS))
    cluster = parse_cluster(pools, f"{source or etc / 'lsstpipe'}/pools.json")
    wanted[_POOLS_CONF] = render_pools(cluster, PowerSaving(PROGRAMS)).encode()
    changed = []
    for place, content in wanted.items():
        path = etc / place
        if not path.exists() or path.read_bytes() != content:
            write_atomically(path, content)
            changed.append(path)
    return changed


def _read(path: str) -> bytes:
    try:
        return files_of(path).read(path)
    except FileNotFoundError:
        raise ConfigError(f"{path} is absent: Terraform writes it.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error


def make_key(path: Path, shared: str) -> None:
    """Make the key of the cluster unless there is one, and put a copy where nodes find it.

    Parameters
    ----------
    path
        Where the head node keeps it.
    shared
        Where nodes find it: a path or URL.
    """
    if not path.exists():
        _write_secret(path, secrets.token_bytes(_KEY_BYTES))
    # Written anew each time: the head node may not read what it has shared.
    files_of(shared).write(shared, path.read_bytes())


def take_key(shared: str, path: Path) -> None:
    """Take the key that the head node shares.

    Parameters
    ----------
    shared
        Where it is: a path or URL.
    path
        Where it goes.

    Raises
    ------
    TemporaryError
        If it is not there yet: the head node shares it when it starts.
    ConfigError
        If what is there cannot be read, such as a folder.
    """
    try:
        content = files_of(shared).read(shared)
    except FileNotFoundError:
        raise TemporaryError(f"{shared} is absent: the head node has not shared it.") from None
    except OSError as error:
        raise ConfigError(f"{shared} is no key that can be read: {error.strerror}.") from error
    _write_secret(path, content)


def _write_secret(path: Path, content: bytes) -> None:
    """Write a file that its owner alone can read, at no instant anyone else."""
    mask = os.umask(0o077)
    try:
        write_atomically(path, content)
    finally:
        os.umask(mask)


def dump_accounts(to: str, database: str = "slurm_acct_db") -> int:
    """Dump Slurm's accounts: one transaction, compressed, written as a whole or not at all.

    Parameters
    ----------
    to
        Path or URL of the dump.
    database
        The database of slurmdbd.

    Returns
    -------
    int
        Its bytes.

    Raises
    ------
    TemporaryError
        If the database cannot be dumped.
    """
    command = ["mariadb-dump", "--single-transaction", database]
    with tempfile.TemporaryFile() as plain, tempfile.TemporaryFile() as packed:
        done = subprocess.run(command, check=False, stdout=plain, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise TemporaryError(f"The accounts cannot be dumped: {done.stderr.strip()}.")
        plain.seek(0)
        with gzip.open(packed, "wb") as out:
            shutil.copyfileobj(plain, out)
        packed.seek(0)
        content = packed.read()
    files_of(to).write(to, content)
    return len(content)
