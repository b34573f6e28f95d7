"""Headers and pixels of ANDICAM frames that the archive has calibrated."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from lsstpipe.instruments import get_camera, read_info, read_raw
from lsstpipe.instruments.headers.andicam import AndicamTranslator

ANDICAM = get_camera("andicam")
DETECTOR = ANDICAM.detector(0)


def frame(test_data: Path, band: str) -> Path:
    return test_data / "andicam_2019so" / f"SN2019so_20190201_{band}.fits.gz"


def test_a_real_header_is_read_in_our_terms(test_data: Path) -> None:
    info = read_info(frame(test_data, "V"), ANDICAM)
    assert (info.exposure, info.target, info.band) == (1902010107, "SN2019so", "V")
    assert (info.observation_type, info.exposure_time_s) == ("science", 160)
    assert info.airmass == pytest.approx(1.07)
    # MJD-OBS is the day alone: 07:12:08.634 UTC, half of 160 s, and TAI is ahead by 37 s.
    expected = 58516 + (7 * 3600 + 12 * 60 + 8.634 + 80 + 37) / 86400
    assert info.mid_mjd == pytest.approx(expected, abs=1e-7)
    assert info.rotation_deg == pytest.approx(2.05, abs=0.02)
    # The header's WCS has the supernova at (533.3, 448.5), 41 arcsec from the centre.
    assert info.ra_deg == pytest.approx(190.6519, abs=0.003)
    assert info.dec_deg == pytest.approx(-40.7502, abs=0.003)


def test_the_bands_of_a_night_are_different_exposures(test_data: Path) -> None:
    infos = [read_info(frame(test_data, band), ANDICAM) for band in "BV"]
    assert [info.physical_filter for info in infos] == ["B", "V"]
    assert len({info.exposure for info in infos}) == 2


def test_a_frame_is_calibrated_so_that_no_dark_is_asked_for() -> None:
    assert ANDICAM.has_overscan
    assert not DETECTOR.has_overscan


@pytest.mark.parametrize("cards", [{}, {"CTYPE1": "LAMBDA", "CTYPE2": "DEC--TAN"}])
def test_a_header_without_a_wcs_has_no_pointing(cards: dict[str, object]) -> None:
    translator = AndicamTranslator({"INSTRUME": "ANDICAM-CCD", **cards})
    assert translator.to_tracking_radec() is None
    assert translator.to_boresight_rotation_angle() is None


def test_a_name_that_does_not_number_the_exposure_is_refused() -> None:
    translator = AndicamTranslator({"INSTRUME": "ANDICAM-CCD", "FILENAME": "sn2019so.fits"})
    with pytest.raises(ValueError, match=r"not like ccd190201\.0107"):
        translator.to_exposure_id()


def test_gain_and_read_noise_predict_the_noise_of_the_sky_and_of_the_galaxy(
    test_data: Path,
) -> None:
    """Differences of neighbours that hold no gradient, in V, against the level around them."""
    image = read_raw(frame(test_data, "V"), ANDICAM).image.astype(np.float64)
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6
    noise, level = ndimage.convolve(image, kernel), ndimage.median_filter(image, 11)
    for low, high in ((11, 12.5), (15, 20), (20, 30)):
        chosen = noise[(level >= low) & (level < high)]
        measured = (1.4826 * np.median(np.abs(chosen))) ** 2
        mean = level[(level >= low) & (level < high)].mean()
        predicted = mean / DETECTOR.gain + (DETECTOR.read_noise / DETECTOR.gain) ** 2
        assert measured == pytest.approx(predicted, rel=0.1)
