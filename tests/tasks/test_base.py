from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Annotated

import numpy as np
import pytest
from pydantic import ValidationError

from lsstpipe import datasets
from lsstpipe.data_model import DataId
from lsstpipe.geometry.box import Box
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.columns import ISOLATED_STAR
from lsstpipe.image.exposure import Exposure
from lsstpipe.tasks.base import TaskConfig, get_info, mean_positions, plain, read_ports
from tests.tasks.simulated_world import make_info


@dataclass(frozen=True)
class Inputs:
    raw: Annotated[Exposure, datasets.raw]
    flat: Annotated[Exposure | None, datasets.flat]
    source: Annotated[Mapping[DataId, Catalog], datasets.source]


@dataclass(frozen=True)
class Outputs:
    raw: Exposure


def task() -> ModuleType:
    module = ModuleType("a_task")
    module.__dict__.update(Inputs=Inputs, Outputs=Outputs)
    return module


def test_ports_are_one_optional_or_many() -> None:
    ports = read_ports(task(), "Inputs")
    assert [(p.name, p.dataset_type, p.is_many, p.is_optional) for p in ports] == [
        ("raw", datasets.raw, False, False),
        ("flat", datasets.flat, False, True),
        ("source", datasets.source, True, False),
    ]


def test_a_port_without_a_dataset_type_is_a_mistake() -> None:
    with pytest.raises(TypeError, match=r"a_task\.Outputs\.raw must name one dataset type"):
        read_ports(task(), "Outputs")


def test_a_setting_that_does_not_exist_is_refused() -> None:
    class Config(TaskConfig):
        depth: int = 1

    assert Config(depth=2).depth == 2
    with pytest.raises(ValidationError, match="depht"):
        Config(depht=2)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        Config().depth = 3  # type: ignore[misc]


def test_an_exposure_that_lost_its_info_is_a_bug() -> None:
    zeros = np.zeros((2, 3), dtype=np.float32)
    image = Exposure(zeros, zeros.astype(np.int32), zeros, Box(0, 0, 2, 3), "adu")
    with pytest.raises(ValueError, match="lost its ObservationInfo"):
        get_info(image)
    info = make_info(5, "dark")
    assert get_info(replace(image, info=info)) is info


def stars_at(number: list[int], ra: list[float], dec: list[float]) -> Catalog:
    columns = {name: np.zeros(len(number)) for name in ISOLATED_STAR.names()}
    return Catalog(ISOLATED_STAR, {**columns, "isolatedStarId": number, "ra": ra, "dec": dec})


def test_the_mean_position_of_a_star_knows_that_the_sky_is_round() -> None:
    ra, dec = mean_positions(
        stars_at([0, 1, 0, 1, 1], [359.9, 10.0, 0.1, 10.2, 10.4], [5.0, 0.0, 5.0, 0.0, 0.0])
    )
    assert (ra[0] + 180) % 360 - 180 == pytest.approx(0.0, abs=1e-9)
    assert ra[1] == pytest.approx(10.2)
    # The middle of a chord along a parallel lies a little further from the equator.
    assert dec == pytest.approx([5.0, 0.0], abs=1e-4)


def test_numbers_become_what_json_can_hold() -> None:
    assert plain(np.float32(0.5)) == 0.5
    assert plain(np.nan) is None
    assert plain([1.23456, np.inf, -np.inf], 2) == [1.23, None, None]
    assert type(plain(np.int64(3))) is float
    assert plain([]) == []
