"""Asks `iam-simulate` whether AWS would allow requests; npm installs it, for the tests alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.iam.site import ACCOUNT, REGION, Policy, Site
from tests.terraform.left_out import leave_out

HERE = Path(__file__).parent
INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")

# Of those who are not of the site. A person, or a role of another account, may do anything as far
# as the own account is asked; roles that services of AWS keep have no right to any key.
ELSEWHERE: dict[str, Policy] = {
    "anything": {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    },
    "anything but keys": {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "NotAction": "kms:*", "Resource": "*"}],
    },
}

Context = dict[str, str | list[str]]


@dataclass(frozen=True)
class Request:
    """What somebody asks of AWS.

    Attributes
    ----------
    who
        ARN of a role, or the name of a service of AWS.
    action, resource
        As IAM names them; `*` for an action that knows no resources.
    why
        What it is for, or what would be wrong.
    context
        What AWS knows besides, by the names of condition keys.
    """

    who: str
    action: str
    resource: str
    why: str
    context: Context = field(default_factory=dict)

    def __str__(self) -> str:
        who = self.who.rpartition("/")[2]
        return f"{who}: {self.action} {self.resource} {self.context} ({self.why})"

    @property
    def full_context(self) -> Context:
        """The context with what AWS adds to every request."""
        known: Context = {"aws:SecureTransport": "true"}
        if self.who.startswith("arn:"):
            known |= {"aws:PrincipalArn": self.who, "aws:PrincipalAccount": self.who.split(":")[4]}
        if self.action.startswith("s3:"):
            known["s3:TlsVersion"] = "1.3"
        if self.action.startswith("kms:") and self.who.startswith("arn:"):
            known["kms:CallerAccount"] = self.who.split(":")[4]
        if self.action.startswith("ec2:"):
            known["ec2:Region"] = REGION
        return known | self.context


@dataclass(frozen=True)
class Question:
    """A request, and by what names the policies are known that decide it."""

    request: Request
    identity: Sequence[str]
    resource: str | None

    def as_json(self) -> dict[str, Any]:
        """Give it as evaluate.mjs reads it."""
        request = self.request
        return {
            "request": {
                "principal": request.who,
                "action": request.action,
                "resource": {"resource": request.resource, "accountId": ACCOUNT},
                "contextVariables": request.full_context,
            },
            "identity": list(self.identity),
            "resource": self.resource,
        }


@dataclass(frozen=True)
class Answer:
    """Whether a request is allowed; why nobody can say; context keys that AWS does not give."""

    allowed: bool
    error: str | None
    ignored: tuple[str, ...]


def question_of(site: Site, request: Request) -> Question:
    """Find the policies that decide a request."""
    identity: Sequence[str] = ()
    if ":role/aws-service-role/" in request.who:
        identity = ["anything but keys"]
    elif request.who.startswith("arn:"):
        identity = site.identity.get(request.who, ["anything"])
    own = request.resource.partition("/")[0] if ":s3:::" in request.resource else request.resource
    return Question(request, identity, site.resource.get(own))


class Simulator:
    """IAM.

    Parameters
    ----------
    folder
        Where its package is installed.
    """

    def __init__(self, folder: Path) -> None:
        if shutil.which("npm") is None:
            pytest.skip("the program npm is not installed, which brings iam-simulate")
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        done = subprocess.run(INSTALL, cwd=folder, check=False, capture_output=True, text=True)
        if done.returncode:
            leave_out("iam-simulate", done.stderr)
        self._folder = folder

    def ask(self, policies: dict[str, Policy], questions: Iterable[Question]) -> list[Answer]:
        """Judge requests by policies."""
        given = {
            "documents": policies | ELSEWHERE,
            "questions": [question.as_json() for question in questions],
        }
        done = subprocess.run(
            ["node", str(HERE / "evaluate.mjs")],
            cwd=self._folder, input=json.dumps(given),
            check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return [
            Answer(row["allowed"], row["error"], tuple(row["ignored"]))
            for row in json.loads(done.stdout)
        ]

    def judge(self, site: Site, requests: Sequence[Request]) -> list[Answer]:
        """Judge requests by the policies of a site as they are."""
        return self.ask(site.policies, [question_of(site, request) for request in requests])
