"""Photon transfer."""

from __future__ import annotations

import numpy as np

from lsstpipe.algorithms.photon_transfer import PhotonTransfer
from lsstpipe.io.json import read_json, write_json


def test_a_photon_transfer_is_the_same_after_json() -> None:
    figures = np.array([1.5, np.nan])
    made = PhotonTransfer(("A", "B"), figures, figures / 100, figures * 3, figures * 4e4)
    plain = read_json(write_json(made.to_json_dict()), "ptc")
    again = PhotonTransfer.from_json_dict(plain)
    assert again.amplifiers == ("A", "B")
    np.testing.assert_array_equal(again.gain, made.gain)
    np.testing.assert_array_equal(again.gain_err, made.gain_err)
    np.testing.assert_array_equal(again.read_noise_electron, made.read_noise_electron)
    np.testing.assert_array_equal(again.turnoff_adu, made.turnoff_adu)
