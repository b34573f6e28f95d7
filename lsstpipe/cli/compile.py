"""``lsstpipe compile``."""

from __future__ import annotations

import json
from dataclasses import asdict

import click


@click.command()
@click.argument("campaign")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def command(campaign: str, as_json: bool) -> None:
    """Compile all kernels into the installed environment, so that no job has to.

    Runs CAMPAIGN, a YAML file, in a folder that is thrown away; its products are not kept. Give it
    a small campaign of the camera. Called again it compiles nothing: that is the proof. What is
    compiled serves processors of the same kind; where they differ, set NUMBA_CPU_NAME to the oldest
    (x86-64-v3, say) and NUMBA_CPU_FEATURES to what that has, here and for the jobs: with the name
    alone numba still takes the features of each machine. The user of the jobs must be able to write
    into the environment, or into the folder NUMBA_CACHE_DIR: numba does not read from folders that
    it could not write to.

    \b
    Example:
      lsstpipe compile config/campaigns/demo.yaml
    """
    from lsstpipe.cli.progress import progress_bar
    from lsstpipe.config import load_campaign
    from lsstpipe.execute.kernels import compile_kernels
    from lsstpipe.stages import STAGES

    settings = load_campaign(campaign)
    with progress_bar("compile", sum(bool(stage.tasks) for stage in STAGES.values())) as advance:
        kernels = compile_kernels(settings, advance)
    if as_json:
        click.echo(json.dumps(asdict(kernels)))
        return
    click.echo(f"{kernels.n_compiled} kernels compiled, {kernels.n_loaded} had been before.")
