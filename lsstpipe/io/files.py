"""Turn a value into the bytes of a file and back, by storage class.

The readers and writers are imported inside the functions on purpose: astropy and pyarrow take
longer to import than many a command takes to run, and most commands need neither.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from lsstpipe.data_model import Storage
from lsstpipe.errors import InputFileError

T = TypeVar("T")

Source = bytes | Path
"""The content of a file, or where it is."""


def write(value: object, storage: Storage) -> bytes:
    """Turn a value into the bytes of a file: equal values give equal bytes.

    Parameters
    ----------
    value
        An `Exposure`, a `Catalog`, a JSON value, or text, as the storage class asks.
    storage
        How it is kept.

    Raises
    ------
    TypeError
        If the value is not of the type of the storage class.
    """
    if storage == "exposure":
        from lsstpipe.image.exposure import Exposure
        from lsstpipe.io.fits import write_exposure

        return write_exposure(_expect(value, Exposure, storage))
    if storage == "catalog":
        from lsstpipe.image.catalog import Catalog
        from lsstpipe.io.parquet import write_catalog

        return write_catalog(_expect(value, Catalog, storage))
    if storage == "json":
        from lsstpipe.io.json import write_json

        return write_json(value)
    if storage == "raw":
        raise TypeError("Raw frames are registered where they are, never written.")
    return _expect(value, str, storage).encode()


def read(source: Source, storage: Storage, name: str = "") -> object:
    """Turn the bytes of a file into the value that was written.

    Parameters
    ----------
    source
        The content of the file, or its path.
    storage
        How it is kept; raw frames are read by their instrument, not here.
    name
        What error messages call the file; its path where it has one.

    Raises
    ------
    InputFileError
        If the file is damaged, of another kind, or of a newer format.
    """
    label = name or (str(source) if isinstance(source, Path) else "the file")
    if storage == "raw":
        raise TypeError("Raw frames are read by their instrument.")
    try:
        content = source.read_bytes() if isinstance(source, Path) else source
    except OSError as error:
        raise InputFileError(f"{label} cannot be read: {error.strerror}.") from error
    if storage == "exposure":
        from lsstpipe.io.fits import read_exposure

        return read_exposure(content, label)
    if storage == "catalog":
        from lsstpipe.io.parquet import read_catalog

        return read_catalog(content, label)
    if storage == "json":
        from lsstpipe.io.json import read_json

        return read_json(content, label)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InputFileError(f"{label} is not UTF-8 text: {error.reason}.") from error


def _expect(value: object, kind: type[T], storage: Storage) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{storage} keeps a {kind.__name__}, got {type(value).__name__}.")
    return value
