"""Exposures and what belongs to them: masks, PSFs, photometric calibrations, catalogues."""
