"""Frames of one detector, read for a calibration that is made of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.crosstalk import CrosstalkMatrix
from lsstpipe.algorithms.linearity import Linearizer
from lsstpipe.algorithms.photon_transfer import PhotonTransfer
from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.detector import Detector
from lsstpipe.image.exposure import Exposure, ObservationInfo
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.tasks.base import Json, get_info
from lsstpipe.tasks.signature import Signature, SignatureConfig, remove_signature


@dataclass(frozen=True, slots=True)
class FrameStack:
    """Frames of one detector without the part of the signature that is known.

    Attributes
    ----------
    images
        Electrons, shape ``(n, ny, nx)``; NaN where a pixel is saturated or bad.
    infos
        What is known of each.
    saturated
        Share of saturated pixels of each.
    faults
        Exposures that could not be processed, each with the reason.
    """

    images: npt.NDArray[np.float32]
    infos: tuple[ObservationInfo, ...]
    saturated: tuple[float, ...]
    faults: tuple[str, ...]

    @property
    def unknown(self) -> npt.NDArray[np.bool_]:
        """Pixels that no frame has a value of, shape ``(ny, nx)``."""
        known = np.zeros(self.images.shape[1:], dtype=bool)
        for image in self.images:
            known |= np.isfinite(image)
        return ~known


def know_electronics(
    ptc: Json | None, crosstalk: Json | None = None, linearizer: Json | None = None
) -> Signature:
    """Gather what is known of the chain behind the pixels; what was not measured is None.

    Parameters
    ----------
    ptc, crosstalk, linearizer
        The products of these names.
    """
    return Signature(
        ptc=None if ptc is None else PhotonTransfer.from_json_dict(ptc),
        crosstalk=None if crosstalk is None else CrosstalkMatrix.from_json_dict(crosstalk),
        linearizer=None if linearizer is None else Linearizer.from_json_dict(linearizer),
    )


def read_stack(
    raws: Mapping[DataId, Exposure],
    detector: Detector,
    signature: Signature,
    config: SignatureConfig,
) -> FrameStack:
    """Take the known signature out of all frames; those that cannot be processed are left out.

    Parameters
    ----------
    raws
        Raw frames.
    detector
        Their detector.
    signature, config
        What is known of it, and how to take it out.

    Raises
    ------
    AlgorithmError
        If no frame can be processed.
    """
    images = np.empty((len(raws), detector.ny, detector.nx), np.float32)
    infos: list[ObservationInfo] = []
    saturated: list[float] = []
    faults: list[str] = []
    for raw in raws.values():
        info = get_info(raw)
        try:
            made = remove_signature(raw, detector, signature, config)
        except AlgorithmError as error:
            faults.append(f"{info.exposure}: {error}")
            continue
        invalid = has(made.mask, MaskPlane.SAT | MaskPlane.BAD)
        images[len(infos)] = np.where(invalid, np.float32(np.nan), made.image)
        saturated.append(float(has(made.mask, MaskPlane.SAT).mean()))
        infos.append(info)
    if not infos:
        raise AlgorithmError(f"None of {len(raws)} frames can be processed: {faults[0]}")
    return FrameStack(images[: len(infos)], tuple(infos), tuple(saturated), tuple(faults))


def name_left_out(stack: FrameStack, reasons: Mapping[int, str]) -> str:
    """Name the exposures that were left out, and why, for a figure of a product.

    Parameters
    ----------
    stack
        All frames.
    reasons
        Why frames of the stack were left out, by their place in it.
    """
    chosen = [f"{stack.infos[i].exposure}: {reason}" for i, reason in sorted(reasons.items())]
    return "; ".join([*chosen, *stack.faults])
