from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.algorithms.coadd_psf import (
    CellGrid,
    PsfInput,
    cell_weights,
    coadd_psf,
    warped_stamps,
)
from lsstpipe.algorithms.combine import WarpStack, combine
from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.resample import PixelMap, warp
from lsstpipe.errors import AlgorithmError
from lsstpipe.geometry.box import Box
from lsstpipe.image.mask import MaskPlane
from lsstpipe.image.psf import stamp_moments

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moffat:
    """A PSF known at every position: wider to the right."""

    fwhm: float
    size: int = 31

    def stamps(self, *, y: FloatArray, x: FloatArray) -> FloatArray:
        return np.array([self.stamp(y=float(v), x=float(u)) for v, u in zip(y, x, strict=True)])

    def stamp(self, *, y: float, x: float) -> FloatArray:
        offset = np.arange(self.size) - self.size // 2
        fy, fx = y - np.floor(y + 0.5), x - np.floor(x + 0.5)
        core = ((self.fwhm + 1e-3 * x) / 2.0) ** 2 / (2.0**0.25 - 1.0)
        profile = (1.0 + ((offset - fy)[:, None] ** 2 + (offset - fx) ** 2) / core) ** -4.0
        return np.asarray(profile / profile.sum())

    def gradients(self, *, y: FloatArray, x: FloatArray) -> FloatArray:
        raise NotImplementedError

    def sigma(self, *, y: float, x: float) -> float:
        return self.fwhm / 2.3548

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        raise NotImplementedError


def turned(angle_deg: float, dy: float, dx: float) -> PixelMap:
    c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))

    def to_source(y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        return c * y - s * x + dy, s * y + c * x + dx

    return to_source


def starfield(psf: Moffat, to_source: PixelMap, y: FloatArray, x: FloatArray) -> Planes:
    image = np.zeros((180, 180))
    for v, u in zip(*to_source(y, x), strict=True):
        y0, x0 = int(np.floor(v + 0.5)) - 15, int(np.floor(u + 0.5)) - 15
        image[y0 : y0 + 31, x0 : x0 + 31] += psf.stamp(y=v, x=u)
    shape = image.shape
    return Planes(image.astype(np.float32), np.ones(shape, np.float32), np.zeros(shape, np.int32))


@pytest.mark.parametrize("fwhm", [2.3, 3.5])
@pytest.mark.parametrize("order", [3, 5])
def test_a_warped_stamp_is_what_a_warped_star_looks_like(fwhm: float, order: int) -> None:
    source = PsfInput(Moffat(fwhm), turned(5.0, 12.3, 4.6))
    y, x = np.array([70.2, 80.0]), np.array([100.4, 60.0])
    image = warp(starfield(source.psf, source.to_source, y, x), Box(0, 0, 150, 150),
                 source.to_source, order=order).image  # fmt: skip
    stamps = warped_stamps(source, y=y, x=x, size=21, order=order)
    for stamp, v, u in zip(stamps, np.floor(y + 0.5), np.floor(x + 0.5), strict=True):
        star = image[int(v) - 10 : int(v) + 11, int(u) - 10 : int(u) + 11]
        assert np.abs(star - stamp).max() < 1e-4 * stamp.max()


def test_the_psf_of_a_coadd_is_the_shape_of_its_stars() -> None:
    rng = np.random.default_rng(1)
    box, grid = Box(0, 0, 130, 130), CellGrid(Box(0, 0, 130, 130), 44)
    y, x = (axis.ravel() for axis in grid.centres())
    inputs = [
        PsfInput(Moffat(fwhm), turned(*rng.uniform(0.0, 3.0, 1), *rng.uniform(14.0, 17.0, 2)))
        for fwhm in (2.3, 3.0, 4.0)
    ]
    warps = [warp(starfield(i.psf, i.to_source, y, x), box, i.to_source) for i in inputs]
    stack, weights = WarpStack.of(warps, np.ones(3)), np.array([0.5, 0.2, 0.3])
    image = combine(stack, weights).planes.image
    psf = coadd_psf(inputs, cell_weights(stack, weights, grid), grid, size=21)
    for v, u in zip(y, x, strict=True):
        star = image[int(v) - 10 : int(v) + 11, int(u) - 10 : int(u) + 11]
        model = psf.stamp(y=v, x=u)
        assert np.abs(star / star.sum() - model).max() < 1e-4 * model.max()


def test_the_psf_of_a_coadd_holds_for_stars_off_the_middle_of_a_pixel() -> None:
    rng = np.random.default_rng(2)
    box = Box(0, 0, 130, 130)
    inputs = [
        PsfInput(Moffat(2.3), turned(*rng.uniform(0.0, 3.0, 1), *rng.uniform(14.0, 17.0, 2)))
        for _ in range(8)
    ]
    psf = coadd_psf(inputs, np.ones((8, 1, 1)), CellGrid(box, 130), size=25)
    for dy, dx in ((-0.5, -0.5), (-0.25, 0.1), (0.0, 0.49), (0.3, -0.3)):
        y, x = np.array([65.0 + dy]), np.array([65.0 + dx])
        warps = [warp(starfield(i.psf, i.to_source, y, x), box, i.to_source) for i in inputs]
        image = np.mean([warped.image for warped in warps], axis=0, dtype=np.float64)
        row, column = int(np.floor(y[0] + 0.5)), int(np.floor(x[0] + 0.5))
        star = image[row - 12 : row + 13, column - 12 : column + 13]
        model = psf.stamp(y=float(y[0]), x=float(x[0]))
        sizes = [sum(stamp_moments(stamp)[:2]) for stamp in (model, star)]
        assert sizes[0] == pytest.approx(sizes[1], rel=2e-3)
        flux = np.sum(model * star) / np.sum(model**2)
        assert flux == pytest.approx(star.sum(), rel=1e-3)


def test_cells_take_the_inputs_that_cover_them() -> None:
    grid = CellGrid(Box(10, 20, 40, 60), 20)
    shape = (2, 40, 60)
    stack = WarpStack(np.ones(shape, np.float32), np.ones(shape, np.float32),
                      np.zeros(shape, np.int32), 10, 20)  # fmt: skip
    stack.image[0, :, :30] = np.nan
    stack.mask[1, :20, 40:] = int(MaskPlane.CLIPPED)
    weights = cell_weights(stack, np.array([0.25, 0.75]), grid)
    assert weights[0] == pytest.approx(np.array([[0.0, 0.125, 0.25]] * 2))
    assert weights[1] == pytest.approx(np.array([[0.75, 0.75, 0.0], [0.75, 0.75, 0.75]]))
    y, x = grid.centres()
    assert (y[0, 0], x[0, 0], y[1, 2], x[1, 2]) == (20.0, 30.0, 40.0, 70.0)


def test_a_cell_without_inputs_has_the_psf_of_the_nearest_and_none_at_all_is_an_error() -> None:
    grid = CellGrid(Box(0, 0, 60, 20), 20)
    weights = np.array([[[0.0], [1.0], [0.0]], [[0.0], [0.0], [2.0]]])
    inputs = [PsfInput(Moffat(2.5), turned(0.0, 30.0, 30.0)),
              PsfInput(Moffat(4.0), turned(0.0, 30.0, 30.0))]  # fmt: skip
    psf = coadd_psf(inputs, weights, grid, size=15)
    assert np.array_equal(psf.images[0, 0], psf.images[1, 0])
    assert psf.images[1, 0].max() > 1.5 * psf.images[2, 0].max()
    with pytest.raises(AlgorithmError, match="no PSF"):
        coadd_psf(inputs, 0.0 * weights, grid, size=15)


def test_there_is_no_stamp_where_there_is_no_map() -> None:
    lost = PsfInput(Moffat(2.5), lambda y, x: (y * np.nan, x))
    stamps = warped_stamps(lost, y=np.array([3.0]), x=np.array([3.0]), size=5)
    assert np.all(np.isnan(stamps))
