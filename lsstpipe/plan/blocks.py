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
        numbers = (self.visits >> self.bits).tolist()
        pairs = zip(numbers, self.bits.tolist(), strict=True)
        return {number << bits: spell_range(number, bits) for number, bits in pairs}


def spell_range(number: int, bits: int) -> str:
    """Spell a block: a number, or the first and the last.

    Parameters
    ----------
    number, bits
        It begins at ``number * 2**bits`` and has ``2**bits`` numbers.
    """
    first = number << bits
    return f"{first}-{first + (1 << bits) - 1}" if bits else str(first)


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
