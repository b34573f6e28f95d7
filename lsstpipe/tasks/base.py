"""What every task module has, and how its ports are read.

A task is a module with ``Config``, ``Inputs``, ``Outputs`` and ``run(inputs, config, data_id)``.
Ports are the fields of ``Inputs`` and ``Outputs``, each annotated with its dataset type::

    raw: Annotated[Exposure, datasets.raw]                        one dataset
    flat: Annotated[Exposure | None, datasets.flat]               one, or none if the plan has none
    source: Annotated[Mapping[DataId, Catalog], datasets.source]  as many as there are
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import ModuleType, NoneType

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from lsstpipe.data_model import DatasetType
from lsstpipe.geometry.sphere import sky_positions, unit_vectors
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.exposure import Exposure, ObservationInfo
from lsstpipe.image.mask import MaskArray

Json = dict[str, typing.Any]
"""A JSON object."""


class TaskConfig(BaseModel):
    """Base of the settings of a task: immutable, and a name that is not a setting is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a task.

    Attributes
    ----------
    name, dataset_type
        Its field, and what it names.
    is_many, is_optional
        Whether the field is a mapping; whether it may be None.
    is_mask
        Whether it is the mask of an exposure alone, as in ``Annotated[MaskArray, defects]``: the
        other planes are not read then.
    """

    name: str
    dataset_type: DatasetType
    is_many: bool
    is_optional: bool
    is_mask: bool


def read_ports(module: ModuleType, side: typing.Literal["Inputs", "Outputs"]) -> tuple[Port, ...]:
    """Read the ports of a task from the annotations of its class.

    Parameters
    ----------
    module
        A task module.
    side
        Which of its two classes.

    Raises
    ------
    TypeError
        If a field is not annotated with a dataset type.
    """
    cls = getattr(module, side)
    hints = typing.get_type_hints(cls, include_extras=True)
    ports = []
    for item in fields(cls):
        hint = hints[item.name]
        types = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, DatasetType)]
        if len(types) != 1:
            raise TypeError(f"{module.__name__}.{side}.{item.name} must name one dataset type.")
        kind = typing.get_args(hint)[0]
        ports.append(
            Port(
                item.name,
                types[0],
                is_many=typing.get_origin(kind) is Mapping,
                is_optional=NoneType in typing.get_args(kind),
                is_mask=MaskArray in (kind, *typing.get_args(kind)),
            )
        )
    return tuple(ports)


def get_info(exposure: Exposure) -> ObservationInfo:
    """Return what is known of an exposure's observation; every image of a camera has it."""
    if exposure.info is None:
        raise ValueError("The exposure has lost its ObservationInfo.")
    return exposure.info


def mean_positions(
    stars: Catalog,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Average the sky positions of the sources of each isolated star.

    Parameters
    ----------
    stars
        A catalogue of `ISOLATED_STAR`.

    Returns
    -------
    ra_deg, dec_deg
        Mean position of each star, degrees, in the order of their numbers.
    """
    number = stars.columns["isolatedStarId"].astype(np.int64)
    n = np.bincount(number)
    vectors = unit_vectors(stars["ra"], stars["dec"])
    mean = np.stack([np.bincount(number, weights=v) / n for v in vectors.T], axis=1)
    return sky_positions(mean / np.linalg.norm(mean, axis=1, keepdims=True))


def plain(value: npt.ArrayLike, digits: int | None = None) -> typing.Any:
    """Turn numbers into what JSON can hold; NaN and infinity become null.

    Parameters
    ----------
    value
        A number or an array of one dimension.
    digits
        Decimals to keep; None for all.
    """
    array = np.asarray(value, dtype=np.float64)
    if digits is not None:
        array = np.round(array, digits)
    listed = [float(v) if np.isfinite(v) else None for v in array.ravel()]
    return listed if array.ndim else listed[0]
