"""Values to bytes and back: FITS, Parquet, JSON, text."""

from lsstpipe.io.files import read, write

__all__ = ["read", "write"]
