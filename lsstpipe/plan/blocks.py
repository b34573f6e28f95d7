"""Blocks of visits that share a chunk: which block a visit is in depends on its neighbours alone.

A block is a range of ``2**k`` numbers that begins at a multiple of its size: the largest one that
has no more visits than a chunk may hold. A visit that is added changes the block that it falls in,
which may fall into two, and no other, whatever the order in which visits come.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lsstpipe.plan.rows import IndexArray

_MAX_BITS = 20
"""No block is larger than 2**20 numbers: about a night where numbers are times."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """The block of each visit.

    Attributes
    ----------
    visits
        Numbers of all visits, ascending.
    bits
        The block of visit ``i`` has ``2**bits[i]`` numbers.
    """

    visits: IndexArray
    bits: IndexArray

    def first(self, visits: IndexArray) -> IndexArray:
        """Give the first number of the block of each visit.

        Parameters
        ----------
        visits
            Numbers of visits that there are.
        """
        bits = self.bits[np.searchsorted(self.visits, visits)]
        return visits >> bits << bits

    def names(self) -> dict[int, str]:
        """Name the blocks by their first numbers: the number, or the range."""
        first = self.visits >> self.bits << self.bits
        last = first + (np.int64(1) << self.bits) - 1
        return {
            low: str(low) if low == high else f"{low}-{high}"
            for low, high in zip(first.tolist(), last.tolist(), strict=True)
        }


def make_blocks(visits: IndexArray, most: int) -> Blocks:
    """Cut visits into blocks.

    Parameters
    ----------
    visits
        Numbers of all visits, ascending.
    most
        How many visits a block may hold.
    """
    bits = np.zeros(len(visits), dtype=np.int64)
    for n_bits in range(1, _MAX_BITS + 1 if most > 1 else 1):
        _, block, count = np.unique(visits >> n_bits, return_inverse=True, return_counts=True)
        bits[count[block] <= most] = n_bits
    return Blocks(visits, bits)
