"""What exists: datasets, collections, calibrations, quanta."""
