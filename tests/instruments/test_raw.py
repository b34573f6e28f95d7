"""Raw frames: real ones of the ST-10, and every way in which a file can be wrong."""

import gzip
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lsstpipe.errors import InputFileError, UserError
from lsstpipe.image.mask import MaskPlane
from lsstpipe.instruments import get_camera, read_info, read_raw

ST10 = get_camera("st10")


def _header(**cards: object) -> fits.Header:
    """Make the header of a light frame; a card given as None is left out."""
    values = {
        "INSTRUME": "SBIG ST-10 3 CCD Camera",
        "IMAGETYP": "Light Frame",
        "FILTER": "Filter 2",
        "DATE-OBS": "2012-06-17T03:54:07",
        "EXPTIME": 60.0,
        **cards,
    }
    return fits.Header({key: value for key, value in values.items() if value is not None})


def _write(path: Path, pixels: np.ndarray | None = None, **cards: object) -> Path:
    """Write a frame."""
    if pixels is None:
        pixels = np.full((736, 1092), 1500, dtype=np.uint16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits.PrimaryHDU(pixels, _header(**cards)).writeto(path)
    return path


def test_a_real_light_frame_is_read_in_our_terms(tres1: Path) -> None:
    info = read_info(tres1 / "tres1-130.fits.fz", ST10)
    assert (info.instrument, info.detector, info.exposure) == ("st10", 0, 120617035407)
    assert (info.physical_filter, info.band) == ("Filter 2", "clear")
    assert info.observation_type == "science"
    assert info.exposure_time_s == 60
    # The header's JD is UTC of the start; TAI was ahead by 34 s; half of the exposure is 30 s.
    assert info.mid_mjd == pytest.approx(2456095.6625810186 - 2400000.5 + 64 / 86400, abs=1e-6)


def test_a_real_dark_frame_is_a_dark(tres1: Path) -> None:
    raw = read_raw(tres1 / "tres1-018d.fits.fz", ST10)
    assert raw.info is not None
    assert raw.info.observation_type == "dark"
    assert raw.unit == "adu"
    assert np.median(raw.image) == 148


def test_all_ways_to_keep_a_frame_give_the_same_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(100, 60000, (736, 1092)).astype(np.uint16)
    plain = _write(tmp_path / "a.fits", pixels)
    zipped = tmp_path / "a.fits.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    twice = tmp_path / "b.fits.gz"
    twice.write_bytes(gzip.compress(zipped.read_bytes()))
    packed = tmp_path / "a.fits.fz"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels, _header())]).writeto(packed)
    for path in (plain, zipped, twice, packed):
        np.testing.assert_array_equal(read_raw(path, ST10).image, pixels.astype(np.float32))


def test_saturated_and_missing_pixels_are_masked(tmp_path: Path) -> None:
    pixels = np.full((736, 1092), 1500, dtype=np.float32)
    pixels[1, 2], pixels[3, 4], pixels[5, 6] = 59000, 50000, np.nan
    raw = read_raw(_write(tmp_path / "a.fits", pixels), ST10)
    assert raw.mask[1, 2] == MaskPlane.SAT | MaskPlane.SUSPECT
    assert raw.mask[3, 4] == MaskPlane.SUSPECT
    assert raw.mask[5, 6] == MaskPlane.BAD | MaskPlane.UNMASKEDNAN
    assert raw.image[5, 6] == 0
    assert np.count_nonzero(raw.mask) == 3


@pytest.mark.parametrize(
    ("cards", "sentence"),
    [
        ({"EXPTIME": None}, "lacks a usable EXPTIME"),
        ({"EXPTIME": "long"}, "lacks a usable EXPTIME"),
        ({"EXPTIME": -1.0}, "exposure time of -1 s; allowed are 0 to 86400 s"),
        ({"EXPTIME": 1e9}, r"exposure time of 1e\+09 s"),
        ({"EXPTIME": 0.0}, "science exposure of 0 s"),
        ({"DATE-OBS": None}, "lacks a usable EXPTIME, DATE-OBS"),
        ({"DATE-OBS": "yesterday"}, "lacks a usable EXPTIME, DATE-OBS"),
        ({"DATE-OBS": "1901-01-01T00:00:00"}, "was taken on MJD 15385"),
        ({"INSTRUME": "OtherCam"}, "is of the camera 'OtherCam', not of st10"),
        ({"INSTRUME": None}, "is of the camera 'unknown', not of st10"),
        ({"FILTER": "Ha"}, "was taken through 'Ha'; filters of st10 are Filter 2"),
    ],
)
def test_a_header_that_cannot_be_true_is_refused(
    tmp_path: Path, cards: dict[str, object], sentence: str
) -> None:
    path = _write(tmp_path / "bad.fits", **cards)
    with pytest.raises(InputFileError, match=sentence):
        read_info(path, ST10)


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "small.fits", np.zeros((100, 200), np.uint16))
    with pytest.raises(InputFileError, match=r"has 100 x 200 pixels .* have 736 x 1092"):
        read_info(path, ST10)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1])
@pytest.mark.parametrize("name", ["tres1-130.fits.fz", "plain.fits", "zipped.fits.gz"])
def test_a_truncated_file_is_refused(tmp_path: Path, tres1: Path, share: float, name: str) -> None:
    whole = tres1 / name
    if not whole.exists():
        plain = _write(tmp_path / "whole.fits")
        whole = plain if name.endswith(".fits") else tmp_path / "whole.fits.gz"
        if name.endswith(".gz"):
            whole.write_bytes(gzip.compress(plain.read_bytes()))
    data = whole.read_bytes()
    cut = tmp_path / f"cut-{name}"
    cut.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputFileError, match=r"cut-.* is not a readable FITS file"):
        read_info(cut, ST10)


@pytest.mark.parametrize("content", [b"", b"hello, this is not FITS\n" * 200])
def test_a_file_that_is_not_fits_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.fits"
    path.write_bytes(content)
    with pytest.raises(InputFileError, match="is not a readable FITS file"):
        read_info(path, ST10)


def test_a_fits_file_without_an_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.fits"
    fits.PrimaryHDU().writeto(path)
    with pytest.raises(InputFileError, match="has no two-dimensional image"):
        read_info(path, ST10)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"absent.fits does not exist"):
        read_info(tmp_path / "absent.fits", ST10)


def test_an_unknown_camera_or_detector_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"no camera 'kodak'; there are .*st10"):
        get_camera("kodak")
    with pytest.raises(UserError, match=r"st10 has no detector 7; it has \[0\]"):
        ST10.detector(7)
