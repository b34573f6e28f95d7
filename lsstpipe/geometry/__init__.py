"""Boxes, world coordinates, regions of the sky and sky maps."""
