"""What is known about a file: path, size, checksum, age."""

from __future__ import annotations

from dataclasses import dataclass

import xxhash

_ALGORITHM = "xxh3_128"


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is in place: its path as it was given, bytes, ``algorithm:hexdigest``."""

    path: str
    size: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a listing: its path below the root, bytes, last change in seconds of the epoch."""

    path: str
    size: int
    modified_s: float


def compute_checksum(content: bytes) -> str:
    """Give ``xxh3_128:`` and 32 hexadecimal digits.

    It is made against damage and mix-ups, not against forgery, and costs no more than reading.

    Parameters
    ----------
    content
        The bytes of a file.
    """
    return f"{_ALGORITHM}:{xxhash.xxh3_128_hexdigest(content)}"
