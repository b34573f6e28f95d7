"""forced: measure every object at its coadd position on one visit image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import NonNegativeFloat, PositiveFloat
from scipy.spatial import cKDTree

from lsstpipe import datasets
from lsstpipe.algorithms.aperture import measure_apertures
from lsstpipe.algorithms.background import estimate_sky_variance
from lsstpipe.algorithms.forced import (
    ForcedSettings,
    PsfFluxes,
    PsfPositions,
    measure_psf_flux,
)
from lsstpipe.algorithms.isolate import (
    local_background,
    subtract_neighbours,
    subtract_sources,
)
from lsstpipe.algorithms.match import arcsec_to_chord
from lsstpipe.algorithms.measure_sources import flag_pixels
from lsstpipe.algorithms.planes import Planes
from lsstpipe.data_model import DataId
from lsstpipe.errors import NoWorkFound
from lsstpipe.geometry.sphere import unit_vectors
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.catalog import Catalog, concatenate
from lsstpipe.image.columns import FORCED_SOURCE, OBJECT
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.photocalib import photo_calib_from_json
from lsstpipe.image.psf import Psf
from lsstpipe.tasks.base import Json, TaskConfig, get_info

FloatArray = npt.NDArray[np.float64]

_APERTURE_RADIUS = 5.0
_SKY_RADIUS = 12.0


class Config(TaskConfig):
    """How to measure at given positions."""

    margin_pix: NonNegativeFloat = 0.0
    """Objects nearer than this to the edge of the image are not measured, in pixels."""

    max_masked: float = 0.3
    """Share of the PSF on unusable pixels from which a flux is flagged."""

    twin_radius_arcsec: PositiveFloat = 0.5
    """Within this an object of another band is the one of the visit's own band, in arcsec."""

    photon_weights: bool = True
    """Whether the fit weighs pixels by the photon noise of the sources too: light curves of bright
    stars scatter less, and an error of the PSF makes a bias that depends on the flux."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """A visit image, its final calibration, and the objects of the tract."""

    visit_image: Annotated[Exposure, datasets.visit_image]
    visit_summary: Annotated[Json, datasets.visit_summary]
    object: Annotated[Mapping[DataId, Catalog], datasets.object_]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    forced_source: Annotated[Catalog, datasets.forced_source]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Measure the primary objects of one tract on one detector of one visit.

    The errors are those of sky, read-out and the source's own photons; so are the weights of the
    fit, but with the photons of the model, so that no flux is biased by its own noise.
    """
    number = data_id.integer("detector")
    found = [d for d in inputs.visit_summary["detectors"] if d["detector"] == number]
    if not found:
        raise NoWorkFound("The joint fits left this detector out.")
    summary = found[0]
    objects = concatenate(OBJECT, inputs.object.values())
    objects = objects.select(objects["detect_isPrimary"].astype(bool))
    wcs = SkyWcs.from_json_dict(summary["wcs"])
    y, x = wcs.sky_to_pixel(objects["coord_ra"], objects["coord_dec"])
    exposure = inputs.visit_image
    box, margin = exposure.box, config.margin_pix
    inside = (y > box.y0 - 0.5 + margin) & (y < box.y0 + box.ny - 0.5 - margin)
    inside &= (x > box.x0 - 0.5 + margin) & (x < box.x0 + box.nx - 0.5 - margin)
    band, reach = get_info(exposure).band, config.twin_radius_arcsec
    inside[inside] = ~find_twins(objects.select(inside), band, radius_arcsec=reach)
    objects, y, x = objects.select(inside), y[inside], x[inside]
    if len(objects) == 0 or exposure.psf is None or exposure.aperture_correction is None:
        raise NoWorkFound("No object lies on this detector.")
    planes = Planes(exposure.image, exposure.variance, exposure.mask, box.y0, box.x0)
    psf = measure_psf_flux(
        planes,
        exposure.psf,
        y=y,
        x=x,
        sky_variance=estimate_sky_variance(planes),
        settings=ForcedSettings(max_masked=config.max_masked, photon_weights=config.photon_weights),
    )
    aperture, aperture_err, aperture_flag = _measure_aperture(planes, exposure.psf, psf, y=y, x=x)
    scale = photo_calib_from_json(summary["photo_calib"]).factor(y=y, x=x)
    psf_scale = scale * exposure.aperture_correction.factor(y=y, x=x)
    info = get_info(exposure)
    n = len(objects)
    return Outputs(
        Catalog(
            FORCED_SOURCE,
            {
                "objectId": objects["objectId"],
                "visit": np.full(n, data_id.integer("visit")),
                "detector": np.full(n, number),
                "band": np.full(n, info.band),
                "midpointMjdTai": np.full(n, info.mid_mjd),
                "coord_ra": objects["coord_ra"],
                "coord_dec": objects["coord_dec"],
                "x": x,
                "y": y,
                "psfFlux": psf.flux * psf_scale,
                "psfFluxErr": psf.error * psf_scale,
                "psfFlux_flag": psf.flag,
                "ap05Flux": aperture * scale,
                "ap05FluxErr": aperture_err * scale,
                "ap05Flux_flag": aperture_flag,
                **flag_pixels(planes, y=y, x=x, at_edge=psf.edge),
                "invalidPsfFlag": ~np.isfinite(psf.flux),
                "detect_isPrimary": objects["detect_isPrimary"],
            },
        )
    )


def find_twins(objects: Catalog, band: str, *, radius_arcsec: float) -> npt.NDArray[np.bool_]:
    """Find the objects that are there already as those of a band, or of one before theirs.

    Each band has objects of its own. Two of one source, fitted side by side, would share its light
    between them.

    Parameters
    ----------
    objects
        Object table.
    band
        The band whose objects stand for their sources.
    radius_arcsec
        How near they are.

    Returns
    -------
    is_twin
        One boolean an object.
    """
    bands = objects.columns["band"]
    unit = unit_vectors(objects["coord_ra"], objects["coord_dec"])
    reach = arcsec_to_chord(radius_arcsec)
    is_twin = np.zeros(len(objects), dtype=np.bool_)
    kept = bands == band
    for other in sorted(set(bands.tolist()) - {band}):
        own = np.flatnonzero(bands == other)
        if kept.any():
            distance, _ = cKDTree(unit[kept]).query(unit[own], distance_upper_bound=reach)
            is_twin[own] = np.isfinite(distance)
        kept[own] = ~is_twin[own]
    return is_twin


def _measure_aperture(
    planes: Planes, psf: Psf, fluxes: PsfFluxes, *, y: FloatArray, x: FloatArray
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
    """Sum a small aperture without the neighbours' light and what is left of the sky."""
    none = np.zeros(len(y))
    fit = PsfPositions(y, x, none, none, none.astype(bool), fluxes)
    subtracted = subtract_sources(planes, psf, fit)
    mosaic = subtract_neighbours(subtracted)
    sums = measure_apertures(mosaic.planes, y=mosaic.y, x=mosaic.x, radii=(_APERTURE_RADIUS,))
    area = np.pi * _APERTURE_RADIUS**2
    sky = local_background(subtracted, radius=_SKY_RADIUS)
    # The sky's own error: that of a median of the pixels within its radius.
    sky_err = sums.error[:, 0] * np.sqrt(np.pi / 2) * _APERTURE_RADIUS / _SKY_RADIUS
    return (
        sums.flux[:, 0] - area * sky,
        np.hypot(sums.error[:, 0], sky_err),
        sums.flag[:, 0] | sums.has_masked[:, 0],
    )
