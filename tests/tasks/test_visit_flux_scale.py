"""PSF fluxes put on the scale of an aperture, against stars of known growth."""

import numpy as np
import pytest

from lsstpipe.algorithms.measure_sources import Columns
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.psf import CellPsf
from lsstpipe.tasks.visit_flux_scale import FluxScale, correct_apertures

SIDE, SIGMA = 400, 4.0
Y, X = (c.ravel() for c in np.meshgrid(np.arange(50, 400, 100), np.arange(50, 400, 100)))
FLUX = np.linspace(1e5, 5e5, len(Y))


def enclosed(radius: float) -> float:
    """Share of a Gaussian's light within a radius."""
    return float(1 - np.exp(-(radius**2) / (2 * SIGMA**2)))


@pytest.fixture(scope="module")
def sky() -> tuple[Planes, CellPsf, Columns]:
    """Gaussian stars, and a PSF model that is cut at 12 pixels and of sum 1 all the same."""
    y, x = np.mgrid[:SIDE, :SIDE]
    image = np.zeros((SIDE, SIDE))
    for yy, xx, flux in zip(Y, X, FLUX, strict=True):
        radius2 = (y - yy) ** 2 + (x - xx) ** 2
        image += flux * np.exp(-radius2 / (2 * SIGMA**2)) / (2 * np.pi * SIGMA**2)
    offset = np.arange(25) - 12
    line = np.exp(-(offset**2) / (2 * SIGMA**2))
    psf = CellPsf((np.outer(line, line) / line.sum() ** 2)[None, None], 0, 0, SIDE)
    none = np.zeros(len(Y), dtype=bool)
    columns: Columns = {
        "y": Y.astype(np.float64),
        "x": X.astype(np.float64),
        "psfFlux": FLUX,
        "psfFlux_flag": none,
        "ap06Flux": FLUX * enclosed(6),
        "ap06FluxErr": np.full(len(Y), 100.0),
        "ap06Flux_flag": none,
    }
    variance = np.full((SIDE, SIDE), 10.0, dtype=np.float32)
    planes = Planes(image.astype(np.float32), variance, np.zeros((SIDE, SIDE), dtype=np.int32))
    return planes, psf, columns


def test_an_aperture_of_the_catalogue_is_taken_from_its_columns(
    sky: tuple[Planes, CellPsf, Columns],
) -> None:
    planes, psf, columns = sky
    made = correct_apertures(
        columns, np.arange(len(Y)), planes, psf, FluxScale("ap06", None, max_order=0)
    )
    assert made.factor(y=200.0, x=200.0) == pytest.approx(enclosed(6), abs=1e-6)


@pytest.mark.parametrize("radius", [10.0, 20.0])
def test_a_wider_aperture_is_measured_on_the_image(
    sky: tuple[Planes, CellPsf, Columns], radius: float
) -> None:
    planes, psf, columns = sky
    made = correct_apertures(
        columns, np.arange(len(Y)), planes, psf, FluxScale("ap06", radius, max_order=0)
    )
    assert made.factor(y=200.0, x=200.0) == pytest.approx(enclosed(radius), abs=2e-3)
    assert made.n_stars == len(Y)
