"""A PostgreSQL in place of RDS: TLS only, users by IAM, an owner whose password is a secret."""

from __future__ import annotations

import json
import secrets
import subprocess
from pathlib import Path
from typing import Any

from tests.postgres_server import PostgresServer
from tests.site.iam_login import NAME_PREFIX, Account, IamLogin

HOST = "trial-registry.abcdefghijkl.us-east-1.rds.amazonaws.com"
OWNER = "registry_owner"
DATABASE = "registry"
RDS_PORT = 5432


def answer(port: int) -> str:
    """Give what AWS would answer to Terraform about the database, as outputs of its module."""
    return (
        'output "resource_id" {\n  value = "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"\n}\n'
        f'output "endpoint" {{\n  value = {{\n    host = "{HOST}"\n    port = {port}\n'
        "    database = aws_db_instance.this.db_name\n  }\n}\n"
    )


class RegistryServer:
    """A database as `terraform/modules/registry_db` asks RDS for it, on this host.

    It is reached by RDS's name, which its certificate carries, at this host's address.

    Parameters
    ----------
    account
        Whose users may sign in.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self.server = PostgresServer(user="rdsadmin")
        self.host, self.port = HOST, self.server.port
        self.login = IamLogin(account, f"{HOST}:{self.port}")
        self.bundle = self.server.folder / "bundle.pem"
        self._password = secrets.token_urlsafe(24)

    @property
    def environment(self) -> dict[str, str]:
        """What clients need: RDS's name has no address here, and its authority is a local one."""
        return {"PGHOSTADDR": "127.0.0.1", "PGSSLROOTCERT": str(self.bundle)}

    def start(self) -> None:
        """Start it, with an empty database, its owner, and the role that RDS has for IAM."""
        folder, data = self.server.folder, self.server.data
        make_certificates(folder, HOST)
        self.server.give(folder / "server.key")
        with (data / "postgresql.conf").open("a") as file:
            file.write(
                f"ssl = on\nssl_cert_file = '{folder}/server.crt'\n"
                f"ssl_key_file = '{folder}/server.key'\n"
            )
        (data / "pg_hba.conf").write_text(
            f"hostssl all +rds_iam 127.0.0.1/32 ldap ldapserver=127.0.0.1 "
            f'ldapport={self.login.port} ldapprefix="{NAME_PREFIX}"\n'
            "hostssl all all 127.0.0.1/32 scram-sha-256\n"
        )
        self.login.start()
        self.server.start()
        self.server.execute("CREATE ROLE rds_iam")
        self.server.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE PASSWORD '{self._password}'")
        self.server.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")

    def keep_secret(self, client: Any) -> str:
        """Keep the owner's password as RDS does; give the secret's ARN."""
        content = json.dumps({"username": OWNER, "password": self._password})
        secret = client.create_secret(Name="rds!db-0123456789abcdef", SecretString=content)
        return str(secret["ARN"])

    def connect(self, **settings: str) -> None:
        """Connect as somebody and go again; settings are libpq's."""
        import psycopg2

        own = {
            "host": self.host, "hostaddr": "127.0.0.1", "port": str(self.port),
            "dbname": DATABASE, "user": "lsstpipe", "sslmode": "verify-full",
            "sslrootcert": str(self.bundle),
        }  # fmt: skip
        psycopg2.connect(**(own | settings)).close()

    def remove(self) -> None:
        """Stop it and delete its files."""
        self.server.remove()
        self.login.stop()


def make_certificates(folder: Path, host: str) -> None:
    """Make an authority, the bundle with it, and a certificate that it has signed for a host."""
    new_key = ("-newkey", "rsa:2048", "-nodes")
    _openssl(
        folder, "req", "-x509", *new_key, "-days", "2", "-subj", "/CN=Authority of a test",
        "-keyout", "authority.key", "-out", "bundle.pem",
    )  # fmt: skip
    _openssl(
        folder, "req", *new_key, "-subj", f"/CN={host[:64]}", "-keyout", "server.key",
        "-out", "server.csr",
    )  # fmt: skip
    (folder / "names").write_text(f"subjectAltName=DNS:{host}\n")
    _openssl(
        folder, "x509", "-req", "-in", "server.csr", "-CA", "bundle.pem", "-CAkey",
        "authority.key", "-CAcreateserial", "-days", "2", "-extfile", "names",
        "-out", "server.crt",
    )  # fmt: skip
    for name in ("bundle.pem", "server.crt"):
        (folder / name).chmod(0o644)


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
