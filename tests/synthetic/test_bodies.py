"""Bodies bend as the pose says, and stay whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the synthetic extra")

from residualpose.skeleton import (  # noqa: E402
    HEAD,
    ITOP15,
    L_HIP,
    NECK,
    R_ELBOW,
    R_FOOT,
    R_HAND,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    TORSO,
)
from residualpose.synthetic.bodies import (  # noqa: E402
    PARTS,
    BodyBank,
    part_transforms,
    posed_joints,
    rotation_between,
    skin,
)
from residualpose.synthetic.body_pose import SEGMENTS, BodyPose  # noqa: E402
from residualpose.synthetic.poses import PoseLibrary  # noqa: E402
from residualpose.synthetic.rotations import mirror_people  # noqa: E402

if TYPE_CHECKING:
    from torch import Tensor

STANCE = BodyPose(np.tile(np.eye(3), (len(SEGMENTS), 1, 1)))
RIGHT_ARM = [SEGMENTS.index(f"{part}_r") for part in ("upper_arm", "forearm", "hand")]


def joints_of(bank: BodyBank, body: int, pose: BodyPose) -> Tensor:
    return posed_joints(bank, body, *part_transforms(bank, body, pose))


def some_poses(count: int) -> list[BodyPose]:
    library, rng = PoseLibrary.procedural(0, 50), np.random.default_rng(2)
    return [library.sample(rng) for _ in range(count)]


def test_the_bank_is_sound(tiny_bank: BodyBank) -> None:
    assert len(tiny_bank) == 3
    torch.testing.assert_close(tiny_bank.weights.sum(1), torch.ones(len(tiny_bank.weights)))
    height_m = tiny_bank.vertices_m[..., 2].amax(1) - tiny_bank.vertices_m[..., 2].amin(1)
    assert ((height_m > 0.5) & (height_m < 2.3)).all() and height_m.std() > 0.01
    joints = tiny_bank.joints_m
    assert (joints[:, HEAD, 2] > joints[:, NECK, 2]).all()
    assert (joints[:, R_SHOULDER, 0] > joints[:, NECK, 0]).all()  # own right at +x
    nose_side = tiny_bank.vertices_m[:, tiny_bank.part == PARTS.index("foot_r"), 1].amax(1)
    assert (nose_side > joints[:, R_FOOT, 1] + 0.05).all()  # toes to +y


def test_triangles_and_normals_face_outwards(tiny_bank: BodyBank) -> None:
    for vertices, normals in zip(tiny_bank.vertices_m, tiny_bank.normals, strict=True):
        a, b, c = (vertices[tiny_bank.triangles[:, k]] for k in range(3))
        volume_m3 = (torch.cross(b, c, dim=1) * a).sum() / 6
        assert 0.003 < volume_m3 < 0.2
        inner, outer = ((vertices + by * normals).std(0).norm() for by in (-0.01, 0.01))
        assert outer > inner


def test_the_rest_pose_leaves_a_body_at_rest(tiny_bank: BodyBank) -> None:
    for body in range(len(tiny_bank)):
        rest = BodyPose(tiny_bank.align[body, : len(SEGMENTS)].numpy().astype(np.float64))
        R, t = part_transforms(tiny_bank, body, rest)
        moved = posed_joints(tiny_bank, body, R, t) - tiny_bank.joints_m[body]
        still = [HEAD, NECK, TORSO, R_HIP, L_HIP, R_KNEE, R_FOOT]
        torch.testing.assert_close(moved[still], torch.zeros(len(still), 3), atol=1e-5, rtol=0)
        assert moved.norm(dim=1).max() < 0.05  # the collar bones follow raised arms a little


def test_in_the_reference_stance_arms_and_legs_hang_straight(tiny_bank: BodyBank) -> None:
    down = torch.tensor([0.0, 0.0, -1.0])
    for body in range(len(tiny_bank)):
        joints = joints_of(tiny_bank, body, STANCE)
        for start, end in ((R_SHOULDER, R_ELBOW), (R_ELBOW, R_HAND), (R_HIP, R_KNEE)):
            way = joints[end] - joints[start]
            torch.testing.assert_close(way / way.norm(), down, atol=1e-3, rtol=0)


def test_a_raised_arm_brings_the_hand_up_and_out(tiny_bank: BodyBank) -> None:
    rotations = STANCE.rotations.copy()
    rotations[RIGHT_ARM] = [[0, 0, -1], [0, 1, 0], [1, 0, 0]]  # down becomes +x
    before, after = (joints_of(tiny_bank, 0, p) for p in (STANCE, BodyPose(rotations)))
    reach = (before[R_HAND] - before[R_SHOULDER]).norm()
    assert after[R_HAND, 0] > after[R_SHOULDER, 0] + 0.95 * reach
    assert after[R_HAND, 2] > before[R_HAND, 2] + 0.9 * reach
    assert after[R_SHOULDER, 2] > before[R_SHOULDER, 2]  # the shoulder rises with it
    moved = (after - before).norm(dim=1)
    others = [j for j in range(15) if j not in (R_SHOULDER, R_ELBOW, R_HAND)]
    assert moved[others].max() < 1e-5


def test_parts_stay_rigid_and_joints_stay_on_them(tiny_bank: BodyBank) -> None:
    for pose in some_poses(4):
        R, t = part_transforms(tiny_bank, 1, pose)
        torch.testing.assert_close(R @ R.mT, torch.eye(3).expand_as(R), atol=1e-5, rtol=0)
        posed = skin(tiny_bank.weights, tiny_bank.vertices_m[1], R, t)
        for name in ("head", "forearm_r", "shin_l"):
            whole = tiny_bank.weights[:, PARTS.index(name)] > 0.9999
            rows = whole.nonzero()[:: max(1, int(whole.sum()) // 40), 0]
            assert len(rows) > 10
            rest = torch.cdist(tiny_bank.vertices_m[1, rows], tiny_bank.vertices_m[1, rows])
            torch.testing.assert_close(
                torch.cdist(posed[rows], posed[rows]), rest, atol=1e-3, rtol=0
            )


def test_limbs_keep_their_lengths(tiny_bank: BodyBank) -> None:
    limbs = [(R_SHOULDER, R_ELBOW), (R_HIP, R_KNEE), (R_KNEE, R_FOOT)]
    rest = tiny_bank.joints_m[2]
    for pose in some_poses(4):
        joints = joints_of(tiny_bank, 2, pose)
        for a, b in limbs:
            length = (rest[a] - rest[b]).norm()
            torch.testing.assert_close((joints[a] - joints[b]).norm(), length, atol=1e-4, rtol=0)


def test_a_mirrored_pose_has_mirrored_joints(tiny_bank: BodyBank) -> None:
    flip = torch.tensor([-1.0, 1.0, 1.0])
    for pose in some_poses(4):
        mirrored = BodyPose(mirror_people(pose.rotations))
        joints, other = (joints_of(tiny_bank, 0, p) for p in (pose, mirrored))
        torch.testing.assert_close(other[list(ITOP15.mirror)] * flip, joints, atol=3e-3, rtol=0)


def test_rotation_between_turns_one_direction_into_the_other() -> None:
    rng = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 20, 3, generator=rng)
    R = rotation_between(a, b)
    turned = (R @ a[..., None])[..., 0]
    torch.testing.assert_close(
        turned / turned.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True),
        atol=1e-4, rtol=0,
    )  # fmt: skip


def test_a_saved_bank_is_the_same(tiny_bank: BodyBank, tmp_path: Path) -> None:
    tiny_bank.save(tmp_path / "bank.npz")
    loaded = BodyBank.load(tmp_path / "bank.npz")
    assert not loaded.wardrobe.pieces
    for field in set(BodyBank.__slots__) - {"wardrobe"}:
        torch.testing.assert_close(
            getattr(loaded, field), getattr(tiny_bank, field), atol=0, rtol=0
        )
