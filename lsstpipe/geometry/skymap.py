"""Sky maps: how the sky is cut into tracts and patches.

A tract is one TAN image, a patch a rectangle of its pixels. The inner boxes of the patches of a
tract tile it; their outer boxes overlap by a border, so that every object is whole on some patch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.geometry.box import Box
from lsstpipe.geometry.region import polygons_from_sky
from lsstpipe.geometry.sphere import angular_separation_deg
from lsstpipe.geometry.wcs import SkyWcs

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PatchGrid:
    """How a tract is cut into patches.

    Attributes
    ----------
    n_y, n_x
        Number of patches in each direction.
    inner_ny, inner_nx
        Size of a patch without its border, pixels.
    border
        What is added on each side of a patch that has a neighbour there, pixels.
    """

    n_y: int
    n_x: int
    inner_ny: int
    inner_nx: int
    border: int

    def __post_init__(self) -> None:
        """Check the numbers."""
        if min(self.n_y, self.n_x, self.inner_ny, self.inner_nx) < 1 or self.border < 0:
            raise ValueError(
                "a patch grid needs positive numbers and sizes and a border of 0 or more, "
                f"got {self}"
            )

    @property
    def box(self) -> Box:
        """All pixels of the tract, the first at (0, 0)."""
        return Box(0, 0, self.n_y * self.inner_ny, self.n_x * self.inner_nx)


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle of the pixels of a tract.

    Attributes
    ----------
    index
        Sequential number: ``row * n_x + column``.
    inner
        The pixels that belong to this patch alone.
    outer
        Those and the border, cut at the edge of the tract.
    """

    index: int
    inner: Box
    outer: Box


@dataclass(frozen=True, slots=True)
class Tract:
    """One TAN image with its patches; east is at -x and north at +y.

    Attributes
    ----------
    index
        Number of the tract in its sky map.
    centre_deg
        Right ascension and declination of the middle of the tract, degrees.
    pixel_scale_arcsec
        Side of the pixel at the middle, arcsec.
    grid
        Its patches.
    """

    index: int
    centre_deg: tuple[float, float]
    pixel_scale_arcsec: float
    grid: PatchGrid

    def __post_init__(self) -> None:
        """Check the projection."""
        if not self.pixel_scale_arcsec > 0.0 or not -90.0 <= self.centre_deg[1] <= 90.0:
            raise ValueError(
                f"a tract needs a positive pixel scale and a declination in [-90, 90], got {self}"
            )

    @property
    def wcs(self) -> SkyWcs:
        """Map between pixels of the tract and the sky."""
        box = self.grid.box
        step = self.pixel_scale_arcsec / 3600.0
        return SkyWcs(
            ((box.ny - 1) / 2.0, (box.nx - 1) / 2.0),
            self.centre_deg,
            ((-step, 0.0), (0.0, step)),
        )

    @property
    def patches(self) -> tuple[Patch, ...]:
        """Every patch, in the order of its index."""
        return tuple(self.patch(index) for index in range(self.grid.n_y * self.grid.n_x))

    def patch(self, index: int) -> Patch:
        """Return one patch.

        Parameters
        ----------
        index
            Its sequential number.

        Returns
        -------
        Patch
            Its boxes.

        Raises
        ------
        IndexError
            If there is no patch of that number.
        """
        grid = self.grid
        if not 0 <= index < grid.n_y * grid.n_x:
            raise IndexError(
                f"tract {self.index} has no patch {index}; it has 0 to {grid.n_y * grid.n_x - 1}"
            )
        row, column = divmod(index, grid.n_x)
        inner = Box(row * grid.inner_ny, column * grid.inner_nx, grid.inner_ny, grid.inner_nx)
        return Patch(index, inner, inner.grown(grid.border).intersection(grid.box))

    def patch_polygons(self) -> FloatArray:
        """Return the outlines of the outer boxes of all patches on the sky.

        Returns
        -------
        polygons
            Unit vectors, counter-clockwise, shape ``(n_patches, 4, 3)``; see
            `lsstpipe.geometry.region`. A great circle is a straight line of the TAN projection, so
            these are exact.
        """
        corners = [patch.outer.corners() for patch in self.patches]
        y = np.stack([corner[0] for corner in corners])
        x = np.stack([corner[1] for corner in corners])
        return polygons_from_sky(*self.wcs.pixel_to_sky(y=y, x=x))

    def find_patches(self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> IntArray:
        """Find the patches whose inner boxes hold some sky positions.

        Parameters
        ----------
        ra_deg, dec_deg
            Positions, degrees, one shape.

        Returns
        -------
        patch
            Indices; -1 where the position is outside the tract.
        """
        y, x = self.wcs.sky_to_pixel(ra_deg, dec_deg)
        inside = self.grid.box.contains(y=y, x=x)
        row = np.floor((np.where(inside, y, 0.0) + 0.5) / self.grid.inner_ny).astype(np.int64)
        column = np.floor((np.where(inside, x, 0.0) + 0.5) / self.grid.inner_nx).astype(np.int64)
        return np.where(inside, row * self.grid.n_x + column, np.int64(-1))


@dataclass(frozen=True, slots=True)
class SkyMap:
    """A list of tracts under a name.

    Attributes
    ----------
    name
        What data IDs call it.
    tracts
        The tracts; the number of each is its place.
    """

    name: str
    tracts: tuple[Tract, ...]

    def __post_init__(self) -> None:
        """Check the numbers of the tracts."""
        if [tract.index for tract in self.tracts] != list(range(len(self.tracts))):
            raise ValueError("the tracts of a sky map must be numbered 0, 1, 2 ... in order")

    @classmethod
    def discrete(
        cls,
        name: str,
        centres_deg: Sequence[tuple[float, float]],
        pixel_scale_arcsec: float,
        grid: PatchGrid,
    ) -> SkyMap:
        """Make a sky map of equal tracts at given places.

        Parameters
        ----------
        name
            What data IDs call it.
        centres_deg
            Right ascension and declination of the middle of each tract, degrees.
        pixel_scale_arcsec
            Side of a pixel, arcsec.
        grid
            The patches of each tract.

        Returns
        -------
        SkyMap
            The sky map.
        """
        return cls(
            name,
            tuple(
                Tract(index, centre, pixel_scale_arcsec, grid)
                for index, centre in enumerate(centres_deg)
            ),
        )

    def find_primary(
        self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike
    ) -> tuple[IntArray, IntArray]:
        """Find the one tract and patch to which each sky position belongs.

        Where tracts overlap, a position belongs to that with the nearest centre.

        Parameters
        ----------
        ra_deg, dec_deg
            Positions, degrees, one shape.

        Returns
        -------
        tract, patch
            Indices; -1 both where no tract covers the position.
        """
        ra, dec = np.broadcast_arrays(np.asarray(ra_deg, float), np.asarray(dec_deg, float))
        tract_index = np.full(ra.shape, -1, dtype=np.int64)
        patch_index = np.full(ra.shape, -1, dtype=np.int64)
        nearest = np.full(ra.shape, np.inf)
        for tract in self.tracts:
            patch = tract.find_patches(ra, dec)
            distance = angular_separation_deg(ra, dec, *tract.centre_deg)
            wins = (patch >= 0) & (distance < nearest)
            tract_index = np.where(wins, tract.index, tract_index)
            patch_index = np.where(wins, patch, patch_index)
            nearest = np.where(wins, distance, nearest)
        return tract_index, patch_index

    def to_json_dict(self) -> dict[str, object]:
        """Return the sky map as plain numbers and lists, which JSON keeps exactly.

        Returns
        -------
        plain
            What `from_json_dict` reads.
        """
        return {
            "name": self.name,
            "tracts": [
                {
                    "centre_deg": list(tract.centre_deg),
                    "pixel_scale_arcsec": tract.pixel_scale_arcsec,
                    "grid": [
                        tract.grid.n_y,
                        tract.grid.n_x,
                        tract.grid.inner_ny,
                        tract.grid.inner_nx,
                        tract.grid.border,
                    ],
                }
                for tract in self.tracts
            ],
        }

    @classmethod
    def from_json_dict(cls, plain: Mapping[str, object]) -> SkyMap:
        """Make the sky map from what `to_json_dict` gave.

        Parameters
        ----------
        plain
            Name and tracts.

        Returns
        -------
        SkyMap
            A sky map equal to the one that was written.
        """
        name, entries = plain["name"], plain["tracts"]
        if not isinstance(name, str) or not isinstance(entries, list):
            raise TypeError("a sky map needs a name and a list of tracts")
        tracts = [
            Tract(
                index,
                (float(entry["centre_deg"][0]), float(entry["centre_deg"][1])),
                float(entry["pixel_scale_arcsec"]),
                PatchGrid(*(int(number) for number in entry["grid"])),
            )
            for index, entry in enumerate(entries)
        ]
        return cls(name, tuple(tracts))
