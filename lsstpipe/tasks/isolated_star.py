"""isolated_star: group the sources of all visits of a tract into isolated stars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import PositiveFloat, PositiveInt

from lsstpipe import datasets
from lsstpipe.algorithms.match import AssociationConfig, associate
from lsstpipe.data_model import DataId
from lsstpipe.errors import NoWorkFound
from lsstpipe.image.catalog import Catalog, concatenate
from lsstpipe.image.columns import ISOLATED_STAR, SOURCE
from lsstpipe.tasks.base import TaskConfig


class Config(TaskConfig):
    """Which sources are the same star."""

    min_signal_to_noise: PositiveFloat = 10.0
    """Least signal-to-noise ratio of the PSF flux of a source."""

    match_radius_arcsec: PositiveFloat = 2.5
    """Sources of different visits closer than this are the same star."""

    isolation_radius_arcsec: PositiveFloat = 12.0
    """Stars with a neighbour closer than this are left out."""

    min_visits: PositiveInt = 3
    """Fewest visits that a star must be seen on."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The sources of every visit."""

    source: Annotated[Mapping[DataId, Catalog], datasets.source]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    isolated_star: Annotated[Catalog, datasets.isolated_star]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Group the good point sources of one tract into isolated stars."""
    source = concatenate(SOURCE, inputs.source.values())
    good = source["detect_isPrimary"].astype(bool) & (source["psfFluxErr"] > 0)
    good &= source["psfFlux"] > config.min_signal_to_noise * source["psfFluxErr"]
    for name in ("saturated", "bad", "edge", "nodata"):
        good &= ~source[f"pixelFlags_{name}"].astype(bool)
    good &= ~source["psfFlux_flag"].astype(bool) & ~source["centroid_flag"].astype(bool)
    good &= ~(source["extendedness"] > _LARGEST_EXTENDEDNESS)
    source = source.select(good)
    if len(source) == 0:
        raise NoWorkFound(f"No source is as bright as {config.min_signal_to_noise:g} sigma.")
    stars = associate(
        visit=source.columns["visit"],  # type: ignore[arg-type]
        ra_deg=source["ra"],
        dec_deg=source["dec"],
        config=AssociationConfig(
            match_radius_arcsec=config.match_radius_arcsec,
            isolation_radius_arcsec=config.isolation_radius_arcsec,
            min_visits=config.min_visits,
        ),
    )
    kept = stars.star >= 0
    columns = {name: values[kept] for name, values in source.columns.items() if name in _SHARED}
    return Outputs(Catalog(ISOLATED_STAR, {**columns, "isolatedStarId": stars.star[kept]}))


_LARGEST_EXTENDEDNESS = 0.5
_SHARED = set(ISOLATED_STAR.names()) & set(SOURCE.names())
