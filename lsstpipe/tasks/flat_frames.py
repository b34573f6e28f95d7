"""Flat frames as the tasks that measure a detector by them need them: levels first, pixels later.

A ramp of flats of a large detector does not fit into memory: beyond some size a frame is prepared
anew when its pixels are wanted. The first task that surveys a ramp, `ptc`, keeps the levels in its
product, so that those after it need not read every frame again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError, NoWorkFound
from lsstpipe.image.detector import Detector
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.tasks.base import Json, get_info
from lsstpipe.tasks.signature import Signature, SignatureConfig, remove_signature

FloatImage = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_MAX_BAD = 0.3
_MAX_DEVIATION = 0.5
_LEAST_LIGHT = 0.05
_SAMPLE_STEP = 15
"""The middle tells only what is far from it; it need not be that of every pixel."""
_KEPT_BYTES = 5e8
"""Pixels that are kept from the look at the levels: a dozen frames of 2k x 4k."""


@dataclass(frozen=True, slots=True)
class FlatFrames:
    """The flats of a detector.

    Attributes
    ----------
    keys
        Which raw each is.
    filters
        Filter of each.
    times_s, mid_mjd
        Exposure time and middle of each, shape ``(n,)``.
    levels_adu
        Mean signal of each frame in each amplifier, ADU above the bias level, shape
        ``(n, n_amplifiers)``; NaN where too many pixels are saturated, suspect or bad.
    """

    keys: tuple[DataId, ...]
    filters: tuple[str, ...]
    times_s: FloatArray
    mid_mjd: FloatArray
    levels_adu: FloatArray

    @property
    def settings(self) -> list[tuple[str, float]]:
        """Filter and exposure time of each."""
        return list(zip(self.filters, self.times_s.tolist(), strict=True))

    @property
    def working(self) -> npt.NDArray[np.bool_]:
        """Amplifiers that see the light, shape ``(n_amplifiers,)``."""
        best = np.where(np.isfinite(self.levels_adu), self.levels_adu, 0.0).max(axis=0, initial=0.0)
        result: npt.NDArray[np.bool_] = best > _LEAST_LIGHT * best.max(initial=1.0)
        return result

    def levels(self, gains: FloatArray | float = 1.0) -> list[float]:
        """Give the level of each over the amplifiers that work; NaN where one saturates.

        Parameters
        ----------
        gains
            What ADU are multiplied by, one an amplifier or one for all.
        """
        own = (self.levels_adu * gains)[:, self.working]
        return [float(np.mean(level)) if len(level) else float("nan") for level in own]


@dataclass(frozen=True, slots=True)
class FlatReader:
    """Prepares flats, one at a time.

    Attributes
    ----------
    raws
        The raw frames.
    detector
        Their detector, with the gains that its description has.
    signature
        What is taken out of them.
    config
        How.
    max_saturated
        Share of the pixels of an amplifier that may be saturated or suspect.
    kept
        Pixels of frames whose levels were measured, until they are read.
    """

    raws: Mapping[DataId, Exposure]
    detector: Detector
    signature: Signature
    config: SignatureConfig
    max_saturated: float
    kept: dict[DataId, list[FloatImage]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse flats whose level is not known."""
        if not (self.detector.has_overscan or self.signature.bias is not None):
            raise NoWorkFound(
                f"Detector {self.detector.name} has neither overscan nor bias: the level of its "
                f"flats is not known."
            )

    def survey(self, ptc: Json | None = None) -> FlatFrames:
        """Measure the levels of all.

        Parameters
        ----------
        ptc
            The product of that name. If it is of the same frames, by the same settings, its levels
            are taken, and what the signature has of the linearizer is added to them.
        """
        ramp = ptc.get("ramp") if ptc is not None else None
        if ramp is not None and all(ramp[name] == v for name, v in self._describe().items()):
            return self._know(ramp)
        infos, levels = [], []
        for key, raw in self.raws.items():
            infos.append(get_info(raw))
            try:
                parts, full = self._prepare(raw)
            except AlgorithmError:
                # No amplifier works: it saturates all over.
                levels.append([float("nan")] * len(self.detector.amplifiers))
                continue
            pairs = zip(parts, full, strict=True)
            levels.append([_measure_level(part, own, self.max_saturated) for part, own in pairs])
            if (len(self.kept) + 1) * raw.image.nbytes <= _KEPT_BYTES:
                self.kept[key] = parts
        return FlatFrames(
            tuple(self.raws),
            tuple(info.physical_filter for info in infos),
            np.array([info.exposure_time_s for info in infos]),
            np.array([info.mid_mjd for info in infos]),
            np.array(levels),
        )

    def to_json_dict(self, frames: FlatFrames) -> Json:
        """Give the plain values of a survey, for the product `ptc`.

        Parameters
        ----------
        frames
            What `survey` gave.
        """
        return self._describe() | {
            "filters": list(frames.filters),
            "times_s": frames.times_s.tolist(),
            "mid_mjd": frames.mid_mjd.tolist(),
            "levels_adu": frames.levels_adu.tolist(),
        }

    def _describe(self) -> Json:
        """Say of which frames a survey is, and how it is made."""
        settings = {name: getattr(self.config, name) for name in SignatureConfig.model_fields}
        return {
            "exposures": [key.integer("exposure") for key in self.raws],
            "settings": settings | {"max_saturated_fraction_level": self.max_saturated},
            "has_bias": self.signature.bias is not None,
        }

    def _know(self, ramp: Json) -> FlatFrames:
        """Make of the plain values of a survey the levels that this one would measure."""
        levels = np.array(ramp["levels_adu"], dtype=np.float64)
        linearizer = self.signature.linearizer
        if linearizer is not None:
            # The curve bends so little over the pixels of a flat that it may be taken at the mean.
            for i, own in enumerate(levels.T):
                own += linearizer.correction(i, own)
        times, middles = (np.array(ramp[name], dtype=np.float64) for name in ("times_s", "mid_mjd"))
        return FlatFrames(tuple(self.raws), tuple(ramp["filters"]), times, middles, levels)

    def read(self, key: DataId) -> list[FloatImage]:
        """Give the pixels of a flat by amplifier.

        Parameters
        ----------
        key
            Which raw.

        Returns
        -------
        list
            ADU above the bias level, NaN where a pixel is not to be used.
        """
        if key in self.kept:
            return self.kept.pop(key)
        return self._prepare(self.raws[key])[0]

    def _prepare(self, raw: Exposure) -> tuple[list[FloatImage], list[Flags]]:
        """Give ADU with NaN for bad pixels, and where they are saturated or suspect."""
        made = remove_signature(raw, self.detector, self.signature, self.config)
        bad = has(made.mask, MaskPlane.BAD | MaskPlane.SAT)
        full = has(made.mask, MaskPlane.SAT | MaskPlane.SUSPECT)
        image: FloatImage = np.where(bad, np.float32(np.nan), made.image)
        box = self.detector.box
        cuts = [(a.box.slices_in(box), a.gain) for a in self.detector.amplifiers]
        return [image[own] / np.float32(gain) for own, gain in cuts], [full[own] for own, _ in cuts]


def _measure_level(image: FloatImage, full: Flags, max_saturated: float) -> float:
    """Measure the mean of an amplifier without cosmic rays; NaN where it saturates."""
    finite = image[np.isfinite(image)]
    if full.mean() > max_saturated or len(finite) < (1 - _MAX_BAD) * image.size:
        return float("nan")
    middle = float(np.median(finite[::_SAMPLE_STEP]))
    kept = finite[np.abs(finite - middle) <= _MAX_DEVIATION * abs(middle)]
    return float(kept.mean(dtype=np.float64)) if len(kept) else float("nan")
