"""Part of an exposure by byte ranges, without getting the whole file.

The headers tell where everything lies. Of the images and the mask the rows or the compressed tiles
that the box touches are read, in one go; the rest (JSON, PSF) is small and read as it is. The
pieces make a whole, smaller file in memory, which `read_exposure` reads as any other: there is one
reader of the format.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from lsstpipe.errors import InputFileError
from lsstpipe.geometry.box import Box
from lsstpipe.image.exposure import Exposure
from lsstpipe.io.fits import read_exposure
from lsstpipe.io.json import read_json, write_json

Range = tuple[int, int]
"""First byte, and the byte after the last."""

Fetch = Callable[[Sequence[Range]], Sequence[bytes]]
"""Reads parts of a file, such as `Datastore.read_ranges` of a path."""

_PLANES = ("IMAGE", "MASK", "VARIANCE")
_BLOCK_BYTES = 2**15
"""What is read of a file at a time while its headers are looked for: one or two of them."""

_GAP_BYTES = 2**16
"""A gap that is read along: it takes less time than another request."""

_ELEMENT_BYTES = {"B": 1, "I": 2, "J": 4, "E": 4, "K": 8, "D": 8}


def read_cutout(fetch: Fetch, n_bytes: int, box: Box, name: str) -> Exposure:
    """Read the part of an exposure that lies in a box.

    Parameters
    ----------
    fetch
        Reads parts of the file.
    n_bytes
        Size of the file.
    box
        What to read, in absolute pixels; within the box of the exposure.
    name
        What error messages call the file.

    Returns
    -------
    exposure
        Its pixels, and all that is known about the whole exposure.

    Raises
    ------
    InputFileError
        If the file is damaged or no exposure, or the box does not lie within it.
    """
    file = _SparseFile(fetch, n_bytes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", AstropyWarning)  # a file cut short is only a warning
            with fits.open(file, lazy_load_hdus=False) as hdus:
                content = _cut(file, hdus, box, name)
    except (OSError, KeyError, ValueError, TypeError, AstropyWarning) as error:
        raise InputFileError(f"{name} is damaged or not an lsstpipe exposure: {error}.") from error
    return read_exposure(content, name)


def _cut(file: _SparseFile, hdus: fits.HDUList, box: Box, name: str) -> bytes:
    """Make the file of a smaller exposure."""
    plain = read_json(hdus["JSON"].data.tobytes(), f"the JSON of {name}")
    whole = Box(**plain["box"])
    if not box.n_pixels or not whole.contains_box(box):
        raise InputFileError(f"{name} has the pixels of {whole}, not those of {box}.")
    rows, columns = box.slices_in(whole)
    file.prefetch(_find_ranges(file, hdus, rows, columns))
    plain["box"] = {"y0": box.y0, "x0": box.x0, "ny": box.ny, "nx": box.nx}
    small = fits.HDUList()
    for hdu in hdus:
        if hdu.name in _PLANES:
            pixels = hdu.section[rows, columns]
            small.append(fits.ImageHDU(pixels, header=_plane_cards(hdu.header), name=hdu.name))
        elif hdu.name == "JSON":
            small.append(fits.ImageHDU(np.frombuffer(write_json(plain), np.uint8), name="JSON"))
        else:
            small.append(hdu.copy())
    sink = io.BytesIO()
    small.writeto(sink)
    return sink.getvalue()


def _plane_cards(header: fits.Header) -> fits.Header:
    """Keep the cards that name the bits of a mask: the others describe the whole image."""
    return fits.Header([card for card in header.cards if card.keyword.startswith("MP_")])


def _find_ranges(
    file: _SparseFile, hdus: fits.HDUList, rows: slice, columns: slice
) -> Iterator[Range]:
    """Find the bytes of the rows or tiles that a box touches, and of all small things."""
    # The same headers again, as what they are: a compressed image is a table with a heap.
    file.seek(0)
    with fits.open(file, lazy_load_hdus=False, disable_image_compression=True) as tables:
        for hdu, table in zip(hdus, tables, strict=True):
            where = table.fileinfo()
            start = where["datLoc"]
            if hdu.name not in _PLANES:
                yield start, start + where["datSpan"]
            elif isinstance(table, fits.BinTableHDU):
                yield from _find_tiles(file, table, rows, columns)
            else:
                row_bytes = table.header["NAXIS1"] * abs(table.header["BITPIX"]) // 8
                yield start + rows.start * row_bytes, start + rows.stop * row_bytes


def _find_tiles(
    file: _SparseFile, table: fits.BinTableHDU, rows: slice, columns: slice
) -> Iterator[Range]:
    """Find the bytes of the tiles of a compressed image; section 10 of the FITS standard 4.0."""
    header, start = table.header, table.fileinfo()["datLoc"]
    table_bytes = header["NAXIS1"] * header["NAXIS2"]
    file.prefetch([(start, start + table_bytes)])
    yield start, start + table_bytes
    big_endian = table.columns.dtype.newbyteorder(">")
    entries = np.frombuffer(file.get(start, start + table_bytes), big_endian)
    per_row = -(-header["ZNAXIS1"] // header["ZTILE1"])
    touched = [
        y * per_row + x
        for y in range(rows.start // header["ZTILE2"], (rows.stop - 1) // header["ZTILE2"] + 1)
        for x in range(
            columns.start // header["ZTILE1"], (columns.stop - 1) // header["ZTILE1"] + 1
        )
    ]
    heap = start + header.get("THEAP", table_bytes)
    for column in table.columns:
        if (kind := column.format.lstrip("01")[:1]) not in {"P", "Q"}:
            continue
        element = _ELEMENT_BYTES[column.format[column.format.index(kind) + 1]]
        for n_elements, offset in entries[column.name][touched].tolist():
            yield heap + offset, heap + offset + n_elements * element


class _SparseFile(io.RawIOBase):
    """A file of which only what is asked for is there, for readers that want a file.

    Parameters
    ----------
    fetch
        Reads parts of it.
    n_bytes
        Its size.
    """

    def __init__(self, fetch: Fetch, n_bytes: int) -> None:
        super().__init__()
        self._fetch = fetch
        self._n_bytes = n_bytes
        self._position = 0
        self._parts: list[tuple[int, bytes]] = []

    def prefetch(self, ranges: Sequence[Range] | Iterator[Range]) -> None:
        """Read what is not there yet, in one go.

        Parameters
        ----------
        ranges
            What will be asked for.
        """
        missing = [(a, b) for a, b in ranges if a < b and self._find(a, b) is None]
        merged = _merge(missing)
        if merged:
            self._parts += zip([start for start, _ in merged], self._fetch(merged), strict=True)

    def get(self, start: int, end: int) -> bytes:
        """Give some bytes; reads a block around their start where they are not there.

        Parameters
        ----------
        start, end
            First byte, and the byte after the last.
        """
        start, end = int(start), min(int(end), self._n_bytes)  # astropy asks with numpy's numbers
        if start >= end:
            return b""
        if self._find(start, end) is None:
            self.prefetch([(start, min(max(end, start + _BLOCK_BYTES), self._n_bytes))])
        found = self._find(start, end)
        if found is None:
            raise OSError(f"the file ends before byte {end}")
        return found

    def _find(self, start: int, end: int) -> bytes | None:
        for first, content in self._parts:
            if first <= start and end <= first + len(content):
                return content[start - first : end - first]
        return None

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it has positions."""
        return True

    def tell(self) -> int:
        """Give the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._n_bytes}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Read from the position on."""
        n = self._n_bytes if size is None or size < 0 else size
        content = self.get(self._position, self._position + n)
        self._position += len(content)
        return content

    def close(self) -> None:
        """Stay open: astropy closes what it was given, and it is opened twice."""


def _merge(ranges: Sequence[Range]) -> list[Range]:
    """Join ranges that overlap or lie close together."""
    merged: list[Range] = []
    for start, end in sorted(ranges):
        if merged and start - merged[-1][1] <= _GAP_BYTES:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
