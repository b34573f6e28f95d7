"""What a campaign took that has run, so that it can be priced elsewhere."""

from __future__ import annotations

from lsstpipe.errors import UserError
from lsstpipe.execute.manifest import read_manifest
from lsstpipe.plan.layout import manifest_path
from lsstpipe.plan.read import Plan
from lsstpipe.site.bill import Work

_SECONDS_AN_HOUR = 3600


def measure_work(plan: Plan) -> Work:
    """Sum up what the finished chunks of a campaign took.

    Parameters
    ----------
    plan
        Its plan.

    Raises
    ------
    UserError
        If none has finished.
    """
    paths = [
        manifest_path(plan.campaign.repo, stage, name)
        for stage, chunks in plan.chunks.items()
        for name in chunks
    ]
    entries = [entry for path in paths if path.exists() for entry in read_manifest(path).quanta]
    if not entries:
        raise UserError(
            f"No chunk of the campaign in {plan.campaign.repo} has finished: nothing can be priced."
        )
    return Work(
        core_hours=sum(entry.record.cpu_s for entry in entries) / _SECONDS_AN_HOUR,
        product_gb=sum(entry.record.bytes_written for entry in entries) / 1e9,
        objects=sum(len(entry.files) for entry in entries),
    )
