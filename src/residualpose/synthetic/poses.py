"""PoseLibrary: endless varied poses from motion capture and from hand-made families."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from residualpose.errors import UsageError
from residualpose.synthetic.body_pose import BodyPose
from residualpose.synthetic.mocap import mocap_stack
from residualpose.synthetic.pose_augment import jitter, swap_arm, swap_upper_body
from residualpose.synthetic.pose_stack import PoseStack, empty_stack, load_stack
from residualpose.synthetic.procedural_poses import EVERYDAY_LEGS, procedural_stack
from residualpose.synthetic.rotations import mirror_people
from residualpose.synthetic.stick_figure import impossible

PROCEDURAL_COUNT = 20_000
MOCAP_COUNT = 3_000
_PROCEDURAL_SHARE = 0.55
_SWAP_HALVES, _SWAP_ARM, _MIRROR = 0.3, 0.2, 0.5
_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class PoseLibrary:
    """Poses to draw from."""

    made: PoseStack
    """Procedural poses."""
    captured: PoseStack
    """Poses of motion capture."""
    _everyday: np.ndarray = field(init=False, repr=False)
    """(K,) rows of `made` with people on their feet."""

    def __post_init__(self) -> None:
        if not len(self):
            raise UsageError("pose library: expected at least one pose, found none")
        begin = tuple(f"procedural/{legs}+" for legs in EVERYDAY_LEGS)
        rows = [i for i, source in enumerate(self.made.sources) if source.startswith(begin)]
        object.__setattr__(self, "_everyday", np.array(rows, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.made) + len(self.captured)

    @classmethod
    def procedural(cls, seed: int = 0, count: int = PROCEDURAL_COUNT) -> PoseLibrary:
        """Hand-made poses only."""
        return cls(procedural_stack(np.random.default_rng(seed), count), empty_stack())

    @classmethod
    def from_mocap(cls, paths: Sequence[Path], count: int = MOCAP_COUNT) -> PoseLibrary:
        """The count most different poses of BVH and AMC clips: files, folders or .zip archives."""
        return cls(empty_stack(), mocap_stack(paths, count))

    @classmethod
    def mixed(
        cls, mocap_paths: Sequence[Path], seed: int = 0, count: int = PROCEDURAL_COUNT
    ) -> PoseLibrary:
        """Hand-made poses and, where mocap_paths is not empty, motion capture."""
        captured = mocap_stack(mocap_paths, MOCAP_COUNT) if mocap_paths else empty_stack()
        return cls(procedural_stack(np.random.default_rng(seed), count), captured)

    def with_captured(self, path: Path) -> PoseLibrary:
        """This library with the motion capture that save_captured wrote."""
        return PoseLibrary(self.made, load_stack(path))

    def save_captured(self, path: Path) -> None:
        """Write the motion capture poses as .npz, which loads faster than the clips."""
        self.captured.save(path)

    def draw(self, rng: np.random.Generator) -> BodyPose:
        """One pose as it is stored; 55 % procedural where both kinds exist."""
        made = rng.random() < _PROCEDURAL_SHARE
        stack = self.made if len(self.made) and (made or not len(self.captured)) else self.captured
        return stack[int(rng.integers(len(stack)))]

    def everyday(self, rng: np.random.Generator) -> BodyPose:
        """One pose of somebody on the feet who gestures, facing +y; any pose if there is none."""
        if not len(self._everyday):
            return self.sample(rng)
        pose = self.made[int(rng.choice(self._everyday))]
        for _ in range(_ATTEMPTS):
            turned = mirror_people(pose.rotations) if rng.random() < _MIRROR else pose.rotations
            changed = BodyPose(jitter(turned, rng), pose.lift_m, pose.source)
            if not impossible(changed.rotations):
                return changed
        return pose

    def sample(self, rng: np.random.Generator) -> BodyPose:
        """One pose facing +y, changed: halves or an arm of two poses joined, mirrored, jittered."""
        pose = self.draw(rng)
        for _ in range(_ATTEMPTS):
            changed = self._changed(pose, rng)
            if not impossible(changed.rotations):
                return changed
            pose = self.draw(rng)
        return pose

    def _changed(self, pose: BodyPose, rng: np.random.Generator) -> BodyPose:
        rotations, source, chance = pose.rotations, pose.source, rng.random()
        if chance < _SWAP_HALVES + _SWAP_ARM:
            other = self.draw(rng)
            if chance < _SWAP_HALVES:
                rotations = swap_upper_body(rotations, other.rotations)
            else:
                rotations = swap_arm(rotations, other.rotations, int(rng.integers(2)))
            source = f"{source}|{other.source}"
        if rng.random() < _MIRROR:
            rotations = mirror_people(rotations)
        return BodyPose(jitter(rotations, rng), pose.lift_m, source)
