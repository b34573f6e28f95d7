"""An HTTP proxy on loopback that spoils some of the answers of the server behind it."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Fault = Literal[
    "500", "503", "409", "skewed", "reset", "lose_answer", "truncate", "damage", "delay"
]
"""
``500``, ``503``, ``409``   the server says InternalError, SlowDown, ConditionalRequestConflict
``skewed``                  the server says RequestTimeTooSkewed, and that it is `SKEW_S` later
``reset``                   the connection breaks before the request is passed on
``lose_answer``             the request is done, and the connection breaks before the answer
``truncate``                the body breaks off in the middle
``damage``                  the first byte of the body is another
``delay``                   the answer comes after `DELAY_S`
"""

DELAY_S = 1.5
SKEW_S = 3600.0

_CODES = {
    "500": (500, "InternalError"),
    "503": (503, "SlowDown"),
    "409": (409, "ConditionalRequestConflict"),
    "skewed": (403, "RequestTimeTooSkewed"),
}
_NOT_PASSED_ON = {"connection", "transfer-encoding", "content-length", "keep-alive"}

Rule = Callable[[str, str, int], Fault | None]
"""The fault for a method, a path with its query, and the number of the request; None for none."""


@dataclass
class Plan:
    """What goes wrong, and what was asked for."""

    rule: Rule = lambda method, path, number: None
    requests: list[tuple[str, str]] = field(default_factory=list)
    bytes_sent: int = 0

    def clear(self) -> None:
        """Forget what was asked for, and let nothing go wrong."""
        self.rule = lambda method, path, number: None
        self.requests.clear()
        self.bytes_sent = 0


class FaultProxy:
    """A proxy with a plan of faults; a context manager that starts and stops it."""

    def __init__(self, backend: tuple[str, int]) -> None:
        self.plan = Plan()
        self._server = _Server(backend, self.plan)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def first(n: int, fault: Fault, method: str = "", part: str = "") -> Rule:
    """Spoil the first requests of a method whose path has a part."""
    seen = 0
    lock = threading.Lock()

    def rule(asked: str, path: str, _: int) -> Fault | None:
        nonlocal seen
        if (method and asked != method) or part not in path:
            return None
        with lock:
            seen += 1
            return fault if seen <= n else None

    return rule


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, backend: tuple[str, int], plan: Plan) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.backend = backend
        self.plan = plan
        self.lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a client that ran out of patience
            super().handle()

    def _pass_on(self) -> None:
        body = self._read_body()
        with self.server.lock:
            self.server.plan.requests.append((self.command, self.path))
            number = len(self.server.plan.requests)
        fault = self.server.plan.rule(self.command, self.path, number)
        if fault == "reset":
            self._reset()
            return
        if fault in _CODES:
            self._refuse(fault)
            return
        if fault == "delay":
            time.sleep(DELAY_S)
        answer, content = self._ask(body)
        if fault == "lose_answer":
            self._reset()
            return
        if fault == "damage":
            content = bytes([content[0] ^ 255]) + content[1:] if content else content
        self._answer(answer, content, cut=fault == "truncate")

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on  # noqa: N815  (their names)

    def _read_body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.flush()
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._read_chunks()
        return self._read_whole(int(self.headers.get("Content-Length") or 0))

    def _read_chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().split(b";")[0] or b"-1", 16):
            parts.append(self._read_whole(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _read_whole(self, size: int) -> bytes:
        """Read as much as was announced: of a client that was killed no half reaches the server."""
        content = self.rfile.read(size)
        if len(content) != size:
            raise ConnectionResetError
        return content

    def _ask(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(*self.server.backend)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _NOT_PASSED_ON}
        headers["Content-Length"] = str(len(body))
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer, content

    def _answer(self, answer: http.client.HTTPResponse, content: bytes, *, cut: bool) -> None:
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _NOT_PASSED_ON | {"server", "date"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        sent = content[: len(content) // 2] if cut else content
        self.wfile.write(sent)
        with self.server.lock:
            self.server.plan.bytes_sent += len(sent)
        if cut:
            self.wfile.flush()
            self._reset()

    def _refuse(self, fault: Fault) -> None:
        status, code = _CODES[fault]
        content = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode()
        self.send_response_only(status)
        now = time.time() + (SKEW_S if fault == "skewed" else 0.0)
        self.send_header("Date", self.date_time_string(int(now)))
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True
        raise ConnectionResetError
