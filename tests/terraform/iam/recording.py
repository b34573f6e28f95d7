"""Writes down what programs ask of AWS, while they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import botocore
import s3fs


@dataclass(frozen=True)
class Call:
    """A call of an API.

    Attributes
    ----------
    service, operation
        As botocore names them.
    parameters
        What the program gave.
    """

    service: str
    operation: str
    parameters: dict[str, Any]

    @property
    def name(self) -> str:
        """Service and operation."""
        return f"{self.service} {self.operation}"


@contextmanager
def record_calls() -> Iterator[list[Call]]:
    """Record every call of boto3 and of s3fs, and what is signed without a call."""
    calls: list[Call] = []

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        calls.append(Call(model.service_model.service_name, model.name, dict(params)))

    def note_token(request: Any, operation_name: str, **_: Any) -> None:
        calls.append(Call("rds-db", operation_name, dict(request.data)))

    def listen(session: Any) -> None:
        session.register("provide-client-params", note)
        session.register("before-sign.rds.connect", note_token)

    # Only a session that begins from now on is heard.
    before, boto3.DEFAULT_SESSION = boto3.DEFAULT_SESSION, None
    s3fs.S3FileSystem.clear_instance_cache()
    botocore.register_initializer(listen)
    try:
        yield calls
    finally:
        botocore.unregister_initializer(listen)
        boto3.DEFAULT_SESSION = before
        s3fs.S3FileSystem.clear_instance_cache()
