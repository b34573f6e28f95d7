"""Photon transfer: what the noise of flats tells of each amplifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PhotonTransfer:
    """Gain and noise of the amplifiers of a detector; NaN where a figure is not known.

    Attributes
    ----------
    amplifiers
        Names, in the order of the detector.
    gain, gain_err
        Electrons per ADU, shape ``(n,)``.
    read_noise_electron
        Noise of a pixel without light, electrons, shape ``(n,)``.
    turnoff_adu
        Signal above the bias level from which the variance no longer grows, ADU, shape ``(n,)``.
    """

    amplifiers: tuple[str, ...]
    gain: FloatArray
    gain_err: FloatArray
    read_noise_electron: FloatArray
    turnoff_adu: FloatArray

    def to_json_dict(self) -> dict[str, Any]:
        """Give the plain values, for a JSON document."""
        return {
            "amplifiers": list(self.amplifiers),
            "gain": self.gain.tolist(),
            "gain_err": self.gain_err.tolist(),
            "read_noise_electron": self.read_noise_electron.tolist(),
            "turnoff_adu": self.turnoff_adu.tolist(),
        }

    @classmethod
    def from_json_dict(cls, plain: Mapping[str, Any]) -> PhotonTransfer:
        """Make the value that `to_json_dict` gave the plain values of.

        Parameters
        ----------
        plain
            Field names to plain values.
        """
        names = ("gain", "gain_err", "read_noise_electron", "turnoff_adu")
        figures = {name: np.array(plain[name], dtype=np.float64) for name in names}
        return cls(tuple(plain["amplifiers"]), **figures)
