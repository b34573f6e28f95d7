"""Run the chunks of a stage, one after another or side by side in processes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from lsstpipe.execute.chunk import run_chunk
from lsstpipe.execute.manifest import Manifest
from lsstpipe.execute.policy import check_flagged
from lsstpipe.plan.layout import manifest_path
from lsstpipe.plan.read import Plan, open_plan


def run_stage(
    plan: Plan, stage: str, n_jobs: int, on_chunk: Callable[[str], None] = lambda name: None
) -> list[Manifest]:
    """Run all chunks of a stage, or what is left of them.

    Parameters
    ----------
    plan
        The plan.
    stage
        The stage.
    n_jobs
        How many chunks run at the same time.
    on_chunk
        Called with the name of each chunk that ended.

    Raises
    ------
    UserError
        If a stage before it has not run, or too many of its quanta were flagged.
    """
    names = list(plan.chunks.get(stage, {}))
    manifests: list[Manifest] = []
    work = partial(_run_one, plan.folder, stage)
    if n_jobs == 1:
        for name in names:
            manifests.append(work(name))
            on_chunk(name)
    else:
        # A forked child would inherit the threads and locks of compiled libraries.
        with ProcessPoolExecutor(n_jobs, mp_context=get_context("spawn")) as pool:
            futures = {pool.submit(work, name): name for name in names}
            for future in as_completed(futures):
                manifests.append(future.result())
                on_chunk(futures[future])
    check_flagged(plan, manifests, whole_only=False)
    return manifests


def _run_one(folder: Path, stage: str, name: str) -> Manifest:
    """Run a chunk of a plan on disk."""
    plan = open_plan(folder, only=stage)
    return run_chunk(plan, stage, name, manifest_path(plan.campaign.repo, stage, name))
