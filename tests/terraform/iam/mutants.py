"""Policies with one thing taken out: where no verdict changes, nothing speaks for that thing."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tests.terraform.iam.simulator import Request
from tests.terraform.iam.site import Policy, Site

# Conditions that another one beside them makes idle, with the reason why they stay.
REDUNDANT = {
    f"module.key.aws_kms_key.this without condition {name} StringEquals kms:CallerAccount": reason
    for name, reason in {
        "LustreLinks": "the ARN names the account, too; but a reader looks for this first",
        "SpotDisks": "the same",
        "SpotGrants": "the same",
    }.items()
}


@dataclass(frozen=True)
class Mutant:
    """A policy that lacks something.

    Attributes
    ----------
    address
        Whose policy.
    kind
        What is left out: a statement, a condition, an action, a resource, or who is meant.
    what
        The words that tell it from others.
    statement
        The statement as it was.
    policy
        The policy without it.
    """

    address: str
    kind: str
    what: str
    statement: dict[str, Any]
    policy: Policy

    def __str__(self) -> str:
        return f"{self.address} without {self.kind} {self.what}"

    @property
    def is_wider(self) -> bool:
        """Whether it can only allow more than before, not less."""
        return (self.kind == "condition") is (self.statement["Effect"] == "Allow")

    def touches(self, request: Request) -> bool:
        """Tell whether the statement speaks of what is requested at all."""
        # A trust policy names no resource.
        own = {"sts:AssumeRole": "*", "sts:AssumeRoleWithWebIdentity": "*"}
        resources = self.statement.get("Resource", own.get(request.action, []))
        return any(
            fnmatchcase(request.action, action) for action in _listed(self.statement["Action"])
        ) and any(fnmatchcase(request.resource, resource) for resource in _listed(resources))


def mutants_of(site: Site) -> Iterator[Mutant]:
    """Take each statement, condition, action, resource and service out of each policy in turn."""
    for address, policy in site.policies.items():
        for number, statement in enumerate(policy["Statement"]):
            name = statement["Sid"]
            without = copy.deepcopy(policy)
            del without["Statement"][number]
            yield Mutant(address, "statement", name, statement, without)
            for operator, keys in statement.get("Condition", {}).items():
                for key in keys:
                    changed = copy.deepcopy(policy)
                    condition = changed["Statement"][number]["Condition"]
                    del condition[operator][key]
                    if not condition[operator]:
                        del condition[operator]
                    what = f"{name} {operator} {key}"
                    yield Mutant(address, "condition", what, statement, changed)
            for part in ("Action", "Resource", "Principal"):
                yield from _shorter(address, policy, number, part)


def _shorter(address: str, policy: Policy, number: int, part: str) -> Iterator[Mutant]:
    """Take one out of several actions, resources or services."""
    statement = policy["Statement"][number]
    given = statement.get(part)
    values = given.get("Service") if isinstance(given, dict) else given
    if not isinstance(values, list) or len(values) < 2:
        return
    for value in values:
        changed = copy.deepcopy(policy)
        left = [other for other in values if other != value]
        changed["Statement"][number][part] = {"Service": left} if part == "Principal" else left
        yield Mutant(address, part.lower(), f"{statement['Sid']} {value}", statement, changed)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
