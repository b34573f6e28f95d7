"""What an error of EC2 means for the pool that met it.

Sources of the codes: the error codes of the EC2 API reference, and the lists that AWS
ParallelCluster grew over the years (slurm_plugin 3.16).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum


class ErrorClass(Enum):
    """What to do about an error.

    A market that has no instances now may have them later or elsewhere; a quota must be raised by a
    person; a throttled call is made again; everything else is a mistake that costs money when it is
    repeated.
    """

    CAPACITY = "capacity"
    QUOTA = "quota"
    THROTTLE = "throttle"
    FATAL = "fatal"


_CAPACITY = frozenset(
    {
        "InsufficientCapacity",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "InsufficientReservedInstanceCapacity",
        "MaxSpotInstanceCountExceeded",
        "SpotMaxPriceTooLow",
        "UnfulfillableCapacity",
        "Unsupported",  # the type is not offered in that zone
    }
)
_QUOTA = frozenset(
    {
        "InstanceLimitExceeded",
        "InsufficientFreeAddressesInSubnet",
        "MaxIOPSLimitExceeded",
        "VcpuLimitExceeded",
        "VolumeLimitExceeded",
    }
)
_THROTTLE = frozenset(
    {
        "EC2ThrottledException",
        "InternalError",
        "InternalFailure",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "Unavailable",
    }
)


def classify(code: str) -> ErrorClass:
    """Sort an error code of EC2.

    Parameters
    ----------
    code
        Such as ``InsufficientInstanceCapacity``; one that nobody knows is FATAL, for what is not
        understood must not be repeated.
    """
    if code in _CAPACITY:
        return ErrorClass.CAPACITY
    if code in _QUOTA:
        return ErrorClass.QUOTA
    return ErrorClass.THROTTLE if code in _THROTTLE else ErrorClass.FATAL


_GRAVITY = (ErrorClass.CAPACITY, ErrorClass.THROTTLE, ErrorClass.QUOTA, ErrorClass.FATAL)


def worst(codes: Iterable[str]) -> ErrorClass | None:
    """Give the gravest class among error codes; None where there are none.

    Parameters
    ----------
    codes
        Error codes of one call: a fleet reports one for each type and zone that it tried.
    """
    classes = {classify(code) for code in codes}
    return max(classes, key=_GRAVITY.index) if classes else None
