"""A simulated survey: raw frames of a known sky through a known atmosphere, optics and camera."""
