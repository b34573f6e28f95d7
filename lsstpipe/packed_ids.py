"""Ids of sources and objects: numbers that say where each was found."""

from __future__ import annotations

from lsstpipe.errors import DataIdError

_SOURCE_BITS, _DETECTOR_BITS, _VISIT_BITS = 15, 8, 40
_OBJECT_BITS, _PATCH_BITS, _TRACT_BITS = 29, 14, 20


def first_source_id(*, visit: int, detector: int) -> int:
    """Return the id of the first source of a detector; its others follow.

    Visit, detector and number are packed into 63 bits, so that no two sources share an id and each
    id tells where its source was seen.

    Raises
    ------
    DataIdError
        If the numbers are too large to be packed.
    """
    _check_packable(("visit", visit, _VISIT_BITS), ("detector", detector, _DETECTOR_BITS))
    return (visit << _DETECTOR_BITS | detector) << _SOURCE_BITS


def first_object_id(*, tract: int, patch: int) -> int:
    """Return the id of the first object of a patch; its others follow.

    Raises
    ------
    DataIdError
        If the numbers are too large to be packed.
    """
    _check_packable(("tract", tract, _TRACT_BITS), ("patch", patch, _PATCH_BITS))
    return (tract << _PATCH_BITS | patch) << _OBJECT_BITS


def _check_packable(*fields: tuple[str, int, int]) -> None:
    """Refuse numbers that do not fit their bits."""
    for name, value, bits in fields:
        if not 0 <= value < 1 << bits:
            raise DataIdError(f"{name} must be from 0 to {2**bits - 1} to be packed, got {value}.")
