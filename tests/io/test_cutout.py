"""A cut-out has the pixels of the whole file, and is read from a small part of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from lsstpipe.errors import InputFileError
from lsstpipe.geometry.box import Box
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane
from lsstpipe.image.psf import PolynomialPsf
from lsstpipe.io.cutout import read_cutout
from lsstpipe.io.fits import read_exposure, write_exposure

RNG = np.random.default_rng(7)
WHOLE = Box(y0=-30, x0=1000, ny=900, nx=1100)


def make_exposure(box: Box = WHOLE) -> Exposure:
    shape = (box.ny, box.nx)
    return Exposure(
        image=RNG.normal(0.0, 30.0, shape).astype(np.float32),
        mask=np.where(RNG.random(shape) < 0.05, int(MaskPlane.SAT), 0).astype(np.int32),
        variance=RNG.uniform(800.0, 900.0, shape).astype(np.float32),
        box=box,
        unit="nJy",
        psf=PolynomialPsf(RNG.random((3, 11, 11)), 1, 1, (0, 0, 1000, 2000), 11),
        wcs=SkyWcs((500.0, 400.0), (10.0, -2.0), ((-6e-5, 0.0), (0.0, 6e-5))),
        metadata={"seeing": 0.7},
    )


class CountedFile:
    """A file in memory that counts what is read of it."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.n_bytes = 0
        self.n_requests = 0

    def fetch(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        parts = [self.content[start:end] for start, end in ranges]
        self.n_bytes += sum(map(len, parts))
        self.n_requests += 1
        return parts

    def cut(self, box: Box) -> Exposure:
        return read_cutout(self.fetch, len(self.content), box, "the file")


def recompress(content: bytes, **options: Any) -> bytes:
    """Compress the image and the variance of a file in tiles."""
    with fits.open(io.BytesIO(content)) as hdus:
        for name in ("IMAGE", "VARIANCE"):
            hdus[name] = fits.CompImageHDU(
                hdus[name].data.astype(np.float32), hdus[name].header, name=name, **options
            )
        sink = io.BytesIO()
        hdus.writeto(sink)
    return sink.getvalue()


CONTENT = write_exposure(make_exposure())
FILES = {
    "as we write": CONTENT,
    "small tiles": recompress(CONTENT, compression_type="RICE_1", tile_shape=(50, 70)),
    "dithered": recompress(
        CONTENT, compression_type="RICE_1", tile_shape=(64, 64), quantize_method=1, dither_seed=9
    ),
    "lossless": recompress(
        CONTENT, compression_type="GZIP_2", tile_shape=(1, 1100), quantize_level=0
    ),
    "zeros": write_exposure(
        Exposure(
            *(np.zeros((900, 1100), t) for t in (np.float32, np.int32, np.float32)), WHOLE, "1"
        )
    ),
}


def read_planes(content: bytes) -> dict[str, np.ndarray]:
    """Read whole images as astropy does."""
    with fits.open(io.BytesIO(content)) as hdus:
        return {name: np.array(hdus[name].data) for name in ("IMAGE", "MASK", "VARIANCE")}


WHOLES = {name: read_planes(content) for name, content in FILES.items()}


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    ny, nx = draw(st.integers(1, 900)), draw(st.integers(1, 1100))
    y0 = WHOLE.y0 + draw(st.integers(0, WHOLE.ny - ny))
    x0 = WHOLE.x0 + draw(st.integers(0, WHOLE.nx - nx))
    return Box(y0=y0, x0=x0, ny=ny, nx=nx)


@pytest.mark.parametrize("name", FILES)
@given(box=boxes())
@settings(max_examples=10)
def test_pixels_are_those_of_the_whole_file(name: str, box: Box) -> None:
    whole = WHOLES[name]
    part = CountedFile(FILES[name]).cut(box)
    where = box.slices_in(WHOLE)
    assert part.box == box
    for plane in ("image", "mask", "variance"):
        np.testing.assert_array_equal(getattr(part, plane), whole[plane.upper()][where])


def test_what_is_known_about_the_whole_comes_along() -> None:
    whole = read_exposure(CONTENT, "the file")
    part = CountedFile(CONTENT).cut(Box(y0=100, x0=1100, ny=10, nx=20))
    rest = [f.name for f in fields(Exposure) if f.name not in "image mask variance box psf"]
    assert {n: getattr(part, n) for n in rest} == {n: getattr(whole, n) for n in rest}
    assert part.psf is not None
    assert whole.psf is not None
    np.testing.assert_array_equal(part.psf.stamp(y=5, x=1500), whole.psf.stamp(y=5, x=1500))


@pytest.mark.parametrize(("name", "share"), [("as we write", 0.08), ("small tiles", 0.20)])
def test_a_small_part_of_the_file_is_read_in_few_requests(name: str, share: float) -> None:
    file = CountedFile(FILES[name])
    file.cut(Box(y0=300, x0=1500, ny=40, nx=40))
    assert file.n_bytes < share * len(file.content)
    assert file.n_requests <= 12


@pytest.mark.parametrize(
    "box",
    [
        Box(y0=-31, x0=1000, ny=10, nx=10),
        Box(y0=0, x0=2095, ny=10, nx=10),
        Box(y0=0, x0=0, ny=1, nx=1),
        Box(y0=0, x0=1500, ny=0, nx=5),
    ],
)
def test_a_box_that_lies_outside_is_refused(box: Box) -> None:
    with pytest.raises(InputFileError, match="the file has the pixels of Box"):
        CountedFile(CONTENT).cut(box)


@pytest.mark.parametrize("length", [0, 100, 2880, 100_000, len(CONTENT) - 5000])
def test_a_file_that_is_cut_short_is_refused(length: int) -> None:
    with pytest.raises(InputFileError, match="the file is damaged or not"):
        CountedFile(CONTENT[:length]).cut(Box(y0=800, x0=1100, ny=10, nx=10))


def test_another_fits_file_is_refused() -> None:
    sink = io.BytesIO()
    fits.PrimaryHDU(np.zeros((10, 10))).writeto(sink)
    with pytest.raises(InputFileError, match="the file is damaged or not"):
        CountedFile(sink.getvalue()).cut(Box(y0=0, x0=0, ny=1, nx=1))
