"""The PostgreSQL server of the registry benchmark, and the network before it that counts."""

from __future__ import annotations

import select
import socket
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from postgres_server import USER, PostgresServer, free_port

SETTINGS = {
    "fsync": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "autovacuum": "on",
    "max_connections": "100",
    "log_lock_waits": "on",
}

__all__ = ["USER", "CountingProxy", "Server"]


class Server(PostgresServer):
    """A server that keeps what it is told, as one in production does."""

    def __init__(self) -> None:
        super().__init__(SETTINGS)
        self.start()

    @property
    def pid(self) -> int:
        """Its first process."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def make_database(self) -> str:
        """Make an empty database; give its name."""
        name = self.create_database().rpartition("/")[2]
        self.execute("CREATE EXTENSION btree_gist", name)  # which the peer's tables need
        return name

    def table_bytes(self, database: str, pattern: str) -> int:
        """Sum up tables with their indexes."""
        ((size,),) = self.execute(
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
            f"WHERE relkind = 'r' AND relname ~ '{pattern}'",
            database,
        )
        return int(str(size))


class CountingProxy:
    """A port before the server that counts round trips: answers that a client waited for."""

    def __init__(self, port: int) -> None:
        self.port, self._to = free_port(), port
        self.n_trips = 0
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._to))
        other = {client: server, server: client}
        is_asked = False
        with client, server:
            while True:
                for end in select.select([client, server], [], [])[0]:
                    content = end.recv(1 << 16)
                    if not content:
                        return
                    if end is client:
                        is_asked = True
                    elif is_asked:
                        self.n_trips += 1
                        is_asked = False
                    other[end].sendall(content)
