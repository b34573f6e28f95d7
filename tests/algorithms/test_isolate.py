from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.algorithms.detect import DetectionSettings, detect_sources
from lsstpipe.algorithms.forced import PsfFluxes, PsfPositions
from lsstpipe.algorithms.isolate import (
    HALF_SIZE,
    Mosaic,
    local_background,
    share_blends,
    subtract_neighbours,
    subtract_sources,
)
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.image.psf import CellPsf

FloatArray = npt.NDArray[np.float64]

SHAPE = (90, 120)
ORIGIN = (500, 700)
SIZE = 2 * HALF_SIZE + 1


@pytest.fixture(scope="module")
def psf() -> CellPsf:
    offset = np.arange(25) - 12
    line = np.exp(-0.5 * (offset / 1.5) ** 2)
    return CellPsf((np.outer(line, line) / line.sum() ** 2)[None, None], *ORIGIN, 1000)


def draw(psf: CellPsf, y: FloatArray, x: FloatArray, flux: FloatArray) -> Planes:
    """Draw stars without noise on an image whose first pixel is at `ORIGIN`."""
    image = np.zeros((SHAPE[0] + 80, SHAPE[1] + 80))
    for yy, xx, stamp in zip(y, x, psf.stamps(y=y, x=x) * flux[:, None, None], strict=True):
        j, i = int(np.floor(yy + 0.5)) - ORIGIN[0] + 28, int(np.floor(xx + 0.5)) - ORIGIN[1] + 28
        image[j : j + 25, i : i + 25] += stamp
    ones = np.ones(SHAPE, dtype=np.float32)
    drawn = image[40:-40, 40:-40].astype(np.float32)
    return Planes(drawn, ones, np.zeros(SHAPE, dtype=np.int32), *ORIGIN)


def positions(y: FloatArray, x: FloatArray, flux: FloatArray) -> PsfPositions:
    nothing, no = np.zeros(len(y)), np.zeros(len(y), dtype=bool)
    fluxes = PsfFluxes(
        flux=flux, error=nothing + 1, flag=no, off_image=no, edge=no, masked_share=nothing,
        blend_factor=nothing + 1, chi2=nothing, n_pixels=np.full(len(y), 625),
    )  # fmt: skip
    return PsfPositions(y, x, nothing + 0.1, nothing + 0.1, no, fluxes)


def stamp_of(mosaic: Mosaic, i: int) -> npt.NDArray[np.float32]:
    return mosaic.planes.image[i * SIZE : (i + 1) * SIZE]


Y = np.array([540.3, 543.9, 560.1])
X = np.array([740.2, 745.4, 790.7])
FLUX = np.array([1e4, 4e3, 7e3])


def test_a_stamp_holds_its_own_star_alone(psf: CellPsf) -> None:
    mosaic = subtract_neighbours(
        subtract_sources(draw(psf, Y, X, FLUX), psf, positions(Y, X, FLUX))
    )
    own = psf.stamps(y=Y, x=X) * FLUX[:, None, None]
    margin = HALF_SIZE - psf.size // 2
    for i in range(3):
        expected = np.zeros((SIZE, SIZE))
        expected[margin:-margin, margin:-margin] = own[i]
        assert stamp_of(mosaic, i) == pytest.approx(expected, abs=1e-2)


def test_the_positions_on_the_mosaic_keep_their_fractions_of_a_pixel(psf: CellPsf) -> None:
    mosaic = subtract_neighbours(
        subtract_sources(draw(psf, Y, X, FLUX), psf, positions(Y, X, FLUX))
    )
    centre = np.arange(3) * SIZE + HALF_SIZE
    assert mosaic.y == pytest.approx(centre + np.array([0.3, -0.1, 0.1]))
    assert mosaic.x == pytest.approx(HALF_SIZE + np.array([0.2, 0.4, -0.3]))


def test_where_a_stamp_leaves_the_image_there_is_no_data(psf: CellPsf) -> None:
    y, x, flux = np.array([502.0]), np.array([817.0]), np.array([1e4])
    planes = draw(psf, y, x, flux)
    mosaic = subtract_neighbours(subtract_sources(planes, psf, positions(y, x, flux)))
    empty = has(mosaic.planes.mask, MaskPlane.NO_DATA)
    expected = np.ones((SIZE, SIZE), dtype=bool)
    expected[HALF_SIZE - 2 :, : HALF_SIZE + 3] = False
    assert (empty == expected).all()
    assert (mosaic.planes.variance[~expected] == 1.0).all()


def test_a_source_without_a_position_has_no_data_at_all(psf: CellPsf) -> None:
    planes = draw(psf, Y, X, FLUX)
    y, x = np.append(Y, np.nan), np.append(X, np.nan)
    mosaic = subtract_neighbours(
        subtract_sources(planes, psf, positions(y, x, np.append(FLUX, np.nan)))
    )
    assert has(mosaic.planes.mask[3 * SIZE :], MaskPlane.NO_DATA).all()
    three = subtract_neighbours(subtract_sources(planes, psf, positions(Y, X, FLUX)))
    assert (mosaic.planes.image[: 3 * SIZE] == three.planes.image).all()


@pytest.mark.parametrize("plane", [MaskPlane.BAD, MaskPlane.CR, MaskPlane.INTRP])
def test_a_pixel_that_was_not_measured_takes_the_value_of_the_psf(
    psf: CellPsf, plane: MaskPlane
) -> None:
    clean = draw(psf, Y, X, FLUX)
    hit = draw(psf, Y, X, FLUX)
    hit.image[42, 43] = 1e6
    hit.mask[42, 43] = int(plane)
    fit = positions(Y, X, FLUX)
    mosaic, expected = (
        subtract_neighbours(subtract_sources(planes, psf, fit)) for planes in (hit, clean)
    )
    assert mosaic.planes.image == pytest.approx(expected.planes.image, abs=1e-2)
    assert (mosaic.planes.mask == expected.planes.mask).all()


def test_saturated_pixels_stay_masked_on_the_stamps(psf: CellPsf) -> None:
    planes = draw(psf, Y, X, FLUX)
    planes.mask[42, 43] = int(MaskPlane.SAT | MaskPlane.INTRP)
    mosaic = subtract_neighbours(subtract_sources(planes, psf, positions(Y, X, FLUX)))
    hit = np.argwhere(has(mosaic.planes.mask[:SIZE], MaskPlane.SAT))
    assert hit.tolist() == [[HALF_SIZE + 2, HALF_SIZE + 3]]


def test_what_is_left_around_a_star_is_the_background(psf: CellPsf) -> None:
    planes = draw(psf, Y, X, FLUX)
    slope = planes.image + np.linspace(3.0, 9.0, SHAPE[1], dtype=np.float32)
    tilted = Planes(slope, planes.variance, planes.mask, *ORIGIN)
    left = local_background(subtract_sources(tilted, psf, positions(Y, X, FLUX)), radius=8.0)
    assert left == pytest.approx(3.0 + 6.0 * (X - ORIGIN[1]) / (SHAPE[1] - 1), abs=0.06)


def test_the_image_is_left_as_it_was(psf: CellPsf) -> None:
    planes = draw(psf, Y, X, FLUX)
    before = planes.image.copy()
    subtract_neighbours(subtract_sources(planes, psf, positions(Y, X, FLUX)))
    assert (planes.image == before).all()


def test_children_of_a_blend_have_all_of_its_light_in_the_right_shares(psf: CellPsf) -> None:
    planes = draw(psf, Y, X, FLUX)
    stamp = psf.stamp(y=545.0, x=760.0)
    detection = detect_sources(planes, stamp, DetectionSettings(n_sigma=5.0))
    order = np.argsort(detection.x)
    assert len(order) == 3
    assert detection.footprint[order[0]] == detection.footprint[order[1]]
    assert detection.footprint[order[2]] != detection.footprint[order[0]]
    fit = positions(detection.y, detection.x, np.zeros(3))
    mosaic = share_blends(planes, psf, detection, fit)
    children = [float(stamp_of(mosaic, i).sum()) for i in order]
    footprint = detection.labels == detection.footprint[order[0]]
    assert children[0] + children[1] == pytest.approx(planes.image[footprint].sum(), rel=0.01)
    assert children == pytest.approx(FLUX, rel=0.05)


def test_the_light_of_other_footprints_is_not_on_a_stamp(psf: CellPsf) -> None:
    y, x, flux = np.array([540.0, 540.0]), np.array([740.0, 754.0]), np.array([800.0, 90.0])
    planes = draw(psf, y, x, flux)
    stamp = psf.stamp(y=540.0, x=740.0)
    detection = detect_sources(planes, stamp, DetectionSettings(n_sigma=5.0, growth=1.0))
    assert len(set(detection.footprint.tolist())) == 2
    mosaic = share_blends(planes, psf, detection, positions(detection.y, detection.x, np.zeros(2)))
    assert stamp_of(mosaic, 0).sum() == pytest.approx(800.0, rel=0.03)
    assert stamp_of(mosaic, 1).sum() == pytest.approx(90.0, rel=0.1)
