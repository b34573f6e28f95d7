"""Exposures come back from FITS bit for bit, and other readers see the same sky."""

from __future__ import annotations

import io
from dataclasses import fields, replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from lsstpipe.errors import InputFileError
from lsstpipe.geometry.box import Box
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.aperture_correction import ApertureCorrection
from lsstpipe.image.exposure import Exposure, ObservationInfo
from lsstpipe.image.mask import MaskPlane
from lsstpipe.image.photocalib import PhotoCalib
from lsstpipe.image.psf import CellPsf, PolynomialPsf, Psf
from lsstpipe.io import read, write
from lsstpipe.io.fits import read_mask

ALL_PLANES = sum(MaskPlane)
FLOATS = st.floats(width=64)
COEFFICIENTS = st.lists(st.lists(FLOATS, min_size=2, max_size=2).map(tuple), min_size=1).map(tuple)
PAIRS = st.tuples(FLOATS, FLOATS)
FINITE = st.floats(-1e3, 1e3)
SIP = st.sampled_from([(), ((0.0, 0.0, 1e-7), (0.0, -2e-7, 0.0), (3e-7, 0.0, 0.0))])
WCSES = st.builds(
    SkyWcs,
    crpix=st.tuples(FINITE, FINITE),
    crval_deg=st.tuples(st.floats(0, 359), st.floats(-80, 80)),
    cd=st.sampled_from([((-6e-4, 1e-5), (1e-5, 6e-4)), ((1e-4, 2e-4), (-3e-4, 1e-4))]),
    sip_a=SIP,
    sip_b=SIP,
    sip_ap=SIP,
    sip_bp=SIP,
)
RNG = np.random.default_rng(5)
PSFS = st.sampled_from(
    [
        None,
        CellPsf(RNG.random((2, 3, 5, 5)), -4, 7, 20),
        PolynomialPsf(RNG.random((3, 11, 11)), 1, 1, (3, 4, 50, 60), 11),
    ]
)
INFOS = st.builds(
    ObservationInfo, st.text(), st.integers(0, 2**53), st.integers(0, 200), st.text(), st.text(),
    st.sampled_from(["dark", "science"]), st.text(), FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS,
)  # fmt: skip
METADATA = st.dictionaries(st.text(), st.text() | st.integers() | FLOATS)


def test_a_plane_of_zeros_takes_no_room() -> None:
    shape = (500, 400)
    noise = RNG.random(shape).astype(np.float32)
    plain = Exposure(noise, np.zeros(shape, np.int32), noise, Box(0, 0, *shape), "1")
    empty = replace(plain, variance=np.zeros(shape, np.float32))
    assert len(write(plain, "exposure")) - len(write(empty, "exposure")) > 0.95 * noise.nbytes


@st.composite
def exposures(draw: st.DrawFn) -> Exposure:
    shape = draw(st.tuples(st.integers(0, 70), st.integers(0, 70)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    # Any bit pattern, so NaNs of all kinds, infinities, -0 and denormals.
    # Of one value too: 0 everywhere is stored in its own way, -0 is not.
    image, variance = (
        (
            rng.integers(0, 2**32, shape, dtype=np.uint32)
            if (bits := draw(st.sampled_from([None, 0, 1 << 31]))) is None
            else np.full(shape, bits, dtype=np.uint32)
        ).view(np.float32)
        for _ in range(2)
    )
    return Exposure(
        image,
        rng.integers(0, ALL_PLANES, shape, dtype=np.int32, endpoint=True),
        variance,
        Box(draw(st.integers(-(2**31), 2**31)), draw(st.integers(-(2**31), 2**31)), *shape),
        draw(st.sampled_from(["adu", "electron", "nJy", "count", "1"])),
        draw(PSFS),
        draw(st.none() | WCSES),
        draw(st.none() | st.builds(PhotoCalib, FLOATS, FLOATS, COEFFICIENTS, PAIRS, PAIRS)),
        draw(
            st.none()
            | st.builds(
                ApertureCorrection, COEFFICIENTS, st.just((-1, 2, 3, 4)), FLOATS, st.integers()
            )
        ),
        draw(st.none() | INFOS),
        draw(METADATA),
    )


def make_exposure(wcs: SkyWcs | None = None) -> Exposure:
    rng = np.random.default_rng(1)
    return Exposure(
        rng.normal(100.0, 10.0, (100, 120)).astype(np.float32),
        np.where(rng.random((100, 120)) < 0.1, int(MaskPlane.SAT | MaskPlane.STREAK), 0).astype(
            np.int32
        ),
        np.full((100, 120), 100.0, np.float32),
        Box(y0=30, x0=-7, ny=100, nx=120),
        "nJy",
        wcs=wcs,
    )


def read_back(content: bytes) -> Exposure:
    exposure = read(content, "exposure")
    assert isinstance(exposure, Exposure)
    return exposure


def same(left: object, right: object) -> bool:
    """Equality by bits: NaN is itself, -0 is not 0."""
    return repr(left) == repr(right)


def same_psf(left: Psf | None, right: Psf | None) -> bool:
    if left is None or right is None:
        return left is right
    arrays, others = left.to_arrays(), right.to_arrays()
    return type(left) is type(right) and all(
        arrays[name].tobytes() == others[name].tobytes() for name in arrays | others
    )


@settings(max_examples=40)
@given(exposure=exposures())
def test_an_exposure_comes_back_bit_for_bit(exposure: Exposure) -> None:
    content = write(exposure, "exposure")
    back = read_back(content)
    for name in ("image", "mask", "variance"):
        before, after = getattr(exposure, name), getattr(back, name)
        assert after.dtype.isnative
        assert (after.shape, after.tobytes()) == (before.shape, before.tobytes())
    assert same_psf(back.psf, exposure.psf)
    for name in {f.name for f in fields(Exposure)} - {"image", "mask", "variance", "psf"}:
        if name != "metadata":
            assert same(getattr(back, name), getattr(exposure, name))
    assert same(sorted(back.metadata.items()), sorted(exposure.metadata.items()))
    assert write(back, "exposure") == content
    mask = read_mask(content, "a.fits")
    assert mask.dtype == np.int32
    assert (mask.shape, mask.tobytes()) == (exposure.mask.shape, exposure.mask.tobytes())


@pytest.mark.parametrize("sip", [(), ((0.0, 0.0, 1e-7), (0.0, -2e-7, 0.0), (3e-7, 0.0, 0.0))])
@pytest.mark.parametrize("cd", [((-6e-4, 1e-5), (1e-5, 6e-4)), ((1e-4, 2e-4), (-3e-4, 1e-4))])
def test_other_readers_find_each_pixel_at_the_same_place_of_the_sky(
    cd: tuple[tuple[float, float], tuple[float, float]], sip: tuple[tuple[float, ...], ...]
) -> None:
    wcs = SkyWcs((55.5, 20.25), (286.04, 36.63), cd, sip, sip, sip, sip)
    exposure = make_exposure(wcs)
    with fits.open(io.BytesIO(write(exposure, "exposure"))) as hdus:
        theirs = WCS(hdus["IMAGE"].header)
        ltv = hdus["IMAGE"].header["LTV2"], hdus["IMAGE"].header["LTV1"]
    y, x = np.array([30.0, 64.5, 129.0]), np.array([-7.0, 10.25, 112.0])
    assert ltv == (-30, 7)
    ra, dec = wcs.pixel_to_sky(y=y, x=x)
    other_ra, other_dec = theirs.all_pix2world(x + 7, y - 30, 0)
    np.testing.assert_allclose((other_ra - ra + 180) % 360 - 180, 0, atol=1e-8)
    np.testing.assert_allclose(other_dec, dec, atol=1e-9)


def test_other_readers_see_the_planes_by_name_and_the_pixels_with_their_unit() -> None:
    exposure = make_exposure()
    with fits.open(io.BytesIO(write(exposure, "exposure"))) as hdus:
        bit = hdus["MASK"].header["MP_STREAK"]
        assert bit == 17
        streak = hdus["MASK"].data >> bit & 1
        assert hdus["IMAGE"].header["BUNIT"] == "nJy"
        np.testing.assert_array_equal(hdus["IMAGE"].data, exposure.image)
    np.testing.assert_array_equal(streak == 1, exposure.mask != 0)


def with_planes(exposure: Exposure, bits: dict[str, int]) -> bytes:
    """Write the mask as software with other bits would."""
    with fits.open(io.BytesIO(write(exposure, "exposure"))) as hdus:
        mask = hdus["MASK"]
        for plane in MaskPlane:
            del mask.header[f"MP_{plane.name}"]
        for name, bit in bits.items():
            mask.header[f"HIERARCH MP_{name}"] = bit
        sink = io.BytesIO()
        hdus.writeto(sink)
    return sink.getvalue()


def test_planes_are_moved_by_name_and_unknown_ones_dropped() -> None:
    mask = np.arange(8, dtype=np.int32).reshape(2, 4)
    zeros = np.zeros((2, 4), np.float32)
    exposure = Exposure(zeros, mask, zeros, Box(0, 0, 2, 4), "1")
    back = read_back(with_planes(exposure, {"CR": 0, "GHOST": 1, "BAD": 2}))
    expected = np.where(mask & 1, int(MaskPlane.CR), 0) + np.where(mask & 4, int(MaskPlane.BAD), 0)
    np.testing.assert_array_equal(back.mask, expected)


@pytest.mark.parametrize("value", [1 << 18, -1, 1 << 30])
def test_a_bit_without_a_name_is_not_written(value: int) -> None:
    exposure = make_exposure()
    mask = exposure.mask.copy()
    mask[3, 4] |= np.int32(value)
    with pytest.raises(ValueError, match="which no plane names"):
        write(replace(exposure, mask=mask), "exposure")


def test_a_file_cut_anywhere_is_refused() -> None:
    content = write(make_exposure(), "exposure")
    for size in [0, 1, 2879, *range(2880, len(content), 2880 * 3), len(content) - 2881]:
        with pytest.raises(InputFileError, match=r"^the file "):
            read(content[:size], "exposure")
        with pytest.raises(InputFileError, match=r"^the file "):
            read_mask(content[:size], "the file")


def test_a_file_of_a_newer_format_or_of_others_is_refused() -> None:
    with fits.open(io.BytesIO(write(make_exposure(), "exposure"))) as hdus:
        hdus[0].header["LPFORMAT"] = 2
        newer = io.BytesIO()
        hdus.writeto(newer)
    with pytest.raises(InputFileError, match="has format 2 of exposures; this lsstpipe reads up"):
        read(newer.getvalue(), "exposure", "a.fits")
    other = io.BytesIO()
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(other)
    with pytest.raises(InputFileError, match=r"^b.fits is a FITS file that lsstpipe did not write"):
        read(other.getvalue(), "exposure", "b.fits")
    with pytest.raises(InputFileError, match=r"^c.fits is damaged or not"):
        read(b"PAR1 no FITS at all", "exposure", "c.fits")
