"""One simulated night, taken through all tasks in order and in memory, once a session."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.data_model import DataId
from lsstpipe.geometry.skymap import PatchGrid, SkyMap
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.exposure import Exposure
from lsstpipe.tasks import (
    assemble,
    calibrate,
    dark,
    defects,
    flat,
    forced,
    isolated_star,
    isr,
    joint_astrometry,
    joint_photometry,
    tables,
    visit_summary,
    warp,
)
from lsstpipe.tasks import object as object_task
from lsstpipe.tasks.base import Json
from tests.tasks.simulated_world import CENTRE, SCALE_ARCSEC, SHAPE, World, simulate_world

DETECTOR_ID = DataId(instrument="st10", detector=0)
TRACT_ID = DataId(instrument="st10", skymap="sim", tract=0)
STAINED_VISIT = 4
STAIN_NJY = 40_000_000.0


@dataclass(frozen=True)
class Calibs:
    dark: Exposure
    defects: Exposure
    flat: Exposure


@dataclass(frozen=True)
class Joint:
    stars: Catalog
    summaries: dict[DataId, Json]
    astrometry: Json
    photometry: Json
    visit_summary: dict[DataId, Json]


@dataclass(frozen=True)
class Coadds:
    """Warps by patch, what was assembled from them, and an artefact that no mask tells of."""

    warps: dict[int, dict[DataId, Exposure]]
    coadds: dict[DataId, Exposure]
    n_images: dict[DataId, Exposure]
    summaries: dict[DataId, Json]
    stain: npt.NDArray[np.bool_]
    """Pixels of one visit image, in the coordinates of the detector."""


@pytest.fixture(scope="session")
def world() -> World:
    return simulate_world()


@pytest.fixture(scope="session")
def calibs(world: World) -> Calibs:
    master = dark.run(dark.Inputs(world.raw_darks, None), dark.Config(), DETECTOR_ID).dark
    bad = defects.run(defects.Inputs(None, master), defects.Config(), DETECTOR_ID).defects
    made = flat.run(
        flat.Inputs(world.raws, None, master, bad.mask), flat.Config(), DETECTOR_ID
    ).flat
    return Calibs(master, bad, made)


@pytest.fixture(scope="session")
def post_isr(world: World, calibs: Calibs) -> dict[DataId, Exposure]:
    made = {}
    for visit, raw in zip(world.visits, world.raws.values(), strict=True):
        inputs = isr.Inputs(raw, None, calibs.dark, calibs.defects.mask, calibs.flat)
        made[visit.data_id] = isr.run(inputs, isr.Config(), visit.data_id).post_isr_image
    return made


@pytest.fixture(scope="session")
def calibrated(world: World, post_isr: dict[DataId, Exposure]) -> dict[DataId, calibrate.Outputs]:
    # The true PSF is the same all over the detector: a lower degree is right, and quicker.
    config = calibrate.Config(psf_order=1)
    return {
        key: calibrate.run(calibrate.Inputs(image, world.reference), config, key)
        for key, image in post_isr.items()
    }


@pytest.fixture(scope="session")
def joint(world: World, calibrated: dict[DataId, calibrate.Outputs]) -> Joint:
    stars = isolated_star.run(
        isolated_star.Inputs({key: made.source for key, made in calibrated.items()}),
        isolated_star.Config(),
        TRACT_ID,
    ).isolated_star
    summaries = {key: made.visit_detector_summary for key, made in calibrated.items()}
    astrometry = joint_astrometry.run(
        joint_astrometry.Inputs(stars, summaries, world.reference),
        joint_astrometry.Config(),
        TRACT_ID,
    ).joint_astrometry
    photometry = joint_photometry.run(
        joint_photometry.Inputs(stars, summaries, world.reference),
        joint_photometry.Config(),
        TRACT_ID,
    ).joint_photometry
    made = visit_summary.run(
        visit_summary.Inputs(summaries, astrometry, photometry), visit_summary.Config(), TRACT_ID
    )
    return Joint(stars, summaries, astrometry, photometry, dict(made.visit_summary))


@pytest.fixture(scope="session")
def skymap() -> Json:
    """One tract of two patches that overlap by 80 pixels, a little smaller than the field."""
    grid = PatchGrid(n_y=1, n_x=2, inner_ny=700, inner_nx=530, border=40)
    return SkyMap.discrete("sim", [CENTRE], SCALE_ARCSEC, grid).to_json_dict()


def draw_stain(world: World) -> npt.NDArray[np.bool_]:
    """Draw a short trail and a hot pixel far from all stars."""
    visit = world.visits[STAINED_VISIT]
    stain = np.zeros(SHAPE, dtype=bool)
    rows, columns = np.mgrid[100 : SHAPE[0] - 100 : 5, 150 : SHAPE[1] - 150 : 5]
    far = np.ones(rows.shape, dtype=bool)
    for y, x in zip(visit.y, visit.x, strict=True):
        far &= np.hypot(rows - y, columns - x) > 18
    free = np.argwhere(far)
    for (i, j), length in ((free[0], 8), (free[len(free) // 2], 1), (free[-1], 6)):
        along = np.arange(length)
        stain[rows[i, j] + along // 2, columns[i, j] + along] = True
    return stain


@pytest.fixture(scope="session")
def coadds(
    world: World, calibrated: dict[DataId, calibrate.Outputs], joint: Joint, skymap: Json
) -> Coadds:
    stain = draw_stain(world)
    warps: dict[int, dict[DataId, Exposure]] = {0: {}, 1: {}}
    coadds, n_images, summaries = {}, {}, {}
    for patch, own in warps.items():
        for i, (key, made) in enumerate(calibrated.items()):
            image = made.visit_image
            if i == STAINED_VISIT:
                excess = np.where(stain, np.float32(STAIN_NJY), np.float32(0))
                image = replace(image, image=image.image + excess)
            quantum = DataId(
                instrument="st10", skymap="sim", tract=0, patch=patch, visit=key["visit"]
            )
            summary = joint.visit_summary[key.subset(("instrument", "visit"))]
            inputs = warp.Inputs({key: image}, summary, skymap)
            own[quantum] = warp.run(inputs, warp.Config(), quantum).direct_warp
        quantum = DataId(skymap="sim", tract=0, patch=patch, band="clear")
        made_coadd = assemble.run(assemble.Inputs(own), assemble.Config(), quantum)
        coadds[quantum] = made_coadd.deep_coadd
        n_images[quantum] = made_coadd.deep_coadd_n_image
        summaries[quantum] = made_coadd.deep_coadd_summary
    return Coadds(warps, coadds, n_images, summaries, stain)


@pytest.fixture(scope="session")
def objects(coadds: Coadds, skymap: Json) -> dict[DataId, Catalog]:
    made = {}
    for key, coadd in coadds.coadds.items():
        patch = key.subset(("skymap", "tract", "patch"))
        inputs = object_task.Inputs({key: coadd}, {key: coadds.n_images[key]}, skymap)
        made[patch] = object_task.run(inputs, object_task.Config(), patch).object
    return made


@pytest.fixture(scope="session")
def forced_sources(
    calibrated: dict[DataId, calibrate.Outputs], joint: Joint, objects: dict[DataId, Catalog]
) -> dict[DataId, Catalog]:
    made = {}
    for key, visit in calibrated.items():
        quantum = DataId(dict(key), skymap="sim", tract=0)
        summary = joint.visit_summary[key.subset(("instrument", "visit"))]
        inputs = forced.Inputs(visit.visit_image, summary, objects)
        made[quantum] = forced.run(inputs, forced.Config(), quantum).forced_source
    return made


@pytest.fixture(scope="session")
def all_tables(
    calibrated: dict[DataId, calibrate.Outputs],
    joint: Joint,
    objects: dict[DataId, Catalog],
    forced_sources: dict[DataId, Catalog],
) -> tables.Outputs:
    source = {key: made.source for key, made in calibrated.items()}
    inputs = tables.Inputs(source, objects, forced_sources, joint.visit_summary)
    return tables.run(inputs, tables.Config(), TRACT_ID)
