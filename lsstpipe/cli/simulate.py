"""``lsstpipe simulate``."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("preset")
@click.option(
    "--to", "folder", required=True, type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write into, made if absent.",
)  # fmt: skip
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Of all chance.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--dry-run", is_flag=True, help="List the frames, write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def command(preset: str, folder: Path, seed: int, jobs: int, dry_run: bool, as_json: bool) -> None:
    """Write the raw frames of a simulated survey, its truth, and a campaign to process it.

    PRESET is unit, ci_small, ci_hsc or medium. The same preset and seed give the same bytes,
    whatever the number of processes. The folder then holds raw frames with calibration frames
    (raw/), a reference catalogue (refcat/), what is true (truth/) and campaign.yaml.

    \b
    Example:
      lsstpipe simulate ci_small --to runs/ci_small --jobs 2
      lsstpipe ingest runs/ci_small/campaign.yaml
    """
    from dataclasses import asdict

    from lsstpipe.cli.progress import progress_bar
    from lsstpipe.simulate.headers import raw_name
    from lsstpipe.simulate.presets import find_preset
    from lsstpipe.simulate.survey import make_survey
    from lsstpipe.simulate.write import write_survey

    survey = make_survey(find_preset(preset), seed)
    frames = survey.frames()
    if dry_run:
        names = [raw_name(survey, exposure, detector) for exposure, detector in frames]
        click.echo(json.dumps(names) if as_json else "\n".join(names))
        return
    with progress_bar("simulate", len(frames)) as advance:
        written = write_survey(preset, folder, seed, n_jobs=jobs, on_frame=advance)
    if as_json:
        click.echo(json.dumps(asdict(written), indent=1))
        return
    click.echo(
        f"{written.n_raws} raws ({written.n_science} of the sky) of {written.n_objects} objects, "
        f"{written.n_reference_stars} reference stars; next: lsstpipe ingest {written.campaign}"
    )
