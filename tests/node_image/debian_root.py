"""A plain Debian 12 in a folder, for a script to be run in as root."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
RELEASE = "bookworm"
# Packages are fetched once for all runs of a developer.
CACHE = Path.home() / ".cache" / "lsstpipe" / "debian"

# What a script finds on a machine: processes, devices, the way to servers of packages.
_ENTER = """\
set -e
root=$1 cache=$2; shift 2
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mkdir -p "$root/root/.cache/pip" "$HOME/.cache/pip"
mount --bind "$HOME/.cache/pip" "$root/root/.cache/pip"
mount --bind "$cache" "$root/var/cache/apt/archives"
exec chroot "$root" "$@"
"""


def sources() -> dict[str, str]:
    """Give where this machine takes the packages of Debian 12 from, by the name of the part."""
    listing = ["apt-get", "indextargets", "--format", "$(RELEASE) $(SITE) $(COMPONENT)"]
    lines = subprocess.run(
        [*listing, "Created-By: Packages"], check=False, capture_output=True, text=True
    ).stdout.splitlines()
    found = (line.split() for line in lines)
    return {
        release: site
        for release, site, component in found
        if component == "main" and release.split("-")[0] == RELEASE
    }


def missing_programs() -> list[str]:
    """Give what is missing to make a root folder."""
    missing = [] if os.geteuid() == 0 else ["root"]
    names = ("apt-get", "debootstrap", "ip", "unshare")
    missing += [name for name in names if shutil.which(name) is None]
    if not missing and RELEASE not in sources():
        return ["packages of Debian 12"]
    if (
        not missing
        and subprocess.run(["unshare", "--mount", "--net", "true"], check=False).returncode
    ):
        return ["namespaces"]
    return missing


def make_root(folder: Path) -> Path:
    """Install Debian's base system into a new folder, as a machine has it."""
    root = folder / "root"
    CACHE.mkdir(parents=True, exist_ok=True)
    parts = sources()
    subprocess.run(
        ["debootstrap", f"--cache-dir={CACHE}", "--variant=minbase",
         "--include=systemd,systemd-sysv,ca-certificates", RELEASE, str(root), parts[RELEASE]],
        check=True, capture_output=True,
    )  # fmt: skip
    lines = [f"deb {site} {release} main\n" for release, site in parts.items()]
    (root / "etc" / "apt" / "sources.list").write_text("".join(lines))
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
    for name in ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt"):
        if Path("/", name).exists():
            shutil.copyfile(Path("/", name), root / name)
    return root


def copy_source(to: Path) -> None:
    """Copy what git has or would take of this project."""
    to.mkdir(parents=True)
    listing = [
        "git",
        "-C",
        str(REPOSITORY),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    names = subprocess.run(listing, check=True, capture_output=True).stdout
    pack = [
        "tar",
        "-C",
        str(REPOSITORY),
        "--null",
        "--files-from=-",
        "--ignore-failed-read",
        "-cf",
        "-",
    ]
    packed = subprocess.run(pack, input=names, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-C", str(to), "--no-same-owner", "-xf", "-"], input=packed, check=True)


def copy_environment(root: Path) -> bool:
    """Put the environment of this interpreter where `envs/create-venv` would make it anew.

    That script made it here, from the same lock file, and finds nothing left to do there. Tell
    whether it could be done: Debian 12 has Python 3.11, and an environment is made for one version.
    """
    here, there = Path(sys.prefix), Path("/opt/lsstpipe/.venv")
    if sys.version_info[:2] != (3, 11) or not (here / "installed").exists():
        return False
    new = root / there.relative_to("/")
    new.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(here), str(new)], check=True)
    (new / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    packages = new / "lib" / "python3.11" / "site-packages"
    for path in (*(new / "bin").iterdir(), *packages.glob("__editable__*"), new / "installed"):
        if path.name.startswith("python"):
            path.unlink()
            path.symlink_to("/usr/bin/python3.11")
        elif path.is_file() and str(here.parent).encode() in (content := path.read_bytes()):
            path.write_bytes(content.replace(str(here.parent).encode(), str(there.parent).encode()))
    return True


def run_in(root: Path, *command: str, timeout_s: float = 1800) -> subprocess.CompletedProcess[str]:
    """Run a command in a root folder as root, with the network of this host."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    own = {"HOME": "/root", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER]
    # Root folders share the packages that were fetched: a second apt would not wait for its lock.
    with (CACHE / "one-at-a-time").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return subprocess.run(
            [*enter, "enter", str(root), str(CACHE), *command],
            env=kept | own, check=False, capture_output=True, text=True, timeout=timeout_s,
        )  # fmt: skip
