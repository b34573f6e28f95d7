"""What signs users of RDS in by IAM: an LDAP server that checks tokens as AWS does.

PostgreSQL hands it name and password of whoever connects, by LDAP's simple bind. The password must
be a token of `generate-db-auth-token`: a signed URL for this server, this user, this region and
these fifteen minutes (Signature Version 4, query string).
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import socketserver
import threading
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote

_ALLOWED, _INVALID_CREDENTIALS = 0, 49
_BIND_REQUEST, _BIND_RESPONSE = 0x60, 0x61
NAME_PREFIX = "cn="


@dataclass(frozen=True)
class Account:
    """An account of AWS with one key.

    Attributes
    ----------
    key, secret
        The key.
    region
        Where the database is.
    """

    key: str
    secret: str
    region: str


def is_valid(
    token: str, user: str, endpoint: str, account: Account, now: datetime.datetime
) -> bool:
    """Tell whether a token lets a user in, as AWS would."""
    where, _, query = token.partition("/?")
    given = dict(parse_qsl(query))
    signature = given.pop("X-Amz-Signature", "")
    date = given.get("X-Amz-Date", "")
    scope = f"{date[:8]}/{account.region}/rds-db/aws4_request"
    expected = {
        "Action": "connect",
        "DBUser": user,
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{account.key}/{scope}",
        "X-Amz-Date": date,
        "X-Amz-Expires": "900",
        "X-Amz-SignedHeaders": "host",
    }
    if where != endpoint or given != expected:
        return False
    begins = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    in_time = datetime.timedelta(minutes=-1) < now - begins < datetime.timedelta(minutes=15)
    return in_time and hmac.compare_digest(signature, _sign(endpoint, given, scope, account.secret))


def _sign(endpoint: str, query: dict[str, str], scope: str, secret: str) -> str:
    """Sign an empty GET request (AWS General Reference, "Create a signed AWS API request")."""
    line = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(query.items()))
    nothing = hashlib.sha256(b"").hexdigest()
    request = f"GET\n/\n{line}\nhost:{endpoint}\n\nhost\n{nothing}"
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{digest}"
    return hmac.new(key, text.encode(), "sha256").hexdigest()


@dataclass
class IamLogin:
    """The server: it counts whom it has let in and whom not.

    Attributes
    ----------
    account
        Whose key signs.
    endpoint
        Host and port of the database, which a token must name.
    ahead
        How far its clock is ahead of this host's: beyond a quarter of an hour, every token that is
        made here has expired.
    """

    account: Account
    endpoint: str
    ahead: datetime.timedelta = datetime.timedelta()
    n_allowed: int = 0
    n_refused: int = 0
    _server: socketserver.ThreadingTCPServer = field(init=False)
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        login = self

        class Connection(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while (message := _read_message(self.rfile)) is not None:
                    number, kind, content = _open_message(message)
                    if kind != _BIND_REQUEST:
                        return
                    code = login.decide(*_open_bind(content))
                    self.wfile.write(_answer(number, code))

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def decide(self, name: str, password: str) -> int:
        """Decide whether somebody is let in."""
        user = name.removeprefix(NAME_PREFIX)
        now = datetime.datetime.now(datetime.UTC) + self.ahead
        if is_valid(password, user, self.endpoint, self.account, now):
            self.n_allowed += 1
            return _ALLOWED
        self.n_refused += 1
        return _INVALID_CREDENTIALS

    def start(self) -> None:
        """Start it."""
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop it."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


def _read_message(stream: object) -> bytes | None:
    """Read one message of BER: a tag, a length, so many bytes."""
    head = stream.read(2)  # type: ignore[attr-defined]
    if len(head) < 2:
        return None
    length = head[1]
    if length & 0x80:
        length = int.from_bytes(stream.read(length & 0x7F))  # type: ignore[attr-defined]
    return bytes(stream.read(length))  # type: ignore[attr-defined]


def _take(content: bytes) -> tuple[int, bytes, bytes]:
    """Take the first element: its tag, what it holds, and what comes after it."""
    tag, length, start = content[0], content[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(content[2:start])
    return tag, content[start : start + length], content[start + length :]


def _open_message(message: bytes) -> tuple[bytes, int, bytes]:
    """Give number, kind and content of a message."""
    _, number, rest = _take(message)
    kind, content, _ = _take(rest)
    return number, kind, content


def _open_bind(content: bytes) -> tuple[str, str]:
    """Give name and password of a simple bind."""
    _, _version, rest = _take(content)
    _, name, rest = _take(rest)
    _, password, _ = _take(rest)
    return name.decode(), password.decode()


def _answer(number: bytes, code: int) -> bytes:
    result = bytes((0x0A, 1, code, 0x04, 0, 0x04, 0))
    body = bytes((0x02, len(number))) + number + bytes((_BIND_RESPONSE, len(result))) + result
    return bytes((0x30, len(body))) + body
