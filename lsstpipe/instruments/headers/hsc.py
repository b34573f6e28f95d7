"""Headers of Hyper Suprime-Cam, with the package's own translator."""

from __future__ import annotations

from typing import Any

from astro_metadata_translator import cache_translation
from astro_metadata_translator.translators import HscTranslator


class HscRawTranslator(HscTranslator):
    """Translate HSC's own headers into lsstpipe's kinds of exposure."""

    name = "hsc_raw"
    supported_instrument = "hsc"

    _const_map: dict[str, Any] = {"instrument": "hsc"}  # noqa: RUF012  (declared so in the base)

    @cache_translation
    def to_observation_type(self) -> str:
        """Kind of exposure: a dome flat is a flat."""
        kind = str(super().to_observation_type())
        return "flat" if kind == "domeflat" else kind


TRANSLATOR = HscRawTranslator
