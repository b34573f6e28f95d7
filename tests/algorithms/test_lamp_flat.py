"""Flats of a lamp against the response that was put in."""

import numpy as np
import pytest

from lsstpipe.algorithms.lamp_flat import FlatLimits, LampFlat, combine_lamp_flats
from lsstpipe.errors import AlgorithmError
from tests.peak_memory import measure_peak

SHAPE = (256, 256)
LIMITS = FlatLimits(2000.0, 90000.0, 0.01, 0.01)
READ_NOISE = np.full(SHAPE, 5.0, np.float32)


def make_response() -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / 255 - 0.5
    response = (1 - 0.2 * (y**2 + x**2)) * (1 + 0.01 * np.random.default_rng(1).normal(size=SHAPE))
    response[100, 100] = 0.6
    return response / response.mean()


def make_frames(rng: np.random.Generator, levels: tuple[float, ...]) -> np.ndarray:
    response = make_response()
    frames = [rng.poisson(v * response) + rng.normal(0, 5, SHAPE) for v in levels]
    return np.array(frames, dtype=np.float32)


def combine(frames: np.ndarray, saturated: tuple[float, ...] = ()) -> LampFlat:
    share = saturated or (0.0,) * len(frames)
    return combine_lamp_flats(frames, share, read_noise=READ_NOISE, n_sigma=4.0, limits=LIMITS)


def test_the_flat_is_the_response_within_its_errors_though_the_lamp_drifts(
    rng: np.random.Generator,
) -> None:
    frames = make_frames(rng, (30000, 33000, 36000, 60000, 20000))
    frames[1, 30, 40:60] += 9000
    made = combine(frames)
    ratio = made.image / make_response()
    pull = (made.image - make_response()) / np.sqrt(made.variance)
    assert abs(ratio.mean() - 1) < 5e-5
    assert ratio.reshape(8, 32, 8, 32).mean(axis=(1, 3)).std() < 5e-4
    assert pull.std() == pytest.approx(1.0, abs=0.03)
    assert abs(pull[30, 40:60]).max() < 5
    assert made.image.mean() == pytest.approx(1.0, abs=1e-6)
    assert made.faults == ("",) * 5


def test_bad_frames_are_left_out_and_say_why(rng: np.random.Generator) -> None:
    frames = make_frames(rng, (30000, 30000, 30000, 1000, 95000, 30000, 30000))
    frames[5] *= (1 + 0.03 * np.linspace(-1, 1, SHAPE[1])).astype(np.float32)
    made = combine(frames, (0, 0, 0, 0, 0, 0, 0.2))
    assert made.faults[:3] == ("", "", "")
    assert "below 2000" in made.faults[3]
    assert "above 90000" in made.faults[4]
    assert "shape of its light differs by 2." in made.faults[5]
    assert made.faults[6] == "20% of its pixels are saturated"
    assert made.n_used.max() == 3
    assert abs((made.image / make_response()).mean() - 1) < 1e-4


def test_unknown_pixels_are_1_and_do_not_move_the_rest(rng: np.random.Generator) -> None:
    frames = make_frames(rng, (30000,) * 4)
    frames[:, :, 200] = np.nan
    frames[0, :64] = np.nan
    made = combine(frames)
    assert (made.image[:, 200] == 1).all()
    assert (made.n_used[:, 200] == 0).all()
    known = np.delete(make_response(), 200, axis=1)
    ratio = np.delete(made.image, 200, axis=1) / known * known.mean()
    assert abs(ratio[:64].mean() / ratio[64:].mean() - 1) < 3e-4


def test_two_good_frames_are_too_few(rng: np.random.Generator) -> None:
    with pytest.raises(AlgorithmError, match="at least 3 good frames, got 2 of 3: its level of 8"):
        combine(make_frames(rng, (30000, 30000, 900)))


def test_frames_that_are_left_out_change_no_bit(rng: np.random.Generator) -> None:
    frames = make_frames(rng, (900, 30000, 33000, 95000, 36000, 31000))
    alone = combine(frames[[1, 2, 4, 5]])
    made = combine(frames)
    for name in ("image", "variance", "n_used"):
        np.testing.assert_array_equal(getattr(made, name), getattr(alone, name))
    np.testing.assert_array_equal(made.level[[1, 2, 4, 5]], alone.level)


def test_no_copy_of_all_frames_is_made(rng: np.random.Generator) -> None:
    frames = make_frames(rng, (900, *np.linspace(3e4, 4e4, 24)))
    peak = measure_peak(combine, frames)
    # 13 images of the bytes of a frame are needed beside the 25 frames, however many these are.
    assert peak < 0.6 * frames.nbytes
