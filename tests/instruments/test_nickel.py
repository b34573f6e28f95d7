"""Constants and headers of the Nickel camera against its own frames."""

from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits

from lsstpipe.errors import InputFileError
from lsstpipe.instruments import get_camera, read_info, read_raw
from lsstpipe.instruments.headers.nickel import NickelTranslator
from lsstpipe.tasks.signature import Signature, SignatureConfig, remove_signature

NICKEL = get_camera("nickel")
DETECTOR = NICKEL.detector(0)
BIASES = range(1001, 1011)
FLATS = (1035, 1036, 1037)

Read = Callable[[int], npt.NDArray[np.float32]]


@pytest.fixture
def folder(test_data: Path) -> Path:
    return test_data / "nickel_raw"


@pytest.fixture
def read(folder: Path) -> Read:
    """Read a frame by its number: electrons without overscan, bad columns and rim left out."""

    def read_one(number: int) -> npt.NDArray[np.float32]:
        raw = read_raw(folder / f"d{number}.fits.fz", NICKEL)
        made = remove_signature(raw, DETECTOR, Signature(), SignatureConfig())
        return made.image[50:950, 300:950]

    return read_one


def _deviation(values: npt.NDArray[np.float32]) -> float:
    """Estimate a standard deviation without the values beyond four of them."""
    kept = values.ravel().astype(np.float64)
    for _ in range(20):
        near = np.abs(kept - kept.mean()) < 4 * kept.std()
        if near.all():
            break
        kept = kept[near]
    return float(kept.std())


def test_the_kind_of_each_exposure_is_what_was_exposed_not_what_obstype_says(folder: Path) -> None:
    infos = {
        number: read_info(folder / f"d{number}.fits.fz", NICKEL)
        for number in (*BIASES, *FLATS, 1047, 1048, 1052, 1059, 1074, 1083)
    }
    kinds = [info.observation_type for info in infos.values()]
    assert kinds == ["bias"] * 10 + ["flat"] * 3 + ["science"] * 6
    assert len({info.exposure for info in infos.values()}) == len(infos)


def test_a_real_header_is_read_in_our_terms(folder: Path) -> None:
    info = read_info(folder / "d1047.fits.fz", NICKEL)
    assert (info.exposure, info.target, info.physical_filter) == (2405131047, "PG1323-085", "V")
    assert (info.exposure_time_s, info.airmass) == (60, pytest.approx(1.594, abs=1e-3))
    # 04:32:47.12 UTC, half of 60 s, and TAI is ahead by 37 s.
    assert info.mid_mjd == pytest.approx(60443 + (4 * 3600 + 32 * 60 + 47.12 + 67) / 86400)
    assert (info.ra_deg, info.dec_deg) == (
        pytest.approx(201.4151),
        pytest.approx(-8.8246, abs=1e-4),
    )
    assert info.rotation_deg == pytest.approx(182.2, abs=0.05)


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"OBJECT": "bias", "OBSTYPE": "DARK", "EXPTIME": 0}, "bias"),
        ({"OBJECT": "Bias ", "OBSTYPE": "OBJECT", "EXPTIME": 0}, "bias"),
        ({"OBJECT": "", "OBSTYPE": "DARK", "EXPTIME": 0}, "bias"),
        ({"OBJECT": "", "OBSTYPE": "DARK", "EXPTIME": 60}, "dark"),
        ({"OBJECT": "dome flat", "OBSTYPE": "OBJECT", "EXPTIME": 3}, "flat"),
        ({"OBJECT": "Sky Flat V", "OBSTYPE": "OBJECT", "EXPTIME": 3}, "flat"),
        ({"OBJECT": "NGC_4147", "OBSTYPE": "OBJECT", "EXPTIME": 3}, "science"),
    ],
)
def test_hand_written_headers_are_understood(cards: dict[str, object], expected: str) -> None:
    header = fits.Header({"INSTRUME": "Nickel Direct Camera", **cards})
    assert NickelTranslator(header).to_observation_type() == expected


@pytest.mark.parametrize("cards", [{}, {"RA": "not known", "DEC": "?"}])
def test_a_header_without_a_usable_pointing_is_read_all_the_same(cards: dict[str, object]) -> None:
    translator = NickelTranslator(fits.Header({"INSTRUME": "Nickel Direct Camera", **cards}))
    assert translator.to_tracking_radec() is None
    assert translator.to_boresight_rotation_angle() is None


def test_the_bias_level_that_drifts_is_taken_off_every_row(folder: Path) -> None:
    """Half of the overscan gives the level of a row; the other half is left at zero by it."""
    levels = []
    for number in (1001, 1047, 1059, 1074, 1083):
        raw = read_raw(folder / f"d{number}.fits.fz", NICKEL)
        levels.append(np.median(raw.image[:, 1027:]))
        raw.image[:, 500:515] = raw.image[:, 1040:1055]
        config = SignatureConfig(overscan_skip_last_pix=16)
        made = remove_signature(raw, DETECTOR, Signature(), config).image
        left = made[:, 500:515].mean(axis=1) / DETECTOR.gain
        # Uncorrected, rows of one frame drift by up to 6 ADU, frames by 60.
        parts = [part.mean() for part in np.array_split(left, 8)]
        assert np.abs(parts).max() < 1.5
        assert np.ptp(parts) < 1.5
    assert max(levels) - min(levels) > 40


def test_the_read_noise_is_that_of_pairs_of_biases(folder: Path) -> None:
    frames = [read_raw(folder / f"d{n}.fits.fz", NICKEL).image for n in BIASES]
    pairs = [
        _deviation((one - other)[50:950, 300:950]) / np.sqrt(2) for one, other in pairwise(frames)
    ]
    assert 4.9 <= np.mean(pairs) <= 5.3
    assert np.mean(pairs) * DETECTOR.gain == pytest.approx(DETECTOR.read_noise, rel=0.03)


def test_the_gain_is_that_of_the_photon_transfer_between_flats(read: Read) -> None:
    bias = np.median([read(n) for n in BIASES], axis=0) / DETECTOR.gain
    frames = [read(n) / DETECTOR.gain - bias for n in FLATS]
    read_noise_adu = DETECTOR.read_noise / DETECTOR.gain
    gains = []
    for one, other in combinations(frames, 2):
        levels = one.mean(), other.mean()
        # The ratio holds no vignetting; neighbours hold none of how it drifts.
        ratio = one / levels[0] - other / levels[1]
        variance = _deviation(ratio[:, 1:] - ratio[:, :-1]) ** 2 / 2
        inverse = 1 / np.array(levels)
        gains.append(inverse.sum() / (variance - read_noise_adu**2 * (inverse**2).sum()))
    assert np.mean(gains) == pytest.approx(1.78, abs=0.1)
    assert np.mean(gains) == pytest.approx(DETECTOR.gain, rel=0.02)


@pytest.mark.parametrize("card", ["DATE-BEG", "EXPTIME", "OBSNUM"])
def test_a_frame_without_time_or_number_is_refused_in_a_sentence(tmp_path: Path, card: str) -> None:
    cards = {"INSTRUME": "Nickel Direct Camera", "OBSTYPE": "OBJECT", "OBJECT": "M13",
             "FILTNAM": "V", "EXPTIME": 60, "OBSNUM": 1059,
             "DATE-BEG": "2024-05-13T05:34:13.98"}  # fmt: skip
    del cards[card]
    path = tmp_path / "d1059.fits"
    pixels = np.zeros((1024, 1056), dtype=np.uint16)
    fits.PrimaryHDU(pixels, fits.Header(cards)).writeto(path)
    with pytest.raises(InputFileError, match=f"lacks a usable .*{card}"):
        read_info(path, NICKEL)
