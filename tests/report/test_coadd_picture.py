from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from matplotlib import image as mpl_image

from lsstpipe.geometry.box import Box
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.exposure import Exposure
from lsstpipe.report.coadd_picture import assemble_patches, make_marks, stretch, trim
from lsstpipe.report.page import CoaddPicture

SCALE = 2.0 / 3600.0
WCS = SkyWcs((100.0, 150.0), (30.0, 10.0), ((-SCALE, 0.0), (0.0, SCALE)))


def patch(box: Box, value: float) -> Exposure:
    shape = (box.ny, box.nx)
    return Exposure(
        np.full(shape, value, np.float32), np.zeros(shape, np.int32),
        np.ones(shape, np.float32), box, "nJy",
    )  # fmt: skip


def make_picture(rng: np.random.Generator, ny: int = 200, nx: int = 300) -> CoaddPicture:
    image = rng.normal(0.0, 1.0, (ny, nx)).astype(np.float32)
    image[149:152, 219:222] += 500.0
    return CoaddPicture(
        image, 0, 0, WCS, "clear", np.array([150.0, 10.0]), np.array([220.0, 20.0]),
        np.array([1e4, 10.0]), np.array([True, False]),
    )  # fmt: skip


def decode(data_url: str) -> np.ndarray:  # type: ignore[type-arg]
    kind, content = data_url.removeprefix("data:image/").split(";base64,")
    return np.asarray(mpl_image.imread(io.BytesIO(base64.b64decode(content)), format=kind))


def test_patches_are_put_where_their_boxes_say_and_the_first_counts() -> None:
    image, y0, x0 = assemble_patches([patch(Box(10, 20, 5, 6), 1.0), patch(Box(12, 24, 5, 6), 2.0)])
    assert (y0, x0, image.shape) == (10, 20, (7, 10))
    assert image[4, 5] == 1.0
    assert image[5, 5] == 2.0
    assert np.isnan(image[6, 0])


def test_a_hole_in_one_patch_is_filled_from_the_next() -> None:
    first = patch(Box(0, 0, 4, 4), 1.0)
    first.image[1, 1] = np.nan
    first.variance[2, 2] = 0.0
    image, _, _ = assemble_patches([first, patch(Box(0, 0, 4, 4), 2.0)])
    assert image[1, 1] == 2.0
    assert image[2, 2] == 2.0
    assert np.sum(image == 2.0) == 2


def test_empty_margins_are_trimmed() -> None:
    image = np.full((10, 12), np.nan, np.float32)
    image[3:7, 2:9] = 0.0
    assert trim(image) == (slice(3, 7), slice(2, 9))


def test_the_stretch_is_monotonic_and_black_without_data(rng: np.random.Generator) -> None:
    image = rng.normal(100.0, 2.0, (50, 50)).astype(np.float32)
    image[0, :5] = [90.0, 100.0, 110.0, 200.0, 5000.0]
    image[1, 0] = np.nan
    grey = stretch(image)
    assert np.all(np.diff(grey[0, :5].astype(int)) > 0)
    assert grey[1, 0] == 0
    assert grey[0, 4] == 255


def test_the_marks_lie_on_what_they_mark(rng: np.random.Generator) -> None:
    picture = make_picture(rng)
    ra, dec = (float(v) for v in WCS.pixel_to_sky(y=150.0, x=220.0))
    marks = make_marks(picture, (ra, dec))
    grey = decode(marks.data_url)[..., 0]
    assert grey.shape == (marks.height, marks.width) == (200, 300)
    # Rows of a picture count from the top: the brightest place is that of the star.
    row, column = np.unravel_index(np.argmax(grey), grey.shape)
    x, y, radius = marks.stars[0]
    assert abs(y - 0.5 - row) <= 1.5
    assert abs(x - 0.5 - column) <= 1.5
    assert marks.target == pytest.approx((x, y), abs=0.11)
    assert len(marks.galaxies) == 1
    assert radius > marks.galaxies[0][2]


def test_north_is_up_and_east_is_left_on_the_sky_as_it_is_seen(rng: np.random.Generator) -> None:
    (north_x, north_y), (east_x, east_y) = make_marks(make_picture(rng), None).arrows
    assert north_y < -10
    assert abs(north_x) < 1
    assert east_x < -10
    assert abs(east_y) < 1


def test_the_scale_bar_is_as_long_as_it_says(rng: np.random.Generator) -> None:
    length, label = make_marks(make_picture(rng), None).scale_bar
    number, unit = label.split()
    arcsec = float(number) * (60.0 if unit == "arcmin" else 1.0)
    assert length * 2.0 == pytest.approx(arcsec, abs=0.2)
    assert 15 < length < 90


def test_a_large_coadd_is_shrunk_and_its_marks_with_it(rng: np.random.Generator) -> None:
    picture = make_picture(rng, 200, 3400)
    marks = make_marks(picture, None)
    assert marks.width == 3400 // 3
    x, y, _ = marks.stars[0]
    assert x == pytest.approx(220.5 / 3, abs=0.1)
    assert y == pytest.approx(marks.height - 150.5 / 3, abs=0.1)


def test_a_target_outside_the_picture_is_not_marked(rng: np.random.Generator) -> None:
    marks = make_marks(make_picture(rng), (31.0, 10.0))
    assert marks.target is None
    assert marks.stamp_url == ""
