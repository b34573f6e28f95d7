"""A Rubin/LSST-style data release production, from raw frames to catalogues."""

__version__ = "0.1.0"
