"""How Rubin's Butler reads the files of lsstpipe that its own formatters do not know.

Only a Butler that reads an export of lsstpipe loads this module; it brings its own package.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from astropy.io import fits
from lsst.daf.butler import FormatterV2


class PlainFormatter(FormatterV2):
    """Reads FITS as a dict of arrays by the names of the extensions, CSV as one of columns.

    The arrays of an image are ``IMAGE``, ``MASK`` and ``VARIANCE``; ``HEADER`` is the primary one.
    """

    can_read_from_local_file = True
    supported_extensions = frozenset(
        {".fits", ".fits.fz", ".fits.gz", ".fit", ".fz", ".gz", ".csv"}
    )

    def get_write_extension(self) -> str:
        """Say which suffix files have: lsstpipe writes them, a Butler reads and copies them."""
        return Path(self.file_descriptor.location.path).suffix or ".fits"

    def read_from_local_file(
        self, path: str, component: str | None = None, expected_size: int = -1
    ) -> Any:
        """Read a file.

        Parameters
        ----------
        path
            Where it is.
        component, expected_size
            Not used: a dict has no components.
        """
        return _read_csv(path) if path.endswith(".csv") else _read_fits(path)


def _read_csv(path: str) -> dict[str, list[str]]:
    with Path(path).open(newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def _read_fits(path: str) -> dict[str, Any]:
    with fits.open(path, memmap=False) as hdus:
        content: dict[str, Any] = {"HEADER": dict(hdus[0].header)}
        for n, hdu in enumerate(hdus):
            if hdu.data is not None:
                content[hdu.name or str(n)] = hdu.data
    return content
