"""Large apertures against the light that was put in."""

import numpy as np
import pytest

from lsstpipe.algorithms.growth import measure_growth
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.mask import MaskPlane
from lsstpipe.image.psf import CellPsf

SHAPE = (140, 160)
ORIGIN = (1000, 2000)


@pytest.fixture
def psf() -> CellPsf:
    offset = np.arange(41) - 20
    line = np.exp(-0.5 * (offset / 3.0) ** 2)
    return CellPsf((np.outer(line, line) / line.sum() ** 2)[None, None], *ORIGIN, 1000)


def draw(psf: CellPsf, position: np.ndarray, flux: np.ndarray) -> Planes:
    image = np.zeros((SHAPE[0] + 80, SHAPE[1] + 80))
    stamps = psf.stamps(y=position[:, 0], x=position[:, 1]) * flux[:, None, None]
    for (y, x), stamp in zip(np.floor(position + 0.5).astype(int) - ORIGIN, stamps, strict=True):
        image[y + 20 : y + 61, x + 20 : x + 61] += stamp
    drawn = image[40:-40, 40:-40].astype(np.float32)
    mask = np.zeros(SHAPE, dtype=np.int32)
    return Planes(drawn, np.full(SHAPE, 4.0, dtype=np.float32), mask, *ORIGIN)


POSITION = np.array([[1060.2, 2070.4], [1070.9, 2081.3], [1100.0, 2120.0], [1005.0, 2100.0]])
FLUX = np.array([1e5, 3e5, 2e4, 5e4])


def test_a_large_aperture_holds_a_stars_light_and_none_of_its_neighbours(psf: CellPsf) -> None:
    planes = draw(psf, POSITION, FLUX)
    grown = measure_growth(
        planes, psf, position=POSITION, flux=FLUX, stars=np.array([0, 2]), radii=(6.0, 19.0)
    )
    # A Gaussian has 1 - exp(-r^2 / 2 sigma^2) of its light within r.
    expected = FLUX[[0, 2], None] * (1 - np.exp(-(np.array([6.0, 19.0]) ** 2) / 18))
    np.testing.assert_allclose(grown.flux, expected, rtol=0.01)
    assert not grown.flag.any()
    np.testing.assert_allclose(grown.error[:, 1], 2 * np.sqrt(np.pi) * 19, rtol=0.01)


def test_what_the_psf_does_not_describe_of_a_star_is_measured_all_the_same(psf: CellPsf) -> None:
    planes = draw(psf, POSITION[:1], FLUX[:1])
    halo = np.zeros(SHAPE, dtype=np.float32)
    halo[60 - 14 : 60 - 10, 70] = 500.0
    planes.image[:] += halo
    grown = measure_growth(
        planes, psf, position=POSITION[:1], flux=FLUX[:1], stars=np.array([0]), radii=(19.0,)
    )
    assert grown.flux[0, 0] == pytest.approx(FLUX[0] + 2000.0, rel=2e-4)


def test_pixels_that_were_not_measured_are_those_of_the_star_itself(psf: CellPsf) -> None:
    planes = draw(psf, POSITION, FLUX)
    planes.mask[50:60, 71] = int(MaskPlane.BAD)
    planes.image[50:60, 71] = 7e4
    grown = measure_growth(
        planes, psf, position=POSITION, flux=FLUX, stars=np.array([0]), radii=(19.0,)
    )
    assert grown.flux[0, 0] == pytest.approx(FLUX[0], rel=2e-4)
    assert not grown.has_masked.any()


def test_an_aperture_that_the_edge_cuts_is_flagged(psf: CellPsf) -> None:
    planes = draw(psf, POSITION, FLUX)
    grown = measure_growth(
        planes, psf, position=POSITION, flux=FLUX, stars=np.array([3]), radii=(4.0, 19.0)
    )
    assert grown.flag.tolist() == [[False, True]]


def test_no_star_gives_no_row_and_the_image_stays_as_it_is(psf: CellPsf) -> None:
    planes = draw(psf, POSITION, FLUX)
    before = planes.image.copy()
    none = measure_growth(
        planes,
        psf,
        position=np.vstack([POSITION, [[-1e6, -1e6]]]),
        flux=np.append(FLUX, np.nan),
        stars=np.empty(0, dtype=np.int64),
        radii=(5.0,),
    )
    assert none.flux.shape == (0, 1)
    np.testing.assert_array_equal(planes.image, before)
