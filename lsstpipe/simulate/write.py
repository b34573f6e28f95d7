"""Write a survey: raw frames, truth, reference catalogue, and a campaign that processes it."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from astropy.io import fits

from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.errors import ConflictError
from lsstpipe.image.detector import Detector
from lsstpipe.io.json import read_json, write_json
from lsstpipe.io.parquet import write_catalog
from lsstpipe.simulate import truth as truths
from lsstpipe.simulate.detector import DetectorTruth, flat, make_detector_truth
from lsstpipe.simulate.draw import draw_sky, place_objects
from lsstpipe.simulate.headers import raw_header, raw_name
from lsstpipe.simulate.presets import find_preset
from lsstpipe.simulate.readout import collect, read_out
from lsstpipe.simulate.reference import (
    COLOUR_PIVOT_MAG,
    COLOUR_TERM,
    write_reference_catalog,
)
from lsstpipe.simulate.seeds import random_for
from lsstpipe.simulate.sky import make_scene
from lsstpipe.simulate.spots import draw_spots
from lsstpipe.simulate.survey import Exposure, Survey, make_survey

_TILE_ROWS = 16
_POINTING_RADIUS_ARCMIN = 2.0
"""Headers are right to some 5 arcsec."""

_BORDER_PIX = 100


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes
    ----------
    n_raws, n_science
        Raw frames, and those of them that are of the sky.
    n_objects, n_reference_stars
        Objects of the sky, and stars of the reference catalogue.
    campaign
        Path of the campaign file.
    """

    n_raws: int
    n_science: int
    n_objects: int
    n_reference_stars: int
    campaign: str


def write_survey(
    preset: str,
    folder: Path,
    seed: int,
    *,
    n_jobs: int = 1,
    on_frame: Callable[[str], None] = lambda name: None,
) -> Written:
    """Write a survey into a folder; the same preset and seed always give the same bytes.

    Parameters
    ----------
    preset
        Its name.
    folder
        Where; made if absent.
    seed
        Chooses everything random.
    n_jobs
        Processes that draw frames.
    on_frame
        Called with the name of each frame when it is written.

    Raises
    ------
    UserError
        If there is no preset of that name, or the folder holds another survey.
    """
    survey = make_survey(find_preset(preset), seed)
    truth_folder = folder / "truth"
    _check_folder(survey, truth_folder / "visits.json")
    scene = make_scene(survey)
    write_atomically(truth_folder / "objects.parquet", write_catalog(truths.objects_table(scene)))
    write_atomically(truth_folder / "visits.json", write_json(truths.visits_document(survey)))
    n_stars = write_reference_catalog(survey, folder / "refcat")
    _write_frames(preset, folder, seed, n_jobs, on_frame)
    campaign = folder / "campaign.yaml"
    text = yaml.safe_dump(campaign_document(survey, folder), sort_keys=False)
    write_atomically(campaign, text.encode())
    frames = survey.frames()
    n_science = sum(exposure.kind == "science" for exposure, _ in frames)
    return Written(len(frames), n_science, len(scene), n_stars, str(campaign))


def _check_folder(survey: Survey, path: Path) -> None:
    """Refuse a folder in which there is another survey: their raws would be taken for one."""
    if not path.exists():
        return
    there = read_json(path.read_bytes(), str(path))
    if (there["preset"], there["seed"]) != (survey.preset.name, survey.seed):
        raise ConflictError(
            f"{path.parents[1]} holds the survey {there['preset']} of seed {there['seed']}, not "
            f"{survey.preset.name} of seed {survey.seed}; name another folder, or remove it."
        )


def campaign_document(survey: Survey, folder: Path) -> dict[str, Any]:
    """Describe the campaign that processes a survey.

    Parameters
    ----------
    survey
        The survey.
    folder
        Where it is.
    """
    preset = survey.preset
    ra, dec = preset.centre_deg
    return {
        "name": preset.name,
        "instrument": preset.camera,
        "raws": [str(folder / "raw" / "*.fits.fz")],
        "repo": str(folder / "repo"),
        "run": "main",
        "reference_catalog": {
            "path": str(folder / "refcat"),
            "format": "lsst_shards",
            "bands": {band: _reference_band(band, preset.bands) for band in preset.bands},
        },
        "skymap": {
            "name": preset.name,
            "pixel_scale_arcsec": survey.camera.pixel_scale_arcsec,
            "patch_inner_y": preset.patch_pix,
            "patch_inner_x": preset.patch_pix,
            "border_pix": _BORDER_PIX,
            "tracts": [
                {
                    "ra_deg": ra,
                    "dec_deg": dec,
                    "n_patches_y": preset.n_patches,
                    "n_patches_x": preset.n_patches,
                }
            ],
        },
        "visits_per_chunk": 1,
        "visit": {"calibrate": {"pointing_radius_arcmin": _POINTING_RADIUS_ARCMIN}},
        "visit_summary": {
            "isolated_star": {"match_radius_arcsec": 1.0, "isolation_radius_arcsec": 2.0},
            "joint_astrometry": {"reference_radius_arcsec": 1.0},
            "joint_photometry": {"reference_radius_arcsec": 1.0},
        },
    }


def _write_frames(
    preset: str, folder: Path, seed: int, n_jobs: int, on_frame: Callable[[str], None]
) -> None:
    """Write the frames of each detector, the detectors shared out among processes."""
    survey = make_survey(find_preset(preset), seed)
    if n_jobs == 1:
        for place in range(len(survey.frames())):
            on_frame(write_frame(preset, folder, seed, place))
        return
    with ProcessPoolExecutor(n_jobs, mp_context=get_context("spawn")) as pool:
        done = [
            pool.submit(_write_some, preset, folder, seed, places)
            for places in _shares(survey, n_jobs)
        ]
        for future in as_completed(done):
            for name in future.result():
                on_frame(name)


def _shares(survey: Survey, n_jobs: int) -> list[list[int]]:
    """Keep the frames of a detector together, as a process has to make their detector first.

    At the end, where processes would wait for the one with the most, they share frame by frame.
    """
    detectors = [detector.number for _, detector in survey.frames()]
    together = [
        [place for place, _ in frames]
        for _, frames in groupby(enumerate(detectors), key=lambda frame: frame[1])
    ]
    n_whole = max(len(together) // n_jobs - 1, 0) * n_jobs
    return together[:n_whole] + [[place] for places in together[n_whole:] for place in places]


def _write_some(preset: str, folder: Path, seed: int, places: list[int]) -> list[str]:
    """Write some frames, as `write_frame` does, and name their files."""
    return [write_frame(preset, folder, seed, place) for place in places]


def _reference_band(band: str, bands: tuple[str, ...]) -> dict[str, Any]:
    """Tell how the catalogue's magnitudes become the camera's, as far as its bands allow."""
    if band not in ("g", "r") or not {"g", "r"} <= set(bands):
        return {"flux": band}
    other, slope = ("r", -COLOUR_TERM) if band == "g" else ("g", COLOUR_TERM)
    term = {"against": other, "c0": COLOUR_TERM * COLOUR_PIVOT_MAG, "c1": slope}
    return {"flux": band, "colour_term": term}


def write_frame(preset: str, folder: Path, seed: int, place: int) -> str:
    """Write one raw frame and what is true of it; the first of a detector also the detector's.

    Parameters
    ----------
    preset, folder, seed
        As of `write_survey`.
    place
        Place of the frame in the survey's list.

    Returns
    -------
    str
        Name of its file.
    """
    survey = make_survey(find_preset(preset), seed)
    frames = survey.frames()
    exposure, detector = frames[place]
    truth = make_detector_truth(survey, detector.number)
    if place == 0 or frames[place - 1][1] is not detector:
        stem = folder / "truth" / "detectors" / f"{detector.number:03d}"
        write_atomically(stem.with_suffix(".json"), write_json(truths.detector_document(truth)))
        write_atomically(stem.with_suffix(".fits"), truths.detector_images(truth, survey))
    light = illuminate(survey, exposure, detector, truth, folder)
    rng = random_for("frame", survey.seed, exposure.number, detector.number)
    charge, rays = collect(truth, light, exposure.time_s, rng)
    raw, _ = read_out(truth, charge, rng)
    name = raw_name(survey, exposure, detector)
    write_atomically(folder / "raw" / name, raw_bytes(raw, raw_header(survey, exposure, detector)))
    if exposure.kind == "science":
        path = folder / "truth" / "rays" / _stem(exposure, detector)
        write_atomically(path, write_catalog(truths.rays_table(rays)))
    return name


def illuminate(
    survey: Survey, exposure: Exposure, detector: Detector, truth: DetectorTruth, folder: Path
) -> npt.NDArray[np.float32]:
    """Give the electrons that are expected in each pixel, flat applied.

    Parameters
    ----------
    survey, exposure, detector, truth
        What is lit by what.
    folder
        Where to write which objects are on the detector.
    """
    shape = (detector.ny, detector.nx)
    if exposure.kind == "flat":
        return np.float32(exposure.level_electron) * flat(truth, survey, exposure.band)
    if exposure.kind == "spot":
        light = np.float32(exposure.level_electron) * draw_spots(detector)
        return light * flat(truth, survey, exposure.band)
    if exposure.kind != "science":
        return np.zeros(shape, dtype=np.float32)
    drawn = place_objects(survey, exposure, detector)
    table = truths.placed_table(make_scene(survey), drawn, shape)
    path = folder / "truth" / "visits" / _stem(exposure, detector)
    write_atomically(path, write_catalog(table))
    image = draw_sky(survey, exposure, detector, drawn)
    if exposure.band == survey.preset.fringe_band:
        image += np.float32(exposure.sky_electron) * truth.fringe
    return image * flat(truth, survey, exposure.band)


def _stem(exposure: Exposure, detector: Detector) -> str:
    """Name a file of one detector of one exposure."""
    return f"{exposure.number}-{detector.number:03d}.parquet"


def raw_bytes(raw: npt.NDArray[np.uint16], header: fits.Header) -> bytes:
    """Turn a raw frame into the bytes of a Rice-compressed FITS file.

    Parameters
    ----------
    raw
        ADU.
    header
        Its cards.
    """
    hdu = fits.CompImageHDU(
        raw, header=header, compression_type="RICE_1", tile_shape=(_TILE_ROWS, raw.shape[1])
    )
    sink = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(sink)
    return sink.getvalue()
