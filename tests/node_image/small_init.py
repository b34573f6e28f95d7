"""Starts systemd's units where systemd does not run: in a chroot.

Usage: systemctl [enable --now|start|stop|restart|try-restart] UNIT...

It stands in the place of systemctl, knows what the units of the image say and no more
(requirements, order, users, environments, types of services), and prints each unit that it starts.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

FOLDERS = (Path("/etc/systemd/system"), Path("/lib/systemd/system"))
RUN = Path("/run/small-init")
LOGS = Path("/var/log/units")
NOT_HERE = re.compile(r"network|remote-fs|time-sync|nftables|mysql|multi-user|\.timer$")
START_S = 900  # as long as MariaDB may take

Unit = dict[str, list[str]]


def read_unit(name: str) -> Unit:
    """Give the settings of a unit, those of its drop-ins after its own."""
    found = next((folder / name for folder in FOLDERS if (folder / name).exists()), None)
    if found is None:
        raise SystemExit(f"small_init: there is no unit {name}")
    unit: Unit = {}
    for path in (found, *sorted(FOLDERS[0].glob(f"{name}.d/*.conf"))):
        text = path.read_text().replace("\\\n", " ")
        for line in text.splitlines():
            key, equals, value = line.partition("=")
            if equals and not line.lstrip().startswith(("#", ";")):
                unit.setdefault(key.strip(), []).append(value.strip())
    return unit


def words(unit: Unit, *keys: str) -> list[str]:
    """Give the names that some settings list."""
    return [word for key in keys for line in unit.get(key, []) for word in line.split()]


def wanted(names: list[str]) -> dict[str, Unit]:
    """Find all units that are needed, in the order in which they start."""
    units: dict[str, Unit] = {}
    left = list(names)
    while left:
        name = left.pop()
        if name not in units and not NOT_HERE.search(name):
            units[name] = read_unit(name)
            left += words(units[name], "Requires", "Wants")
    ordered: dict[str, Unit] = {}

    def place(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise SystemExit(f"small_init: units wait for each other: {above}")
        before = [other for other in words(units[name], "After") if other in units]
        for other in before:
            place(other, (*above, name))
        ordered[name] = units[name]

    for name in units:
        place(name, ())
    return ordered


def environment(unit: Unit) -> dict[str, str]:
    """Give the variables of a service: none of ours."""
    result = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    for name in unit.get("EnvironmentFile", []):
        path = Path(name.lstrip("-"))
        if name.startswith("-") and not path.exists():
            continue
        for line in path.read_text().splitlines():
            key, equals, value = line.partition("=")
            if equals and not line.startswith("#"):
                result[key] = value
    return result


def command_of(line: str, variables: dict[str, str]) -> list[str]:
    """Give the words of a command with its variables put in; `$NAME` alone may be nothing."""
    result = []
    for word in shlex.split(line.lstrip("!-")):
        if word.startswith("$") and not word.startswith("${"):
            result += variables.get(word[1:], "").split()
        else:
            result.append(re.sub(r"\$\{(\w+)\}", lambda m: variables[m[1]], word))
    return result


def start(name: str, unit: Unit) -> None:
    """Start a service as its type says, and wait until it has started."""
    if (RUN / name).exists() or name.endswith(".target"):
        return
    sys.stdout.write(f"{name}\n")
    sys.stdout.flush()
    variables = environment(unit)
    user = unit.get("User", ["root"])[-1]
    for folder in words(unit, "RuntimeDirectory"):
        (Path("/run") / folder).mkdir(exist_ok=True)
        os.chown(Path("/run") / folder, pwd.getpwnam(user).pw_uid, -1)
    kind, pid = unit.get("Type", ["simple"])[-1], ""
    with (LOGS / name).open("ab") as log:
        for line in unit.get("ExecStartPre", []):
            run(command_of(line, variables), "root", variables, log.fileno()).check_returncode()
        for line in unit.get("ExecStart", []):
            command = command_of(line, variables)
            if kind in ("oneshot", "forking"):
                run(command, user, variables, log.fileno()).check_returncode()
            elif kind == "notify":
                pid = start_and_wait(command, user, variables, log.fileno())
            elif kind == "simple":
                pid = str(spawn(command, user, variables, log.fileno()).pid)
            else:
                raise SystemExit(f"small_init: {name} is of type {kind}")
    if kind != "oneshot" or "RemainAfterExit" in unit:
        (RUN / name).write_text(pid)


def run(
    command: list[str], user: str, variables: dict[str, str], log: int
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end."""
    return subprocess.run(
        command, env=variables, user=user, group=group(user), extra_groups=[], check=False,
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", timeout=START_S,
    )  # fmt: skip


def spawn(
    command: list[str], user: str, variables: dict[str, str], log: int
) -> subprocess.Popen[bytes]:
    """Start a command that goes on."""
    return subprocess.Popen(
        command, env=variables, user=user, group=group(user), extra_groups=[],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
    )  # fmt: skip


def group(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


def start_and_wait(command: list[str], user: str, variables: dict[str, str], log: int) -> str:
    """Start a service that says itself when it is ready."""
    path = RUN / "notify"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        path.chmod(0o777)
        listener.settimeout(1.0)
        process = spawn(command, user, variables | {"NOTIFY_SOCKET": str(path)}, log)
        ends = time.monotonic() + START_S
        while time.monotonic() < ends:
            try:
                if "READY=1" in listener.recv(4096).decode():
                    return str(process.pid)
            except TimeoutError:
                if process.poll() is not None:
                    break
    raise SystemExit(f"small_init: {command[0]} did not become ready")


def stop(name: str) -> bool:
    """Stop a service; tell whether it ran."""
    mark = RUN / name
    if not mark.exists():
        return False
    pid = mark.read_text()
    mark.unlink()
    if pid:
        os.kill(int(pid), signal.SIGTERM)
        ends = time.monotonic() + START_S
        while Path(f"/proc/{pid}/stat").exists() and time.monotonic() < ends:
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                break
            time.sleep(0.1)
    return True


def main() -> None:
    """Start units and what they need."""
    RUN.mkdir(parents=True, exist_ok=True)
    RUN.chmod(0o755)
    LOGS.mkdir(parents=True, exist_ok=True)
    verb, names = sys.argv[1], [name for name in sys.argv[2:] if name != "--now"]
    if verb not in ("enable", "start", "stop", "restart", "try-restart"):
        raise SystemExit(f"small_init: it does not know how to {verb}")
    if verb == "stop" or "restart" in verb:
        ran = {name for name in names if stop(name)}
        names = [name for name in names if verb == "restart" or (verb != "stop" and name in ran)]
    for name, unit in wanted(names).items():
        start(name, unit)


if __name__ == "__main__":
    main()
