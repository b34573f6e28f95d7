"""Compiled kernels: run a campaign only so that numba compiles, and tell what it had to compile.

Numba keeps what it compiles in ``__pycache__`` beside the sources, by the digest of the source, the
types of the arguments and the kind of processor. An environment in which every kernel was called
once with the types that jobs call it with is therefore ready for the jobs of every machine of one
kind that it is copied to. Which types those are nothing knows better than the tasks themselves: so
they run.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

from numba.core.registry import CPUDispatcher

from lsstpipe.config import Campaign
from lsstpipe.execute.ingest import find_raws, ingest
from lsstpipe.execute.stage import run_stage
from lsstpipe.plan.layout import plan_folder
from lsstpipe.plan.read import open_plan
from lsstpipe.plan.select import build_plan
from lsstpipe.plan.write import write_plan


@dataclass(frozen=True, slots=True)
class Kernels:
    """What numba did in this process.

    Attributes
    ----------
    n_compiled
        Kernels that were compiled, one for each set of argument types.
    n_loaded
        Those that had been compiled before.
    """

    n_compiled: int
    n_loaded: int


def compile_kernels(campaign: Campaign, on_stage: Callable[[str], None]) -> Kernels:
    """Run a campaign in a repository that is thrown away.

    Parameters
    ----------
    campaign
        The smallest one that has a raw for each calibration and a few visits will do.
    on_stage
        Called with the name of each stage that ended.

    Raises
    ------
    UserError
        If the campaign cannot be run.
    """
    with tempfile.TemporaryDirectory(prefix="lsstpipe-compile-") as folder:
        scratch = campaign.model_copy(update={"repo": f"{folder}/repo"})
        ingest(scratch, find_raws(scratch))
        write_plan(plan_folder(scratch.repo), build_plan(scratch), scratch)
        plan = open_plan(plan_folder(scratch.repo))
        for stage in plan.chunks:
            run_stage(plan, stage, 1)
            on_stage(stage)
    return count_kernels()


def count_kernels() -> Kernels:
    """Count what numba compiled and loaded in this process of the package's kernels."""
    modules = [module for name, module in sys.modules.items() if name.startswith("lsstpipe.")]
    found = {
        id(value): value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, CPUDispatcher)
    }
    stats = [dispatcher.stats for dispatcher in found.values()]
    return Kernels(
        n_compiled=sum(sum(s.cache_misses.values()) for s in stats),
        n_loaded=sum(sum(s.cache_hits.values()) for s in stats),
    )
