"""Everything that would fail half-way, looked for before; nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from lsstpipe.cluster.prices import read_prices
from lsstpipe.errors import LsstpipeError
from lsstpipe.site import check_account, check_capacity, check_data, check_storage
from lsstpipe.site.findings import Aws, Finding, Look
from lsstpipe.site.settings import Settings

Check = Callable[[Look], Iterator[Finding]]

_TOLD = 300
"""Letters of an error that are shown: some are whole pages."""

CHECKS: tuple[Check, ...] = (
    check_account.check_roles,
    check_account.check_quotas,
    check_account.check_network_quotas,
    check_account.check_names,
    check_capacity.check_zones,
    check_capacity.check_types,
    check_capacity.check_spot,
    check_capacity.check_prices,
    check_capacity.check_images,
    check_data.check_new_network,
    check_data.check_existing_network,
    check_data.check_database,
    check_data.check_certificate,
    check_storage.check_lustre_quotas,
    check_storage.check_database_quotas,
)


def check(settings: Settings, aws: Aws | None = None, prices: Path | None = None) -> list[Finding]:
    """Look for what would fail.

    Parameters
    ----------
    settings
        Of the site.
    aws
        Whom to ask; boto3 where it is None.
    prices
        A table of prices; that of lsstpipe where it is None.

    Returns
    -------
    list of Finding
        All that was looked at; an ``error`` is what will fail.
    """
    region = settings.data.region
    if region not in _regions():
        return [Finding("region", "error", f"AWS has no region {region}.")]
    aws = aws or Aws(region)
    account = _ask_who(aws)
    if isinstance(account, Finding):
        return [account]
    look = Look(settings, read_prices(region, prices), aws, account)
    findings = [Finding("account", "ok", f"Account {account}, region {region}.")]
    for each in CHECKS:
        findings += run(each, look)
    return findings


def run(each: Check, look: Look) -> list[Finding]:
    """Run a check; where AWS does not answer, that is what it finds.

    Parameters
    ----------
    each
        The check.
    look
        The site.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    about = each.__name__.removeprefix("check_").replace("_", " ")
    findings = []
    try:
        for finding in each(look):
            findings.append(finding)
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        told = " ".join(str(error).split())[:_TOLD]
        findings.append(Finding(about, "unknown", f"AWS did not tell: {told}."))
    except LsstpipeError as error:
        findings.append(Finding(about, "unknown", f"It could not be worked out: {error}"))
    return findings


def _regions() -> list[str]:
    """Give the regions that boto3 knows; it asks nobody."""
    import boto3

    session = boto3.Session()
    partitions = session.get_available_partitions()
    return [
        region
        for partition in partitions
        for region in session.get_available_regions("ec2", partition)
    ]


def _ask_who(aws: Aws) -> str | Finding:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return str(aws.client("sts").get_caller_identity()["Account"])
    except (BotoCoreError, ClientError) as error:
        return Finding(
            "account", "error", f"AWS does not know you: {error}. Log in with aws configure or SSO."
        )
