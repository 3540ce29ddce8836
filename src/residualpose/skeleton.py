"""The skeleton as data: names, limbs, mirror pairs. Nothing is inferred from a joint count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from residualpose.errors import ResidualPoseError


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A named set of joints and the directed limbs between them."""

    name: str
    joints: tuple[str, ...]
    """Joint names in order; right and left are the person's own."""
    limbs: tuple[tuple[int, int], ...]
    """(from, to) joint indices. Limb i owns field channels 2i (x) and 2i+1 (y)."""
    mirror: tuple[int, ...]
    """Index of each joint's left-right partner (itself where it has none)."""

    def index(self, joint: str) -> int:
        """Index of a joint by name; raises KeyError naming the known joints."""
        if joint not in self.joints:
            raise KeyError(f"no joint {joint!r} in skeleton {self.name}: {', '.join(self.joints)}")
        return self.joints.index(joint)

    @property
    def limb_array(self) -> np.ndarray:
        """(L, 2) int64 array of the limbs."""
        return np.asarray(self.limbs, dtype=np.int64)

    def to_dict(self) -> dict[str, object]:
        """JSON-ready description, as written in the header of result files."""
        return {
            "name": self.name,
            "joints": list(self.joints),
            "limbs": [list(limb) for limb in self.limbs],
        }

    @classmethod
    def from_json(cls, stored: object) -> Skeleton:
        """A skeleton by name, or as `to_dict` wrote it; right_ and left_ names mirror each other.

        Raises:
            ResidualPoseError: unknown name, or not the joints of a tree that the pipeline knows.
        """
        if isinstance(stored, str):
            if stored in SKELETONS:
                return SKELETONS[stored]
            raise ResidualPoseError(
                f"expected a skeleton described, or one of {', '.join(SKELETONS)}, found {stored!r}"
            )
        fields = stored if isinstance(stored, dict) else {}
        name, joints, limbs = (fields.get(key) for key in ("name", "joints", "limbs"))
        joints = [str(joint) for joint in joints] if isinstance(joints, list) else []
        if not isinstance(name, str) or not len(joints) == len(set(joints)) == len(ITOP15.joints):
            raise ResidualPoseError(
                f"expected a skeleton with name, {len(ITOP15.joints)} different joint names and "
                f"limbs, found {stored!r}"
            )
        if limbs is not None and limbs != ITOP15.to_dict()["limbs"]:
            raise ResidualPoseError(f"skeleton {name}: expected the limbs of itop15, found {limbs}")
        return cls(name, tuple(joints), ITOP15.limbs, mirror_of(joints))


def mirror_of(joints: Sequence[str]) -> tuple[int, ...]:
    """Index of each joint's partner by its name."""
    swap = {"right_": "left_", "left_": "right_"}
    partners = []
    for i, joint in enumerate(joints):
        side = next((side for side in swap if joint.startswith(side)), "")
        partner = swap.get(side, "") + joint.removeprefix(side)
        partners.append(joints.index(partner) if partner in joints else i)
    return tuple(partners)


HEAD, NECK, R_SHOULDER, L_SHOULDER, R_ELBOW, L_ELBOW, R_HAND, L_HAND = range(8)
TORSO, R_HIP, L_HIP, R_KNEE, L_KNEE, R_FOOT, L_FOOT = range(8, 15)

ITOP15 = Skeleton(
    name="itop15",
    joints=(
        "head", "neck", "right_shoulder", "left_shoulder", "right_elbow", "left_elbow",
        "right_hand", "left_hand", "torso", "right_hip", "left_hip", "right_knee",
        "left_knee", "right_foot", "left_foot",
    ),
    limbs=(
        (NECK, HEAD), (NECK, TORSO),
        (TORSO, L_HIP), (L_HIP, L_KNEE), (L_KNEE, L_FOOT),
        (NECK, L_SHOULDER), (L_SHOULDER, L_ELBOW), (L_ELBOW, L_HAND),
        (TORSO, R_HIP), (R_HIP, R_KNEE), (R_KNEE, R_FOOT),
        (NECK, R_SHOULDER), (R_SHOULDER, R_ELBOW), (R_ELBOW, R_HAND),
    ),
    mirror=(0, 1, 3, 2, 5, 4, 7, 6, 8, 10, 9, 12, 11, 14, 13),
)  # fmt: skip
"""The 15 joints and 14 limbs of the paper (section III) in the released channel order."""

PANOPTIC15 = Skeleton(
    name="panoptic15",
    joints=(
        "nose", "neck", "right_shoulder", "left_shoulder", "right_elbow", "left_elbow",
        "right_wrist", "left_wrist", "mid_hip", "right_hip", "left_hip", "right_knee",
        "left_knee", "right_ankle", "left_ankle",
    ),
    limbs=ITOP15.limbs,
    mirror=ITOP15.mirror,
)  # fmt: skip
"""CMU Panoptic's joints on the same tree of limbs: its torso is the middle of the hips."""

SKELETONS = {skeleton.name: skeleton for skeleton in (ITOP15, PANOPTIC15)}
"""The skeletons that may be called by their names."""
