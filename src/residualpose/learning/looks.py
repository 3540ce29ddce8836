"""Which sensor's look each training frame gets.

In frames that a driver has smoothed, front and back look alike, to people as well. A network that
meets both equally often there can only guess, and the longer it learns the surer it guesses. People
in front of a camera mostly face it, so smoothed frames mostly show fronts.
"""

from __future__ import annotations

import torch
from torch import Tensor

from residualpose.learning.augment import Scene
from residualpose.skeleton import ITOP15, L_SHOULDER, NECK, R_SHOULDER, TORSO
from residualpose.synthetic.noise_fields import uniform
from residualpose.synthetic.sensors import Sensor, sample_sensors

SMOOTHED_MORE = 0.2
"""Share of the other frames that are smoothed too: a third is, in place of 15 %."""
BACKS_LEFT = 0.04
"""Share of the smoothed frames with somebody seen from behind that stay so."""
_BEHIND_COS = 0.15
"""Cosine between where a chest points and the line of sight, from which a back is seen."""
_SEEN_JOINTS = len(ITOP15.joints) // 3
_UNSMOOTHED = (Sensor.STRUCTURED_LIGHT, Sensor.TIME_OF_FLIGHT, Sensor.STEREO)


def sample_looks(scene: Scene, generator: torch.Generator) -> Tensor:
    """A sensor (B,) for each frame of a scene: `sample_sensors`, with fronts where it smooths."""
    count, device = len(scene.depth_m), scene.depth_m.device
    sensor = sample_sensors(count, generator, device)
    chance, kind = uniform((2, count), generator, device)
    behind = seen_from_behind(scene)
    smoothed = sensor == int(Sensor.FILTERED)
    more = ~smoothed & (chance < SMOOTHED_MORE) & ~behind
    fewer = smoothed & (chance >= BACKS_LEFT) & behind
    others = torch.tensor([int(s) for s in _UNSMOOTHED], device=device)
    other = others[(kind * len(others)).long()]
    return torch.where(more, int(Sensor.FILTERED), torch.where(fewer, other, sensor))


def seen_from_behind(scene: Scene) -> Tensor:
    """(B,) bool: somebody of whom a third of the joints is visible shows more back than front."""
    joints = scene.joints_m
    left = joints[:, :, L_SHOULDER] - joints[:, :, R_SHOULDER]
    chest = torch.cross(left, joints[:, :, NECK] - joints[:, :, TORSO], dim=-1)
    sight = joints[:, :, TORSO]
    cosine = torch.nn.functional.cosine_similarity(chest, sight, dim=-1)
    seen = scene.visible.sum(-1) >= _SEEN_JOINTS
    return (seen & (cosine > _BEHIND_COS)).any(-1)  # a NaN is greater than nothing
