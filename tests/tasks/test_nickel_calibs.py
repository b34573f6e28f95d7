"""Calibrations of a real night: 10 biases and 3 twilight flats of the Nickel telescope."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from lsstpipe.data_model import DataId
from lsstpipe.errors import NoWorkFound
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.instruments import get_camera
from lsstpipe.instruments.raw import CAMERAS, read_raw
from lsstpipe.tasks import bias, defects, flat, linearizer, ptc
from lsstpipe.tasks.base import Json, get_info
from lsstpipe.tasks.signature import Signature, remove_signature

pytestmark = pytest.mark.skipif("nickel" not in CAMERAS, reason="there is no camera nickel")

SENSOR = DataId(instrument="nickel", detector=0)
FLAT = DataId(SENSOR, physical_filter="V")


@dataclass(frozen=True)
class Night:
    flats: dict[DataId, Exposure]
    bias: Exposure
    ptc: Json
    defects: Exposure
    flat: Exposure


def read(folder: Path, numbers: range) -> dict[DataId, Exposure]:
    camera = get_camera("nickel")
    raws = [read_raw(folder / f"d{number}.fits.fz", camera) for number in numbers]
    return {DataId(SENSOR, exposure=get_info(raw).exposure): raw for raw in raws}


@pytest.fixture(scope="module")
def night(test_data: Path) -> Night:
    folder = test_data / "nickel_raw"
    biases, flats = read(folder, range(1001, 1011)), read(folder, range(1035, 1038))
    master = bias.run(bias.Inputs(biases), bias.Config(), SENSOR).bias
    transfer = ptc.run(ptc.Inputs(flats, master), ptc.Config(), SENSOR).ptc
    bad = defects.run(defects.Inputs(master, None), defects.Config(), SENSOR).defects
    response = flat.run(
        flat.Inputs(flats, master, None, bad.mask, transfer), flat.Config(), FLAT
    ).flat
    return Night(flats, master, transfer, bad, response)


def test_the_read_noise_is_that_of_the_camera(night: Night) -> None:
    gain = get_camera("nickel").detector(0).gain
    assert 4.9 < float(night.bias.metadata["read_noise_1"]) / gain < 5.3
    assert night.bias.metadata["n_inputs"] == 10


def test_the_gain_is_what_others_measured_on_these_flats(night: Night) -> None:
    assert night.ptc["n_pairs"] == 1
    assert night.ptc["gain"][0] == pytest.approx(1.78, abs=0.1)
    assert night.ptc["gain_err"][0] < 0.01


def test_columns_that_read_65535_are_bad_on_defects_and_flat(night: Night) -> None:
    bad = has(night.defects.mask, MaskPlane.BAD)
    full = np.all([raw.image[:, :1024] >= 65535 for raw in night.flats.values()], axis=0)
    assert full.sum() > 1000
    assert has(night.flat.mask, MaskPlane.BAD)[full].all()
    assert int(night.bias.metadata["n_unknown"]) > 500
    assert bad[has(night.bias.mask, MaskPlane.BAD)].all()
    assert bad.mean() < 0.01


def test_each_flat_over_the_master_is_even_but_for_noise(night: Night) -> None:
    signature = Signature(bias=night.bias, defects=night.defects.mask, flat=night.flat)
    detector = get_camera("nickel").detector(0)
    for raw in night.flats.values():
        made = remove_signature(raw, detector, signature, flat.Config())
        good = ~has(made.mask, MaskPlane.BAD | MaskPlane.SAT)
        image = np.where(good, made.image, np.nan)[:, :1024] / np.median(made.image[good])
        blocks = np.nanmedian(image.reshape(16, 64, 16, 64), axis=(1, 3))
        # The twilight itself is not the same shape all along.
        assert np.nanstd(blocks) < 0.001
        noise = np.nanstd(image[:, ::2] - image[:, 1::2]) / np.sqrt(2)
        assert 0.002 < noise < 0.0045
    assert night.flat.metadata["made_of"] == "flat"
    assert night.flat.metadata["n_used"] == 3
    assert night.flat.image.mean() == pytest.approx(1.0, abs=2e-3)


def test_three_flats_of_one_level_are_no_ramp(night: Night) -> None:
    inputs = linearizer.Inputs(night.flats, night.bias, night.ptc)
    with pytest.raises(NoWorkFound, match="at least 5 flats"):
        linearizer.run(inputs, linearizer.Config(), SENSOR)
