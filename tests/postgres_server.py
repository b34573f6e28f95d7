"""A PostgreSQL server of a test's own, in a folder and on a port that nobody else uses."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

USER = "lsstpipe"
PASSWORD = "only for a test"


def find_program(name: str) -> str | None:
    """Find a program of PostgreSQL: on the path, or where Debian puts it."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return shutil.which(name) or (str(versions[0]) if versions else None)


def free_port() -> int:
    """Find a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PostgresServer:
    """A server: started, stopped or killed at will, and gone with its files in the end.

    Parameters
    ----------
    settings
        Of ``postgresql.conf``, beyond those that make it small and quick.
    hba
        Lines of ``pg_hba.conf``: who may connect, and how they prove who they are.
    user
        Its superuser.
    """

    def __init__(
        self,
        settings: dict[str, str] | None = None,
        hba: str = "host all all 127.0.0.1/32 trust",
        user: str = USER,
    ) -> None:
        self._owner = user
        # Not below pytest's folder, where only its user may look: the server runs as another user
        # than root, whom it refuses.
        self.folder = Path(tempfile.mkdtemp(prefix="lsstpipe-postgres-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self.folder, self._user)
        self.folder.chmod(0o755)
        password = self.folder / "password"
        password.write_text(PASSWORD)
        self._run(
            "initdb", "-D", self.data, "-U", user, "--auth=scram-sha-256", f"--pwfile={password}",
            "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip
        own = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "64MB",
            "autovacuum": "off",
        }
        lines = [f"{name} = '{value}'" for name, value in (own | (settings or {})).items()]
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("\n".join(lines) + "\n")
        (self.data / "pg_hba.conf").write_text(hba + "\n")
        self._process: subprocess.Popen[bytes] | None = None
        self._n_databases = 0

    def _run(self, name: str, *arguments: object) -> None:
        command = [find_program(name) or name, *(str(a) for a in arguments)]
        subprocess.run(command, check=True, capture_output=True, user=self._user, cwd=self.folder)

    def give(self, path: Path) -> None:
        """Let a file be the server's alone."""
        if self._user:
            shutil.chown(path, self._user)
        path.chmod(0o600)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [find_program("postgres") or "postgres", "-D", str(self.data)],
                stdout=log, stderr=log, user=self._user, cwd=self.folder,
            )  # fmt: skip
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            if self._answers():
                return
            time.sleep(0.05)
        raise RuntimeError(self.log())

    def _answers(self) -> bool:
        import psycopg2

        try:
            psycopg2.connect(self._libpq("postgres"), connect_timeout=5).close()
        except psycopg2.OperationalError as error:
            return "password" in str(error) or "no pg_hba.conf entry" in str(error)
        return True

    def _libpq(self, database: str) -> str:
        return (
            f"host=127.0.0.1 port={self.port} dbname={database} user={self._owner} "
            f"password='{PASSWORD}'"
        )

    def kill(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop it without any ceremony, as ``pg_ctl stop -m immediate`` does."""
        self.stop(how)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it; by default in order, but without waiting for those that are connected."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def log(self) -> str:
        """Give what it has written about itself."""
        return (self.folder / "log").read_text()

    def log_statements(self, database: str) -> None:
        """Note every statement that connections made from now on send to a database."""
        self.execute(f"ALTER DATABASE {database} SET log_statement = 'all'")

    def n_statements(self) -> int:
        """Count the statements that were noted; a string of several counts as one request."""
        return self.log().count("LOG:  statement:")

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement as its owner, with the password that it was made with."""
        import psycopg2

        connection = psycopg2.connect(self._libpq(database))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return [] if cursor.description is None else cursor.fetchall()
        finally:
            connection.close()

    def create_database(self) -> str:
        """Make an empty database; give its URL."""
        self._n_databases += 1
        name = f"test_{self._n_databases}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database: str, password: str = "") -> str:
        """Give the URL of a database."""
        own = f"{self._owner}:{password}" if password else self._owner
        return f"postgresql://{own}@127.0.0.1:{self.port}/{database}"

    def remove(self) -> None:
        """Stop it and delete its files."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)
