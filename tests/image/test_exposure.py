from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lsstpipe.geometry.box import Box
from lsstpipe.image.exposure import Exposure

SHAPE = (3, 4)


def planes(**changed: Any) -> dict[str, Any]:
    usual = {
        "image": np.zeros(SHAPE, dtype=np.float32),
        "mask": np.zeros(SHAPE, dtype=np.int32),
        "variance": np.ones(SHAPE, dtype=np.float32),
        "box": Box(10, 20, *SHAPE),
        "unit": "electron",
    }
    return {**usual, **changed}


def test_an_exposure_starts_without_knowledge_of_psf_wcs_and_scale() -> None:
    exposure = Exposure(**planes())
    unknown = ("psf", "wcs", "photo_calib", "aperture_correction", "info")
    assert [getattr(exposure, name) for name in unknown] == [None] * 5
    assert exposure.metadata == {}


@pytest.mark.parametrize("name", ["image", "mask", "variance"])
def test_a_plane_of_another_shape_is_refused(name: str) -> None:
    turned = planes()[name].T.copy()
    with pytest.raises(ValueError, match=rf"{name} must be .* of shape \(3, 4\), got .*\(4, 3\)"):
        Exposure(**planes(**{name: turned}))


@pytest.mark.parametrize(
    ("name", "dtype", "wanted"),
    [("image", "f8", "float32"), ("mask", "i8", "int32"), ("variance", "f8", "float32")],
)
def test_a_plane_of_another_type_is_refused(name: str, dtype: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be {wanted} of shape"):
        Exposure(**planes(**{name: planes()[name].astype(dtype)}))


def test_the_box_must_have_the_size_of_the_planes() -> None:
    with pytest.raises(ValueError, match=r"of shape \(3, 5\)"):
        Exposure(**planes(box=Box(10, 20, 3, 5)))
