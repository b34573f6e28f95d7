"""Judges requests to buckets by their policies, conditions included, which moto leaves out.

What cannot be seen on this host's wire is taken as on AWS: the connection has TLS 1.3.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

Json = dict[str, Any]
Context = Mapping[str, str | None]
"""What AWS knows of a request; None for what the request says nothing about."""

_CREDENTIAL = re.compile(r"Credential=([^/]+)/")
_HEADERS = {
    "s3:x-amz-server-side-encryption": "x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id": "x-amz-server-side-encryption-aws-kms-key-id",
}


def find_denial(policy: Json, action: str, resource: str, context: Context) -> str:
    """Give the Sid of the statement that denies a request; empty where none does.

    Parameters
    ----------
    policy
        Of the bucket.
    action, resource
        What is asked for, such as ``s3:PutObject``, and the ARN of what.
    context
        What its conditions may look at.
    """
    for statement in policy["Statement"]:
        if (
            statement["Effect"] == "Deny"
            and _matches(statement["Action"], action)
            and _matches(statement["Resource"], resource)
            and _holds(statement.get("Condition", {}), context)
        ):
            return str(statement["Sid"])
    return ""


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _matches(patterns: Any, value: str) -> bool:
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in _as_list(patterns))


def _holds(conditions: Mapping[str, Json], context: Context) -> bool:
    """Tell whether all conditions hold."""
    return all(
        _compare(operator, _as_list(values), context[key])
        for operator, operands in conditions.items()
        for key, values in operands.items()
    )


def _compare(operator: str, values: list[Any], given: str | None) -> bool:
    """Compare as the IAM User Guide says, "Condition operators": what is absent equals nothing."""
    texts = [str(value) for value in values]
    if operator == "Null":
        return (given is None) == (texts == ["true"])
    if operator in ("StringNotEquals", "ArnNotEquals", "ArnNotLike"):
        return given is None or not any(fnmatch.fnmatchcase(given, text) for text in texts)
    if given is None:
        return False
    if operator in ("Bool", "StringEquals"):
        return given in texts
    if operator in ("ArnLike", "ArnEquals"):
        return any(fnmatch.fnmatchcase(given, text) for text in texts)
    if operator == "NumericLessThan":
        return float(given) < float(texts[0])
    raise ValueError(f"There is no rule here for the condition operator {operator}.")


@contextmanager
def judging(principals: Mapping[str, str]) -> Iterator[list[str]]:
    """Let moto judge by policies of buckets as AWS does; give what was denied, as it comes.

    Parameters
    ----------
    principals
        ARN of who has a key, by its id.
    """
    from flask import request
    from moto.iam.access_control import PermissionResult
    from moto.s3.models import FakeBucket

    denied: list[str] = []

    def judge(bucket: Any, action: str, resource: str) -> PermissionResult:
        if bucket.policy is None:
            return PermissionResult.NEUTRAL
        signed = _CREDENTIAL.search(request.headers.get("Authorization", ""))
        action = {"s3:HeadObject": "s3:GetObject"}.get(action, action)
        context = {
            "aws:SecureTransport": "true",
            "s3:TlsVersion": "1.3",
            "aws:PrincipalArn": principals.get(signed[1]) if signed else None,
            "aws:SourceAccount": None,
            "aws:SourceArn": None,
            **{key: request.headers.get(header) for key, header in _HEADERS.items()},
        }
        if sid := find_denial(json.loads(bucket.policy), action, resource, context):
            denied.append(f"{sid}: {action} {resource}")
            return PermissionResult.DENIED
        return PermissionResult.NEUTRAL

    own = FakeBucket.get_permission
    FakeBucket.get_permission = judge
    try:
        yield denied
    finally:
        FakeBucket.get_permission = own
