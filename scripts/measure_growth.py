"""Does the memory of a long stream grow?

    python scripts/measure_growth.py [FRAMES]        default 5000

Streams the sample frames over and over and prints, at ten points, the memory of the process (Linux)
and what Python itself holds. Both must level off.
"""

from __future__ import annotations

import sys
import tracemalloc
from itertools import cycle, islice
from pathlib import Path

from residualpose import PoseEstimator, open_source


def resident_mb() -> float:
    """Memory of this process."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def main(count: int) -> None:
    """Stream and print."""
    samples = sorted(Path("src/residualpose/samples").glob("*.npz"))
    frames = [frame for path in samples for frame in open_source(path)]
    estimate = PoseEstimator()
    tracemalloc.start()
    for number, _ in enumerate(estimate.stream(islice(cycle(frames), count)), 1):
        if number % max(1, count // 10) == 0:
            python_mb = tracemalloc.get_traced_memory()[0] / 2**20
            sys.stdout.write(
                f"{number:7d} frames: process {resident_mb():.0f} MB, Python {python_mb:.2f} MB\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
