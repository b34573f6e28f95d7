"""Frames of another kind among many."""

import numpy as np

from lsstpipe.algorithms.odd_frames import find_odd_frames, measure_frame


def test_a_flat_among_biases_is_odd_by_its_level_and_by_its_noise(
    rng: np.random.Generator,
) -> None:
    frames = [rng.normal(0, 5, (60, 70)).astype(np.float32) for _ in range(6)]
    frames[2] = rng.normal(20000, 140, (60, 70)).astype(np.float32)
    frames[4] = rng.normal(0, 15, (60, 70)).astype(np.float32)
    frames[5] = np.full((60, 70), np.nan, np.float32)
    figures = [measure_frame(frame) for frame in frames]
    odd = find_odd_frames(
        np.array([f.level for f in figures]),
        np.array([f.spread for f in figures]),
        max_level_offset=25,
        max_spread_ratio=2,
    )
    assert odd.tolist() == [False, False, True, False, True, True]


def test_a_level_that_drifts_with_all_frames_is_not_odd() -> None:
    levels = np.linspace(1000, 1100, 9)
    odd = find_odd_frames(levels, np.full(9, 5.0), max_level_offset=25, max_spread_ratio=2)
    assert not odd.any()
