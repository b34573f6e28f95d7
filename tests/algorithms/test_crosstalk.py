"""Crosstalk is subtracted, and flagged where it was strong."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.algorithms.crosstalk import CrosstalkMatrix, subtract_crosstalk
from lsstpipe.io.json import read_json, write_json

NAMES = ("A", "B", "C", "D")
COEFFICIENTS = np.array(
    [[0, 2e-4, 1e-5, 0], [3e-4, 0, -1e-4, 1e-5], [1e-5, 1e-4, 0, 2e-4], [0, 1e-5, 4e-4, 0]]
)


@pytest.fixture
def cube(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    made = rng.normal(500.0, 20.0, (4, 30, 40)).astype(np.float32)
    made[2, 10:14, 20:25] = 120000.0
    return made


def add(cube: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    mixed = cube + np.einsum("vs,syx->vyx", COEFFICIENTS, cube.astype(np.float64))
    return mixed.astype(np.float32)


def test_the_ghosts_go_to_less_than_a_hundredth_of_themselves(
    cube: npt.NDArray[np.float32],
) -> None:
    mixed = add(cube)
    ghost = (mixed - cube)[3, 10:14, 20:25].mean()
    subtract_crosstalk(mixed, CrosstalkMatrix(NAMES, COEFFICIENTS), flag_from=10.0)
    left = (mixed - cube)[3, 10:14, 20:25].mean()
    assert ghost == pytest.approx(48.0, abs=0.1)
    assert abs(left) < 0.01 * ghost


def test_pixels_are_flagged_where_the_ghost_is_as_strong_as_asked_for(
    cube: npt.NDArray[np.float32],
) -> None:
    expected = np.zeros(cube.shape, dtype=bool)
    expected[1, 10:14, 20:25] = expected[3, 10:14, 20:25] = True
    flagged = subtract_crosstalk(cube, CrosstalkMatrix(NAMES, COEFFICIENTS), flag_from=10.0)
    np.testing.assert_array_equal(flagged, expected)


def test_what_is_not_known_of_a_matrix_changes_nothing(cube: npt.NDArray[np.float32]) -> None:
    before = cube.copy()
    unknown = np.where(COEFFICIENTS != 0, np.nan, 0.0)
    subtract_crosstalk(cube, CrosstalkMatrix(NAMES, unknown), flag_from=1.0)
    np.testing.assert_array_equal(cube, before)


def test_a_matrix_is_the_same_after_json() -> None:
    made = CrosstalkMatrix(NAMES, COEFFICIENTS)
    again = CrosstalkMatrix.from_json_dict(read_json(write_json(made.to_json_dict()), "crosstalk"))
    assert again.amplifiers == NAMES
    np.testing.assert_array_equal(again.coefficients, COEFFICIENTS)


def test_a_matrix_with_a_diagonal_is_refused() -> None:
    with pytest.raises(ValueError, match="0 on its diagonal"):
        CrosstalkMatrix(("A", "B"), np.eye(2))
