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
    plan, whole_only
        As of `FlagTally.check`.
    manifests
        What was done.

    Raises
    ------
    UserError
        If there are more.
    """
    tally = FlagTally()
    for manifest in manifests:
        tally.add(manifest)
    tally.check(plan, whole_only=whole_only)


class FlagTally:
    """Counts of flagged quanta: all that is kept of many manifests."""

    def __init__(self) -> None:
        self._chunks: dict[str, set[str]] = defaultdict(set)
        self._n_all: dict[str, Counter[str]] = defaultdict(Counter)
        self._n_flagged: dict[str, Counter[str]] = defaultdict(Counter)
        self._example: dict[str, str] = {}

    def add(self, manifest: Manifest) -> None:
        """Count the quanta of a manifest.

        Parameters
        ----------
        manifest
            What was done.
        """
        stage = manifest.stage
        self._chunks[stage].add(manifest.chunk)
        for entry in manifest.quanta:
            self._n_all[stage][entry.record.task] += 1
            if entry.record.status == "flagged":
                self._n_flagged[stage][entry.record.task] += 1
                text = f"{entry.record.data_id}: {entry.record.message}"
                self._example.setdefault(stage, text)

    def check(self, plan: Plan, *, whole_only: bool) -> None:
        """Stop where a stage has more flagged quanta than its section of the campaign allows.

        Parameters
        ----------
        plan
            The plan, with the settings of its stages.
        whole_only
            Whether stages of which a chunk is not among the manifests are left alone: a few visits
            say little of all.

        Raises
        ------
        UserError
            If there are more.
        """
        for stage, counts in self._n_flagged.items():
            if whole_only and len(self._chunks[stage]) < len(plan.chunks.get(stage, {})):
                continue
            allowed = plan.campaign.stage(stage).max_flagged
            for task, n_bad in counts.items():
                n_all = self._n_all[stage][task]
                if n_bad > allowed * n_all:
                    raise UserError(
                        f"{n_bad} of {n_all} quanta of {stage}.{task} are flagged, more than "
                        f"{stage}.max_flagged = {allowed:g} allows; the first is "
                        f"{self._example[stage]}"
                    )
