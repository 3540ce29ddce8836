"""Render people who walk, as a recording with times: what docs/images/tracked.gif shows.

    python scripts/render_walk.py crossing 1 8 walk.npz
    residualpose predict walk.npz:0:64 --smooth 1 --save gif --output results

SCENE SEED SECONDS FILE; 15 frames a second, everything follows from the seed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from residualpose.synthetic.bodies import make_bank
from residualpose.synthetic.sequences import render_sequence

_BODIES, _EVERY = 8, 2


def main(scene: str, seed: int, seconds: float, path: Path) -> None:
    """Render and write."""
    bank = make_bank(_BODIES, seed)
    frames = [one.frame for one in render_sequence(bank, scene, seconds, seed, _EVERY)]
    np.savez_compressed(
        path,
        depth_mm=np.stack([np.round(f.depth_m * 1000).astype(np.uint16) for f in frames]),
        K=frames[0].camera.K,
        time_s=np.array([f.time_s for f in frames]),
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))
