"""Ingest: the same whoever reads the files, and each that cannot be used named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import small_repository as small

from lsstpipe.butler import Butler
from lsstpipe.config import load_campaign
from lsstpipe.errors import ConflictError
from lsstpipe.execute.ingest import find_raws, ingest
from lsstpipe.plan.layout import ingest_manifest_path

ROOT = Path(__file__).parents[2]


def test_several_processes_register_and_refuse_what_one_does(tmp_path: Path) -> None:
    raws = tmp_path / "raws"
    shutil.copytree(ROOT / "data" / "tres1", raws, ignore=shutil.ignore_patterns("*.md", "*.txt"))
    damaged, strange = sorted(raws.glob("*.fits.fz"))[3:5]
    damaged.write_bytes(damaged.read_bytes()[:20_000])
    strange.write_text("no FITS")
    demo = load_campaign(ROOT / "config" / "campaigns" / "demo.yaml")
    catalog = demo.reference_catalog.model_copy(update={"path": str(raws / "tycho2_tres1.csv")})
    told = {}
    for n_jobs in (1, 2):
        campaign = demo.model_copy(
            update={
                "raws": (str(raws / "*.fits.fz"),),
                "repo": str(tmp_path / str(n_jobs)),
                "reference_catalog": catalog,
            }
        )
        paths, read = find_raws(campaign), []
        assert len(paths) >= 32  # enough for two processes
        result = ingest(campaign, paths, read.append, n_jobs=n_jobs)
        assert read == paths
        assert [item.path for item in result.refused] == [str(damaged), str(strange)]
        assert result.n_new == len(paths) - 2
        told[n_jobs] = ingest_manifest_path(campaign.repo).read_bytes()
    assert told[1] == told[2]


def test_a_frozen_run_keeps_its_sky_map(tmp_path: Path) -> None:
    demo = load_campaign(ROOT / "config" / "campaigns" / "demo.yaml")
    raws = ROOT / "data" / "tres1"
    paths = [str(raws / f"tres1-{name}.fits.fz") for name in ("001d", "024")]
    catalog = demo.reference_catalog.model_copy(update={"path": str(raws / "tycho2_tres1.csv")})
    campaign = demo.model_copy(update={"repo": str(tmp_path), "reference_catalog": catalog})
    ingest(campaign, paths)
    with Butler(tmp_path) as butler:
        butler.registry.freeze(campaign.run)
    before = small.state_of(tmp_path)
    ingest(campaign, paths)
    assert small.state_of(tmp_path) == before
    scale = campaign.skymap.pixel_scale_arcsec / 2
    changed = campaign.model_copy(
        update={"skymap": campaign.skymap.model_copy(update={"pixel_scale_arcsec": scale})}
    )
    with pytest.raises(ConflictError, match=r"is frozen.* Give the campaign another `run`"):
        ingest(changed, paths)
    assert small.state_of(tmp_path) == before
