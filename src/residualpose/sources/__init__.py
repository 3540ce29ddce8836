"""Where depth frames come from: one module a format, and `open_source` that picks.

Units are settled once, here: integers are millimetres, floats metres unless the median of their
positive values exceeds 50 (then millimetres); `depth_unit` overrides. The camera is the one given,
else the file's own, else the camera.json beside it.
"""

from residualpose.sources.frame_source import READERS, FrameSource, open_source

__all__ = ["READERS", "FrameSource", "open_source"]
