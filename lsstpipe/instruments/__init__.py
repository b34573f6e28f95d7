"""Cameras: geometry, headers, raw frames."""

from lsstpipe.instruments.camera import Camera
from lsstpipe.instruments.raw import get_camera, read_info, read_raw

__all__ = ["Camera", "get_camera", "read_info", "read_raw"]
