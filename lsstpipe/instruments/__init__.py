"""Cameras: geometry, headers, raw frames."""

from lsstpipe.instruments.camera import Camera, Detector
from lsstpipe.instruments.raw import get_camera, read_info, read_raw

__all__ = ["Camera", "Detector", "get_camera", "read_info", "read_raw"]
