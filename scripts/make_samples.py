"""Render the sample frames that come with the package, with their true joints.

    python scripts/make_samples.py [FOLDER]

Everything follows from the seeds below; the pictures show what three sensors
would see: structured light, time of flight and active stereo.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from residualpose.synthetic.bodies import make_bank
from residualpose.synthetic.people import SceneConfig, render_frame
from residualpose.synthetic.poses import PoseLibrary
from residualpose.synthetic.sensors import Sensor, simulate

SAMPLES = {
    # name: seed, width, height, focal length, chances of 0, 1, 2, 3, 4 people, sensor
    "structured_light_one": (19, 320, 240, 285.7, (0, 1, 0, 0, 0), Sensor.STRUCTURED_LIGHT),
    "time_of_flight_two": (11, 320, 288, 252.0, (0, 0, 0, 1, 0), Sensor.TIME_OF_FLIGHT),
    "stereo_two": (7, 424, 240, 212.5, (0, 0, 1, 0, 0), Sensor.STEREO),
}


def main(folder: Path) -> None:
    """Render and write every sample."""
    folder.mkdir(parents=True, exist_ok=True)
    bank, poses = make_bank(24, seed=2), PoseLibrary.procedural(seed=2, count=2000)
    for name, (seed, width, height, focal, people, sensor) in SAMPLES.items():
        scene = SceneConfig(width, height, focal, 0.0, people, facing=0.9)
        frame = render_frame(bank, poses, scene, np.random.default_rng(seed))
        depth = torch.from_numpy(frame.depth_m)[None]
        noisy = simulate(
            depth, torch.from_numpy(frame.material)[None], torch.tensor([focal]),
            torch.tensor([int(sensor)]), torch.Generator().manual_seed(seed),
            person=torch.from_numpy(frame.person)[None] > 0,
        )[0]  # fmt: skip
        np.savez_compressed(
            folder / f"{name}.npz",
            depth_mm=(noisy * 1000).round().to(torch.int32).numpy().astype(np.uint16),
            K=frame.camera.K,
            joints_m=frame.joints_m,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("src/residualpose/samples"))
