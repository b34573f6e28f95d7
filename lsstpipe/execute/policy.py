"""How much of a stage may be flagged before the campaign stops."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from lsstpipe.errors import UserError
from lsstpipe.execute.manifest import Manifest
from lsstpipe.plan.read import Plan


def check_flagged(plan: Plan, manifests: Iterable[Manifest], *, whole_only: bool) -> None:
    """Stop where a stage has more flagged quanta than its section of the campaign allows.

    Parameters
    ----------
    plan
        The plan, with the settings of its stages.
    manifests
        What was done.
    whole_only
        Whether stages of which a chunk is not among the manifests are left alone: a few visits say
        little of all.

    Raises
    ------
    UserError
        If there are more.
    """
    chunks: Counter[str] = Counter()
    n_all: dict[str, Counter[str]] = defaultdict(Counter)
    n_flagged: dict[str, Counter[str]] = defaultdict(Counter)
    example: dict[str, str] = {}
    for manifest in manifests:
        chunks[manifest.stage] += 1
        for entry in manifest.quanta:
            n_all[manifest.stage][entry.record.task] += 1
            if entry.record.status == "flagged":
                n_flagged[manifest.stage][entry.record.task] += 1
                example.setdefault(
                    manifest.stage, f"{entry.record.data_id}: {entry.record.message}"
                )
    for stage, counts in n_flagged.items():
        if whole_only and chunks[stage] < len(plan.chunks.get(stage, {})):
            continue
        allowed = plan.campaign.stage(stage).max_flagged
        for task, n_bad in counts.items():
            if n_bad > allowed * n_all[stage][task]:
                raise UserError(
                    f"{n_bad} of {n_all[stage][task]} quanta of {stage}.{task} are flagged, more "
                    f"than {stage}.max_flagged = {allowed:g} allows; the first is {example[stage]}"
                )
