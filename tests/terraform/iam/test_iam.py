"""What is needed is allowed, what would be harm is not, and nothing in a policy is idle."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from pathlib import Path

import pytest

from lsstpipe.datastore import Datastore
from lsstpipe.datastore.s3 import S3Files
from tests.terraform.iam import programs, state
from tests.terraform.iam.forbidden import forbidden
from tests.terraform.iam.mutants import REDUNDANT, Mutant, mutants_of
from tests.terraform.iam.needed import by_hand, requests_of
from tests.terraform.iam.recording import Call
from tests.terraform.iam.simulator import Answer, Question, Request, Simulator, question_of
from tests.terraform.iam.site import COMPUTE, HEAD, Site

pytestmark = pytest.mark.xdist_group("terraform")

REPOSITORY = Path(__file__).parents[3]

# Parts of the package that speak with AWS on machines; what a person runs elsewhere is not here.
ON_MACHINES = ("cluster", "datastore", "registry", "execute")
# Methods that make no call but a signature, and the operation that it is for.
SIGNED = {"generate_db_auth_token": "connect"}
# Calls that no machine of a cluster makes.
OF_OTHERS = {"get_secret_value": "clusters connect with tokens of IAM; secrets are for others"}
SERVICES_OF_OTHERS = {
    "pricing": "a person refreshes the prices",
    "secretsmanager": OF_OTHERS["get_secret_value"],
}
# Methods of a datastore that ask nothing of S3, or what nobody but a person may do.
NOT_ON_S3 = {
    "remove": "machines remove nothing",
    "sweep": "removes what was left behind, of folders only",
    "resolve": "makes a URL",
    "local_path": "of a file in a folder",
    "size": "asked by exists",
}


@pytest.fixture(scope="session")
def needed(site: Site, recorded: dict[str, list[Call]]) -> list[Request]:
    """All that must be allowed."""
    return [
        *requests_of(site, HEAD, recorded["head"]),
        *requests_of(site, COMPUTE, recorded["node"]),
        *by_hand(site),
        *state.needed(site),
    ]


@pytest.fixture(scope="session")
def harmful(site: Site) -> list[Request]:
    """All that must be refused."""
    return [*forbidden(site), *state.forbidden(site)]


def faults(requests: list[Request], answers: list[Answer], *, allowed: bool) -> str:
    """Say which answers are wrong, or were given to a question that AWS never asks."""
    return "\n".join(
        f"{request}: {answer}"
        for request, answer in zip(requests, answers, strict=True)
        if answer.allowed is not allowed or answer.error or answer.ignored
    )


def test_what_is_needed_is_allowed(site: Site, simulator: Simulator, needed: list[Request]) -> None:
    assert len(needed) > 100
    assert not faults(needed, simulator.judge(site, needed), allowed=True)


def test_what_would_be_harm_is_refused(
    site: Site, simulator: Simulator, harmful: list[Request]
) -> None:
    assert len({str(request) for request in harmful}) == len(harmful)
    readme = (REPOSITORY / "terraform" / "README.md").read_text()
    (said,) = re.findall(r"more than (\d+) requests that would be harm are refused", readme)
    assert len(harmful) > int(said)
    assert not faults(harmful, simulator.judge(site, harmful), allowed=False)


def test_each_part_of_each_policy_has_a_reason(
    site: Site, simulator: Simulator, needed: list[Request], harmful: list[Request]
) -> None:
    mutants = list(mutants_of(site))
    asked = [
        (mutant, in_place_of(mutant, question_of(site, request)))
        for mutant in mutants
        # Where it allows less, what is needed may fail; where it allows more, what would be harm.
        for request in (harmful if mutant.is_wider else needed)
        if mutant.touches(request) and mutant.address in policies_of(site, request)
    ]
    changed = site.policies | {str(mutant): mutant.policy for mutant in mutants}
    answers = simulator.ask(changed, [question for _, question in asked])
    found = {
        str(mutant)
        for (mutant, _), answer in zip(asked, answers, strict=True)
        if answer.allowed is mutant.is_wider
    }
    assert len(mutants) > 200
    assert {str(mutant) for mutant in mutants} - found == set(REDUNDANT)


def policies_of(site: Site, request: Request) -> set[str | None]:
    """Give the names of the policies that decide a request."""
    question = question_of(site, request)
    return {*question.identity, question.resource}


def in_place_of(mutant: Mutant, question: Question) -> Question:
    """Ask with a changed policy in place of what it was."""
    identity = [str(mutant) if name == mutant.address else name for name in question.identity]
    resource = str(mutant) if question.resource == mutant.address else question.resource
    return replace(question, identity=identity, resource=resource)


def test_every_call_in_the_code_was_recorded(recorded: dict[str, list[Call]]) -> None:
    calls = {call.operation for each in recorded.values() for call in each}
    written = {
        name
        for part in ON_MACHINES
        for path in (REPOSITORY / "lsstpipe" / part).glob("*.py")
        for names in re.findall(
            r"client\.(?:get_paginator\(\"(\w+)\"|(?!get_paginator)(\w+)\()", path.read_text()
        )
        for name in names
        if name
    }
    assert {"create_fleet", "describe_instances"} <= written
    unheard = {
        name
        for name in written - set(SIGNED) - {"close"}
        if name.replace("_", "") not in {operation.lower() for operation in calls}
    }
    assert unheard == set(OF_OTHERS)
    assert set(SIGNED.values()) <= calls
    services = {
        name
        for part in ON_MACHINES
        for path in (REPOSITORY / "lsstpipe" / part).glob("*.py")
        for name in re.findall(r"client\(\"([\w-]+)\"", path.read_text())
    }
    heard = {call.service for each in recorded.values() for call in each}
    assert services - heard - {"rds"} == set(SERVICES_OF_OTHERS)


def test_every_way_to_use_s3_was_recorded(recorded: dict[str, list[Call]]) -> None:
    source = inspect.getsource(programs.use_data)
    ways = {
        name
        for kind in (Datastore, S3Files)
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }
    used = set(re.findall(r"\.(\w+)\(", source))
    assert ways - used == set(NOT_ON_S3)
    assert "DeleteObject" not in {call.operation for each in recorded.values() for call in each}
