"""The coadd as a picture, with its objects as an overlay that the reader can switch off."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib import image as mpl_image

from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.exposure import Exposure
from lsstpipe.report.page import CoaddPicture

FloatArray = npt.NDArray[np.float64]

_SOFTENING_SIGMA = 3.0
_WHITE_SIGMA = 400.0
_BLACK_SIGMA = -2.0
_JPEG_QUALITY = 84
_MAX_SIDE = 1600
_MAX_OBJECTS = 4000
_SCALE_BARS_ARCMIN = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0)
_ARROW_SHARE = 0.07
_STAMP_HALF = 30
_STAMP_ZOOM = 4


@dataclass(frozen=True, slots=True)
class PictureMarks:
    """A picture and what is drawn over it, in pixels of the picture, y downward.

    Attributes
    ----------
    data_url
        The picture.
    width, height
        Its size.
    stars, galaxies
        Circles ``(x, y, radius)`` of point sources and of the others.
    target
        Position ``(x, y)`` of the target; None where it is not in the picture.
    arrows
        Ends ``(x, y)`` of unit arrows to north and east.
    scale_bar
        Length in pixels and the label.
    stamp_url
        The neighbourhood of the target, enlarged; empty without one.
    """

    data_url: str
    width: int
    height: int
    stars: tuple[tuple[float, float, float], ...]
    galaxies: tuple[tuple[float, float, float], ...]
    target: tuple[float, float] | None
    arrows: tuple[tuple[float, float], tuple[float, float]]
    scale_bar: tuple[float, str]
    stamp_url: str


def assemble_patches(patches: list[Exposure]) -> tuple[npt.NDArray[np.float32], int, int]:
    """Put the patches of a tract into one array; where they overlap the first one counts.

    Parameters
    ----------
    patches
        Coadds with absolute boxes of one tract; at least one.

    Returns
    -------
    image
        NaN where no patch has data.
    y0, x0
        Absolute pixel of ``image[0, 0]``.
    """
    y0, x0 = min(p.box.y0 for p in patches), min(p.box.x0 for p in patches)
    y1 = max(p.box.y0 + p.box.ny for p in patches)
    x1 = max(p.box.x0 + p.box.nx for p in patches)
    image = np.full((y1 - y0, x1 - x0), np.nan, dtype=np.float32)
    for patch in patches:
        part = image[
            patch.box.y0 - y0 : patch.box.y0 - y0 + patch.box.ny,
            patch.box.x0 - x0 : patch.box.x0 - x0 + patch.box.nx,
        ]
        good = np.isnan(part) & np.isfinite(patch.image) & (patch.variance > 0)
        part[good] = patch.image[good]
    return image, y0, x0


def trim(picture_image: npt.NDArray[np.float32]) -> tuple[slice, slice]:
    """Find the smallest part of an image that holds all its data.

    Parameters
    ----------
    picture_image
        NaN where there is no data.
    """
    rows = np.flatnonzero(np.isfinite(picture_image).any(axis=1))
    columns = np.flatnonzero(np.isfinite(picture_image).any(axis=0))
    if not len(rows):
        return slice(0, picture_image.shape[0]), slice(0, picture_image.shape[1])
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def stretch(image: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Map pixel values to grey by an inverse hyperbolic sine (Lupton et al. 2004).

    Parameters
    ----------
    image
        Pixel values, NaN without data.

    Returns
    -------
    grey
        0 to 255, black at two sigma below the sky and where there is no data.
    """
    sky = float(np.nanmedian(image))
    sigma = 1.4826 * float(np.nanmedian(np.abs(image - sky)))
    sigma = sigma if sigma > 0 else 1.0
    low, high = (math.asinh(value / _SOFTENING_SIGMA) for value in (_BLACK_SIGMA, _WHITE_SIGMA))
    scaled = (np.arcsinh((image - sky) / (sigma * _SOFTENING_SIGMA)) - low) / (high - low)
    grey = 255.0 * np.clip(np.nan_to_num(scaled, nan=0.0), 0.0, 1.0)
    result: npt.NDArray[np.uint8] = grey.astype(np.uint8)
    return result


def _data_url(grey: npt.NDArray[np.uint8], kind: str) -> str:
    """Encode grey values, row 0 at the bottom, as a data URL."""
    buffer = io.BytesIO()
    options = {"quality": _JPEG_QUALITY} if kind == "jpeg" else {"optimize": True}
    rgb = np.repeat(grey[::-1, :, None], 3, axis=2)
    mpl_image.imsave(buffer, rgb, format=kind, pil_kwargs=options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def make_marks(picture: CoaddPicture, target_deg: tuple[float, float] | None) -> PictureMarks:
    """Turn the coadd into a picture and find where everything lies on it.

    Parameters
    ----------
    picture
        The coadd and its objects.
    target_deg
        Right ascension and declination of the target, if there is one.
    """
    rows, columns = trim(picture.image)
    y0, x0 = picture.y0 + rows.start, picture.x0 + columns.start
    image = picture.image[rows, columns]
    step = -(-max(image.shape) // _MAX_SIDE)
    grey = stretch(_shrink(image, step))
    height, width = grey.shape

    def place(y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        return height - (y - y0 + 0.5) / step, (x - x0 + 0.5) / step

    target = None
    stamp = ""
    if target_deg is not None:
        ty, tx = picture.wcs.sky_to_pixel(*target_deg)
        py, px = place(ty, tx)
        if 0 <= float(py) < height and 0 <= float(px) < width:
            target = (round(float(px), 1), round(float(py), 1))
            stamp = _stamp(picture.image, float(ty) - picture.y0, float(tx) - picture.x0)
    order = np.argsort(-picture.object_flux, kind="stable")[:_MAX_OBJECTS]
    oy, ox = place(picture.object_y[order], picture.object_x[order])
    radius = _radii(picture.object_flux[order])
    star = picture.is_star[order]
    circles = [
        (round(float(a), 1), round(float(b), 1), round(float(c), 1))
        for a, b, c in zip(ox, oy, radius, strict=True)
    ]
    return PictureMarks(
        data_url=_data_url(grey, "jpeg"),
        width=width,
        height=height,
        stars=tuple(c for c, is_star in zip(circles, star, strict=True) if is_star),
        galaxies=tuple(c for c, is_star in zip(circles, star, strict=True) if not is_star),
        target=target,
        arrows=_compass(picture.wcs, y0 + 0.5 * image.shape[0], x0 + 0.5 * image.shape[1], width),
        scale_bar=_scale_bar(picture.wcs.pixel_scale_arcsec * step, width),
        stamp_url=stamp,
    )


def _shrink(image: npt.NDArray[np.float32], step: int) -> npt.NDArray[np.float32]:
    """Average blocks of pixels, so that a large tract makes a small page."""
    if step == 1:
        return image
    ny, nx = (n // step * step for n in image.shape)
    blocks = image[:ny, :nx].reshape(ny // step, step, nx // step, step)
    filled: npt.NDArray[np.float32] = blocks.mean(axis=(1, 3))
    return filled


def _radii(flux: FloatArray) -> npt.NDArray[np.float64]:
    """Let circles grow with magnitude: 4 pixels for the faintest, 16 for the brightest."""
    safe = np.log10(np.maximum(flux, 1e-9))
    low, high = np.percentile(safe, [1, 100]) if len(safe) else (0.0, 1.0)
    result: npt.NDArray[np.float64] = 4 + 12 * np.clip((safe - low) / max(high - low, 1e-9), 0, 1)
    return result


def _compass(
    wcs: SkyWcs, y: float, x: float, width: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Find the directions of north and east at a pixel, as arrows of the picture, y downward."""
    ra, dec = (float(value) for value in wcs.pixel_to_sky(y=y, x=x))
    small = 1.0 / 60.0
    ends = []
    for east, north in ((0.0, small), (small / math.cos(math.radians(dec)), 0.0)):
        ey, ex = wcs.sky_to_pixel(ra + east, dec + north)
        dy, dx = float(ey) - y, float(ex) - x
        length = _ARROW_SHARE * width / math.hypot(dy, dx)
        ends.append((round(dx * length, 1), round(-dy * length, 1)))
    return ends[0], ends[1]


def _scale_bar(pixel_arcsec: float, width: int) -> tuple[float, str]:
    """Choose the round length that is nearest to an eighth of the picture."""
    wanted = 0.125 * width * pixel_arcsec / 60.0
    length = min(_SCALE_BARS_ARCMIN, key=lambda value: abs(math.log(value / wanted)))
    label = f"{length:g} arcmin" if length >= 1 else f"{60 * length:g} arcsec"
    return round(60.0 * length / pixel_arcsec, 1), label


def _stamp(image: npt.NDArray[np.float32], y: float, x: float) -> str:
    """Cut out the neighbourhood of a pixel and enlarge it."""
    row, col = round(y), round(x)
    part = image[
        max(0, row - _STAMP_HALF) : row + _STAMP_HALF + 1,
        max(0, col - _STAMP_HALF) : col + _STAMP_HALF + 1,
    ]
    if not np.isfinite(part).any():
        return ""
    grey = stretch(part)
    return _data_url(np.repeat(np.repeat(grey, _STAMP_ZOOM, axis=0), _STAMP_ZOOM, axis=1), "png")
