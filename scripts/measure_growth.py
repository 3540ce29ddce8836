"""Does the memory of a long stream grow?

    python scripts/measure_growth.py [FRAMES]        default 20000: eleven minutes of 30 a second

Streams cut-outs of the sample frames, small so that an hour passes in minutes, over and over and
prints, at ten points, the memory of the process (Linux) and how many objects Python's collector
follows. The last half may add at most GROWTH_MB; else the exit status is 1.
"""

from __future__ import annotations

import gc
import sys
from itertools import cycle, islice
from pathlib import Path

from residualpose import Camera, DepthFrame, PoseEstimator, open_source

SIDE_PX = 80
GROWTH_MB = 5


def resident_mb() -> float:
    """Memory of this process."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def small(frame: DepthFrame) -> DepthFrame:
    """The middle of a frame, at a quarter of its pixels."""
    camera, depth_m = frame.camera.resized(0.5, 0.5), frame.depth_m[::2, ::2]
    left = (depth_m.shape[1] - SIDE_PX) // 2
    cut = Camera(camera.fx, camera.fy, camera.cx - left, camera.cy)
    return DepthFrame(depth_m[:, left : left + SIDE_PX], cut)


def main(count: int) -> int:
    """Stream and print."""
    samples = sorted(Path("src/residualpose/samples").glob("*.npz"))
    frames = [small(frame) for path in samples for frame in open_source(path)]
    estimate, process_mb = PoseEstimator(), []
    for number, _ in enumerate(estimate.stream(islice(cycle(frames), count), track=True), 1):
        if number % max(1, count // 10) == 0:
            gc.collect()
            process_mb.append(resident_mb())
            objects = len(gc.get_objects())
            sys.stdout.write(f"{number:7d} frames: {process_mb[-1]:.0f} MB, {objects} objects\n")
            sys.stdout.flush()
    return int(process_mb[-1] - process_mb[len(process_mb) // 2] > GROWTH_MB)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20000))
