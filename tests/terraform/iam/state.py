"""Terraform's state and the role of CI that plans with it: what must be allowed, and what never."""

from __future__ import annotations

from collections.abc import Iterator

from tests.terraform.iam.needed import ADMIN, IN_SERVICE_OF_EC2, IN_SERVICE_OF_S3, LUSTRE, SPOT
from tests.terraform.iam.simulator import Context, Request
from tests.terraform.iam.site import ACCOUNT, COMPUTE, CONFIG, HEAD, PRODUCTS, REGION, ROLES, Site

CI = f"{ROLES}/survey-plan"
STATE = f"arn:aws:s3:::survey-{ACCOUNT}-state"
ISSUER = "token.actions.githubusercontent.com"
SUBJECT = "repo:survey/lsstpipe:ref:refs/heads/main"
SETTINGS = [
    "-var=name=survey", f"-var=region={REGION}", f'-var=ci={{subjects=["{SUBJECT}"]}}',
]  # fmt: skip
"""With what the root `bootstrap` is applied."""

_TAKE = "sts:AssumeRoleWithWebIdentity"
_OTHER_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000"


def needed(site: Site) -> list[Request]:
    """Give all that CI and people do with the state."""
    return [*_plans(site), *_people(site)]


def _token(subject: str = SUBJECT, audience: str = "sts.amazonaws.com") -> Context:
    return {f"{ISSUER}:aud": audience, f"{ISSUER}:sub": subject}


def _plans(site: Site) -> Iterator[Request]:
    """What `terraform plan -lock=false` asks (Terraform, "Backend Type: s3", Permissions)."""
    yield Request(site.token_provider, _TAKE, CI, "CI takes its role with its own token", _token())
    yield Request(CI, "s3:ListBucket", STATE, "looks for the state")
    for root in ("data", "cluster"):
        yield Request(CI, "s3:GetObject", f"{STATE}/lsstpipe/{root}.tfstate", "reads the state")
    yield Request(CI, "kms:Decrypt", site.state_key, "the state is encrypted", IN_SERVICE_OF_S3)


def _people(site: Site) -> Iterator[Request]:
    """What who applies does; the lock is an object beside the state."""
    for name in ("cluster.tfstate", "cluster.tfstate.tflock"):
        for action in ("GetObject", "PutObject", "DeleteObject"):
            where = f"{STATE}/lsstpipe/{name}"
            yield Request(ADMIN, f"s3:{action}", where, "applies")
    for action in ("Decrypt", "GenerateDataKey"):
        yield Request(ADMIN, f"kms:{action}", site.state_key, "applies", IN_SERVICE_OF_S3)


def forbidden(site: Site) -> list[Request]:
    """Give all that must be refused."""
    return [*_ci(site), *_tokens(site), *_state(), *_key(site)]


def _ci(site: Site) -> Iterator[Request]:
    """What the role of CI may not do: it changes nothing, and reads the state alone."""
    own = f"{STATE}/lsstpipe/cluster.tfstate"
    for action in ("PutObject", "DeleteObject", "DeleteObjectVersion", "PutObjectAcl"):
        yield Request(CI, f"s3:{action}", own, "changes the state")
    for action in ("PutBucketPolicy", "DeleteBucket", "PutBucketVersioning"):
        yield Request(CI, f"s3:{action}", STATE, "changes the bucket of the state")
    yield Request(CI, "s3:GetObject", f"{STATE}/other/a.tfstate", "reads another project's state")
    for bucket in (PRODUCTS, CONFIG, "arn:aws:s3:::other-state"):
        yield Request(CI, "s3:ListBucket", bucket, "looks into another bucket")
        yield Request(CI, "s3:GetObject", f"{bucket}/lsstpipe/a", "reads another bucket")
    for action in ("Encrypt", "GenerateDataKey", "CreateGrant", "ScheduleKeyDeletion"):
        yield Request(CI, f"kms:{action}", site.state_key, "does more than read with the key")
    for key in (site.key, _OTHER_KEY):
        yield Request(CI, "kms:Decrypt", key, "reads with another key", IN_SERVICE_OF_S3)
    yield Request(CI, "sts:AssumeRole", ADMIN, "becomes another")
    yield Request(CI, "iam:AttachRolePolicy", CI, "gives itself rights")
    yield Request(CI, "iam:PassRole", HEAD, "gives a machine the rights of the head node")
    yield Request(CI, "ec2:TerminateInstances", f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-0", "")


def _tokens(site: Site) -> Iterator[Request]:
    """Tokens that are not of that repository, for AWS, of that service."""
    for subject in (
        "repo:other/lsstpipe:ref:refs/heads/main", "repo:survey/other:ref:refs/heads/main",
        "repo:survey/lsstpipe:ref:refs/heads/other", "repo:survey/lsstpipe:pull_request",
    ):  # fmt: skip
        yield Request(site.token_provider, _TAKE, CI, "a token of another repository or branch",
                      _token(subject))  # fmt: skip
    yield Request(
        site.token_provider, _TAKE, CI, "a token that is not for AWS", _token(audience="other")
    )
    other = f"arn:aws:iam::{ACCOUNT}:oidc-provider/gitlab.com"
    yield Request(other, _TAKE, CI, "a token of another service", _token())
    for role in (HEAD, COMPUTE):
        yield Request(site.token_provider, _TAKE, role, "CI becomes a machine", _token())


def _state() -> Iterator[Request]:
    """Who else would read or spoil the state."""
    plain: Context = {"aws:SecureTransport": "false"}
    old: Context = {"s3:TlsVersion": "1.1"}
    where = f"{STATE}/lsstpipe/data.tfstate"
    for context, why in ((plain, "without TLS"), (old, "with an old TLS")):
        for action in ("GetObject", "PutObject"):
            yield Request(ADMIN, f"s3:{action}", where, f"uses the state {why}", context)
        yield Request(ADMIN, "s3:ListBucket", STATE, f"looks for the state {why}", context)
    stranger = "arn:aws:iam::999999999999:role/survey-plan"
    for who, why in (
        (HEAD, "a machine"), (COMPUTE, "a machine"), (stranger, "another account"),
    ):  # fmt: skip
        for action in ("GetObject", "PutObject"):
            yield Request(who, f"s3:{action}", where, f"{why} uses the state")


def _key(site: Site) -> Iterator[Request]:
    """Nobody but the account itself uses the key of the state."""
    stranger = "arn:aws:iam::999999999999:role/survey-plan"
    for who in (HEAD, COMPUTE, stranger):
        yield Request(who, "kms:Decrypt", site.state_key, "reads the state", IN_SERVICE_OF_S3)
    for who in (SPOT, LUSTRE):
        yield Request(who, "kms:Decrypt", site.state_key, "no service needs it", IN_SERVICE_OF_EC2)
    ours: Context = {"aws:SourceAccount": ACCOUNT}
    for service in ("budgets", "cloudwatch", "sns"):
        who = f"{service}.amazonaws.com"
        yield Request(who, "kms:Decrypt", site.state_key, "no service needs it", ours)
