"""Recorded and rendered depth frames as the network receives them, for comparing both.

Recorded frames belong to their owners and are no part of the project: they are read from a folder
beside it where there is one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from residualpose.camera import Camera
from residualpose.frames import DepthFrame
from residualpose.pipeline.normalise import normalise
from residualpose.synthetic.bodies import make_bank
from residualpose.synthetic.people import SceneConfig, render_frame
from residualpose.synthetic.poses import PoseLibrary
from residualpose.synthetic.sensors import Sensor, simulate
from residualpose.synthetic.shards import MM, Shard, load_shard

FOCAL_PX = 144.0
"""Focal length that the network sees, and that frames for training are rendered with."""
RECORDED = {
    "structured light": ("itop_side_dev", "itop_top_dev", "itop_full_dev"),
    "structured light, cut out": ("kinect1_dev",),
    "time of flight": ("panoptic",),
    "stereo, filtered": ("realsense_dev",),
}
SENSORS = {
    "structured light": Sensor.STRUCTURED_LIGHT,
    "structured light, cut out": Sensor.CUTOUT,
    "time of flight": Sensor.TIME_OF_FLIGHT,
    "stereo": Sensor.STEREO,
    "stereo, filtered": Sensor.FILTERED,
}
_PANOPTIC = "../samples/panoptic/depth_02_000000005014.mat"
_KINECT2_K = np.array([[365.0, 0, 255.5], [0, 365.0, 211.5], [0, 0, 1]])


def recorded_frames(folder: Path, name: str, count: int, people: bool = True) -> list[np.ndarray]:
    """At most `count` frames of a recording, evenly spread, (h, w) metres after `normalise`.

    Without `people`, only frames that nobody is in, where the recording says so.
    """
    if name == "panoptic":
        import scipy.io

        depth_m, K = scipy.io.loadmat(folder / _PANOPTIC)["depth"][None], _KINECT2_K
    else:
        with np.load(folder / f"{name}.npz") as data:
            depth_m, K = data["depth_mm"] / np.float32(1000), data["K"]
            if not people and "people" in data and (data["people"] == 0).any():
                depth_m = depth_m[data["people"] == 0]
    spread = np.unique(np.linspace(0, len(depth_m) - 1, count).round().astype(int))
    camera = Camera(K[0, 0], K[1, 1], K[0, 2], K[1, 2])
    return [network_view(frame, camera) for frame in depth_m[spread]]


def network_view(depth_m: np.ndarray, camera: Camera) -> np.ndarray:
    """What the network receives of a frame, without the padding to multiples of 16."""
    padded = normalise(DepthFrame(depth_m, camera), FOCAL_PX).depth_m
    height, width = depth_m.shape
    return padded[: round(height * FOCAL_PX / camera.fy), : round(width * FOCAL_PX / camera.fx)]


def clean_frames(shards: Path | None, count: int, seed: int) -> Shard:
    """Rendered frames without faults: from a folder of shards, or rendered here."""
    if shards is None:
        return _rendered(count, seed)
    paths = sorted(shards.glob("shard_*.npz"))
    shard = load_shard(paths[seed % len(paths)])
    rows = np.random.default_rng(seed).permutation(len(shard))[:count]
    return Shard(*(getattr(shard, field)[rows] for field in Shard.__slots__))


def sensed(shard: Shard, sensor: Sensor, seed: int) -> np.ndarray:
    """(N, H, W) metres: the frames as sensors of one kind would give them."""
    label = torch.from_numpy(shard.label)
    return simulate(
        torch.from_numpy(shard.depth_mm).float() / MM,
        label & 15,
        torch.from_numpy(shard.intrinsics[:, 0]),
        torch.full((len(shard),), int(sensor)),
        torch.Generator().manual_seed(seed),
        person=label >= 16,
    ).numpy()


def _rendered(count: int, seed: int) -> Shard:
    bank, poses = make_bank(24, seed=seed), PoseLibrary.procedural(seed=seed, count=2000)
    scene, rng = SceneConfig(), np.random.default_rng(seed)
    frames = [render_frame(bank, poses, scene, rng) for _ in range(count)]
    none = np.zeros((count, 0))
    return Shard(
        np.stack([(f.depth_m * MM).round().astype(np.uint16) for f in frames]),
        np.stack([f.person * 16 + f.material for f in frames]),
        none,
        none,
        np.array([(c.fx, c.fy, c.cx, c.cy) for c in (f.camera for f in frames)], np.float32),
        np.array([f.viewpoint for f in frames]),
    )
