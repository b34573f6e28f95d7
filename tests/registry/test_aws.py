"""A registry on AWS that cannot be reached is one sentence, and its secrets stay hidden."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path

import boto3
import botocore.exceptions as aws
import pytest

from lsstpipe.errors import LsstpipeError, RepositoryError, TemporaryError
from lsstpipe.registry import postgres as postgres_module
from lsstpipe.registry.source import Source

IAM, SECRET = "auth=iam", "auth=secret&secret=mine"
REGION = "&region=us-west-2"
HIDDEN = "hunter2-is-it"


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that knows nothing of AWS."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "REGION",
                 "DEFAULT_REGION", "ENDPOINT_URL"):  # fmt: skip
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    # A session that another test left keeps the keys of that one.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


def refusal(query: str) -> LsstpipeError:
    """What a connection ends in; one sentence, without what lets a user in."""
    with pytest.raises(LsstpipeError) as refused:
        Source(f"postgresql://u@127.0.0.1:1/d?{query}").driver.connect()
    assert "\n" not in str(refused.value)
    shown = "".join(traceback.format_exception(refused.value)) + repr(refused.value)
    assert HIDDEN not in shown
    return refused.value


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (IAM, "token of AWS for the registry cannot be made: no region is known; give region="),
        (SECRET, "secret 'mine' of the registry cannot be read: no region is known; give region="),
        (IAM + REGION, "there are no credentials of AWS; set AWS_PROFILE"),
        (SECRET + REGION, "there are no credentials of AWS; set AWS_PROFILE"),
        (IAM + "&region=a b", "Provided region_name 'a b' doesn't match a supported format; the"),
    ],
)
def test_a_machine_without_account_or_region_is_told_so(query: str, says: str) -> None:
    error = refusal(query)
    assert isinstance(error, RepositoryError)
    assert says in str(error)


@pytest.mark.parametrize("query", [IAM + REGION, SECRET + REGION])
def test_what_must_be_installed_is_named(query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    error = refusal(query)
    assert isinstance(error, RepositoryError)
    assert "without boto3: install lsstpipe[aws]" in str(error)


class Secrets:
    """A client of AWS that answers as it is told."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def get_secret_value(self, **_: str) -> object:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    "answer",
    [
        {"SecretString": HIDDEN},
        {"SecretString": json.dumps(HIDDEN)},
        {"SecretString": json.dumps([HIDDEN])},
        {"SecretString": json.dumps({"password": HIDDEN})},
        {"SecretString": json.dumps({"username": "u", "password": [HIDDEN]})},
        {"SecretString": json.dumps({"username": HIDDEN})},
        {"SecretBinary": HIDDEN.encode()},
    ],
)
def test_a_secret_of_another_form_is_refused_without_showing_it(
    answer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_module, "_aws_client", lambda *_: Secrets(answer))
    error = refusal(SECRET + REGION)
    assert isinstance(error, RepositoryError)
    assert "'mine' of the registry cannot be read: it must be a JSON object with" in str(error)


def answer_of(code: str) -> aws.ClientError:
    return aws.ClientError({"Error": {"Code": code, "Message": HIDDEN}}, "GetSecretValue")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answer_of("AccessDeniedException"), RepositoryError),
        (answer_of("ThrottlingException"), TemporaryError),
        (aws.ReadTimeoutError(endpoint_url="https://h"), TemporaryError),
        (aws.EndpointConnectionError(endpoint_url="https://h", error="refused"), TemporaryError),
        (
            aws.EndpointConnectionError(
                endpoint_url="https://h", error="[Errno -2] Name or service not known"
            ),
            RepositoryError,
        ),
        (aws.CredentialRetrievalError(provider="p", error_msg=HIDDEN), RepositoryError),
        (ValueError(HIDDEN), RepositoryError),
    ],
)
def test_only_what_passes_is_temporary(
    error: Exception, kind: type[LsstpipeError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_module, "_aws_client", lambda *_: Secrets(error))
    assert type(refusal(SECRET + REGION)) is kind
