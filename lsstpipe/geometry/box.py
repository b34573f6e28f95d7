"""Boxes of pixels in absolute coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open box of pixels: rows ``y0 <= y < y0 + ny``, columns ``x0 <= x < x0 + nx``.

    Positions count from the centre of pixel (0, 0), so that the box reaches from ``y0 - 0.5`` to
    ``y0 + ny - 0.5`` on the plane. A box without pixels is allowed: it is what two boxes that do
    not meet have in common.

    Attributes
    ----------
    y0, x0
        Absolute coordinates of the first pixel.
    ny, nx
        Number of rows and of columns.
    """

    y0: int
    x0: int
    ny: int
    nx: int

    def __post_init__(self) -> None:
        """Check that the size makes sense."""
        if self.ny < 0 or self.nx < 0:
            raise ValueError(
                f"the size of a box must not be negative, got ny={self.ny}, nx={self.nx}"
            )

    @property
    def y1(self) -> int:
        """First row above the box."""
        return self.y0 + self.ny

    @property
    def x1(self) -> int:
        """First column to the right of the box."""
        return self.x0 + self.nx

    @property
    def shape(self) -> tuple[int, int]:
        """Shape ``(ny, nx)`` of an array that covers the box."""
        return self.ny, self.nx

    @property
    def n_pixels(self) -> int:
        """Number of pixels."""
        return self.ny * self.nx

    def contains(self, *, y: npt.ArrayLike, x: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Find the positions whose nearest pixel is in the box.

        Parameters
        ----------
        y, x
            Absolute positions, pixels, one shape; NaN is in no box.

        Returns
        -------
        numpy.ndarray
            True where the position is in the box.
        """
        row, column = np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)
        return np.asarray(
            (row >= self.y0 - 0.5)
            & (row < self.y1 - 0.5)
            & (column >= self.x0 - 0.5)
            & (column < self.x1 - 0.5)
        )

    def contains_box(self, other: Box) -> bool:
        """Tell whether every pixel of another box is in this one.

        Parameters
        ----------
        other
            The box that may be inside; one without pixels is inside every box.

        Returns
        -------
        bool
            True if nothing of ``other`` is outside.
        """
        return other.n_pixels == 0 or (
            self.y0 <= other.y0
            and self.x0 <= other.x0
            and other.y1 <= self.y1
            and other.x1 <= self.x1
        )

    def intersection(self, other: Box) -> Box:
        """Return the pixels that two boxes share.

        Parameters
        ----------
        other
            The other box.

        Returns
        -------
        Box
            The common pixels; without pixels if there are none.
        """
        y0, x0 = max(self.y0, other.y0), max(self.x0, other.x0)
        ny = max(min(self.y1, other.y1) - y0, 0)
        nx = max(min(self.x1, other.x1) - x0, 0)
        return Box(y0, x0, ny, nx)

    def grown(self, n_pixels: int) -> Box:
        """Return the box with a border added on every side.

        Parameters
        ----------
        n_pixels
            Width of the border; negative shrinks the box, at most to one without pixels.

        Returns
        -------
        Box
            The larger box.
        """
        y_border = max(n_pixels, -(self.ny // 2))
        x_border = max(n_pixels, -(self.nx // 2))
        ny, nx = self.ny + 2 * n_pixels, self.nx + 2 * n_pixels
        return Box(self.y0 - y_border, self.x0 - x_border, max(ny, 0), max(nx, 0))

    def shifted(self, *, y: int, x: int) -> Box:
        """Return the box moved by whole pixels.

        Parameters
        ----------
        y, x
            How far to move it.

        Returns
        -------
        Box
            A box of the same size.
        """
        return Box(self.y0 + y, self.x0 + x, self.ny, self.nx)

    def slices_in(self, parent: Box) -> tuple[slice, slice]:
        """Return the slices that cut this box out of an array that covers another.

        Parameters
        ----------
        parent
            The box of the array.

        Returns
        -------
        rows, columns
            Index the array with them.

        Raises
        ------
        ValueError
            If the box is not inside its parent, where slices would wrap or be cut short.
        """
        if not parent.contains_box(self):
            raise ValueError(f"{self} is not inside {parent}")
        y0, x0 = self.y0 - parent.y0, self.x0 - parent.x0
        if self.n_pixels == 0:
            y0 = x0 = 0
        return slice(y0, y0 + self.ny), slice(x0, x0 + self.nx)

    def corners(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the outer corners of the box, counter-clockwise from the lower left.

        Returns
        -------
        y, x
            Absolute positions, shape ``(4,)``, pixels.
        """
        low_y, high_y = self.y0 - 0.5, self.y1 - 0.5
        low_x, high_x = self.x0 - 0.5, self.x1 - 0.5
        return (
            np.array([low_y, low_y, high_y, high_y]),
            np.array([low_x, high_x, high_x, low_x]),
        )

    @staticmethod
    def around(*, y: npt.ArrayLike, x: npt.ArrayLike) -> Box:
        """Return the smallest box that holds the nearest pixels of some positions.

        Parameters
        ----------
        y, x
            Absolute positions, pixels, finite, at least one.

        Returns
        -------
        Box
            The box.
        """
        rows = np.floor(np.asarray(y, dtype=np.float64) + 0.5)
        columns = np.floor(np.asarray(x, dtype=np.float64) + 0.5)
        y0, x0 = int(rows.min()), int(columns.min())
        return Box(y0, x0, int(rows.max()) - y0 + 1, int(columns.max()) - x0 + 1)
