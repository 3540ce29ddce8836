"""Targets: where the joints are, and readable by the stages that will read the maps."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from residualpose.camera import Camera  # noqa: E402
from residualpose.learning.augment import Scene, mirror  # noqa: E402
from residualpose.learning.targets import (  # noqa: E402
    HIDDEN_PEAK,
    Targets,
    make_targets,
)
from residualpose.pipeline.group import group  # noqa: E402
from residualpose.pipeline.lift import lift  # noqa: E402
from residualpose.pipeline.maps import surface_of  # noqa: E402
from residualpose.pipeline.normalise import NetworkInput  # noqa: E402
from residualpose.pipeline.peaks import find_peaks  # noqa: E402
from residualpose.skeleton import ITOP15, L_FOOT, NECK, R_HAND, TORSO  # noqa: E402

WIDTH, HEIGHT = 160, 128
CAMERA = Camera(144.0, 144.0, 81.3, 60.4)


def targets_of(
    people_m: np.ndarray,
    visible: np.ndarray | None = None,
    depth_m: np.ndarray | float = 0.0,
    stride: int = 2,
) -> Targets:
    """Targets of one image with (P, 15, 3) people."""
    seen = np.ones(people_m.shape[:2], bool) if visible is None else visible
    return make_targets(
        torch.tensor(people_m[None], dtype=torch.float32),
        torch.tensor(seen[None]),
        torch.tensor([[CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy]]),
        torch.tensor(np.broadcast_to(depth_m, (1, HEIGHT, WIDTH)).astype(np.float32)),
        stride,
    )


@pytest.mark.parametrize("stride", [2, 4])
def test_peaks_are_at_the_joints_in_the_grids_pixels(standing_m: np.ndarray, stride: int) -> None:
    targets = targets_of(standing_m[None], stride=stride)
    assert targets.parts.shape == (1, 15, HEIGHT // stride, WIDTH // stride)
    cells = CAMERA.resized(1 / stride, 1 / stride).project(standing_m)
    for joint, (x, y) in enumerate(cells):
        peak = targets.parts[0, joint]
        row, column = divmod(int(peak.argmax()), peak.shape[1])
        assert abs(column - x) <= 0.5 + 1e-4 and abs(row - y) <= 0.5 + 1e-4
        assert peak.max() > 0.7
    peaks = find_peaks(targets.parts[0].numpy())
    assert peaks.joint.tolist() == list(range(15))
    np.testing.assert_allclose(peaks.xy_px, cells, atol=0.05)


def test_a_peak_on_a_cell_is_1_seen_and_less_hidden(standing_m: np.ndarray) -> None:
    exact = standing_m.copy()
    exact[R_HAND] = CAMERA.resized(0.5, 0.5).backproject(np.array([30, 25]), np.array(2.5))
    visible = np.ones((1, 15), bool)
    assert targets_of(exact[None], visible).parts[0, R_HAND, 25, 30] == pytest.approx(1, abs=1e-4)
    visible[0, R_HAND] = False
    hidden = targets_of(exact[None], visible).parts[0, R_HAND, 25, 30]
    assert hidden == pytest.approx(HIDDEN_PEAK, abs=1e-4)


def test_limb_vectors_point_from_the_first_joint_to_the_second(standing_m: np.ndarray) -> None:
    fields = targets_of(standing_m[None]).fields[0]
    assert fields.shape == (28, HEIGHT // 2, WIDTH // 2)
    cells = CAMERA.resized(0.5, 0.5).project(standing_m)
    checked = 0
    for limb, (start, end) in enumerate(ITOP15.limbs):
        way = cells[end] - cells[start]
        unit = way / np.linalg.norm(way)
        column, row = np.rint(cells[start] + 0.5 * way).astype(int)
        np.testing.assert_allclose(fields[2 * limb : 2 * limb + 2, row, column], unit, atol=1e-4)
        off = np.rint(cells[start] + 0.5 * way + 12 * unit[::-1] * [-1, 1]).astype(int)
        assert not fields[2 * limb : 2 * limb + 2, off[1], off[0]].any()
        checked += 1
    assert checked == 14


def test_offsets_are_joint_minus_surface_and_count_near_joints_only(
    standing_m: np.ndarray,
) -> None:
    depth = np.full((HEIGHT, WIDTH), 2.9)
    depth[:, :60] = 0
    targets = targets_of(standing_m[None], depth_m=depth)
    cells = CAMERA.resized(0.5, 0.5).project(standing_m)
    for joint, (column, row) in enumerate(np.rint(cells).astype(int)):
        weight = targets.offsets_weight[0, joint]
        if column < 29:
            assert weight[row, column] == 0
        else:
            offset = targets.offsets_m[0, joint, row, column]
            assert offset == pytest.approx(standing_m[joint, 2] - 2.9, abs=1e-4)
            assert weight[row, column] > 0.7
        assert weight[5, 70] == 0
    behind = targets_of(standing_m[None], depth_m=1.5)
    assert not behind.offsets_weight.any()  # an occluder so far ahead says nothing of the joint


def test_the_reading_stages_recover_what_the_targets_say(standing_m: np.ndarray) -> None:
    """Targets -> peaks -> lift -> group gives the people back, in their places."""
    people = np.stack(
        [standing_m + np.array([-0.45, 0, 0.0]), standing_m + np.array([0.55, 0.05, 0.6])]
    )
    depth = np.full((HEIGHT, WIDTH), 2.8)
    depth[:, 90:] = 3.4
    targets = targets_of(people, depth_m=depth)
    parts, fields, offsets = (
        t[0].numpy() for t in (targets.parts, targets.fields, targets.offsets_m)
    )
    peaks = find_peaks(parts)
    surface = surface_of(NetworkInput(depth.astype(np.float32), CAMERA), 2)
    points = lift(peaks, parts, offsets, surface, CAMERA.resized(0.5, 0.5))
    found = group(peaks, fields, points.points_m)
    assert len(found) == 2 and (found.peak_index >= 0).all()
    joints = points.points_m[found.peak_index]
    order = np.argsort(joints[:, NECK, 0])
    np.testing.assert_allclose(joints[order], people, atol=0.02)


def test_a_barely_visible_person_is_neither_asked_for_nor_forbidden(
    standing_m: np.ndarray,
) -> None:
    people = np.stack([standing_m + np.array([-0.5, 0, 0]), standing_m + np.array([0.5, 0, 0])])
    visible = np.ones((2, 15), bool)
    visible[1, 2:] = False
    both, one = targets_of(people, visible), targets_of(people[:1])
    torch.testing.assert_close(both.parts, one.parts)
    torch.testing.assert_close(both.fields, one.fields)
    column, row = np.rint(CAMERA.resized(0.5, 0.5).project(people[1, NECK])).astype(int)
    assert both.parts_weight[0, NECK, row, column] < 0.2
    assert one.parts_weight[0, NECK, row, column] == pytest.approx(1, abs=1e-3)
    neck_torso = ITOP15.limbs.index((NECK, TORSO))
    assert both.fields_weight[0, neck_torso, row + 4, column] == 0
    assert one.fields_weight[0, neck_torso, row + 4, column] == 1


def test_absent_people_and_people_behind_the_camera_leave_no_trace(standing_m: np.ndarray) -> None:
    absent = np.full_like(standing_m, np.nan)
    behind = standing_m * [1, 1, -1]
    together = targets_of(np.stack([standing_m, absent, behind]))
    for field in Targets.__slots__:
        torch.testing.assert_close(
            getattr(together, field), getattr(targets_of(standing_m[None]), field)
        )
    nobody = targets_of(absent[None])
    assert not nobody.parts.any() and not nobody.fields.any() and not nobody.offsets_weight.any()
    assert (nobody.parts_weight == 1).all() and (nobody.fields_weight == 1).all()


def test_where_limbs_cross_the_field_is_the_mean(standing_m: np.ndarray) -> None:
    other = standing_m * [-1, 1, 1]  # the same places, left and right swapped
    fields = targets_of(np.stack([standing_m, other[list(ITOP15.mirror)]])).fields[0]
    assert fields.unflatten(0, (14, 2)).norm(dim=1).max() <= 1 + 1e-5


def test_the_mirror_image_has_mirrored_targets(standing_m: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    depth = torch.tensor(rng.choice([0, 2.7, 2.9, 3.3], (1, HEIGHT, WIDTH)), dtype=torch.float32)
    batch = Scene(
        depth,
        torch.zeros(1, HEIGHT, WIDTH, dtype=torch.uint8),
        torch.tensor(standing_m[None, None], dtype=torch.float32),
        torch.tensor(rng.random((1, 1, 15)) < 0.7),
        torch.tensor([[CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy]]),
    )
    mirrored = mirror(batch, torch.tensor([True]))
    one, other = (
        make_targets(b.joints_m, b.visible, b.intrinsics, b.depth_m, 2) for b in (batch, mirrored)
    )
    partner = list(ITOP15.mirror)
    for field in ("parts", "parts_weight", "offsets_m", "offsets_weight"):
        torch.testing.assert_close(
            getattr(other, field).flip(-1)[:, partner], getattr(one, field), atol=1e-3, rtol=0
        )
    limbs = [ITOP15.limbs.index((partner[a], partner[b])) for a, b in ITOP15.limbs]
    fields = other.fields.unflatten(1, (14, 2)).flip(-1)[:, limbs]
    fields = (fields * torch.tensor([-1.0, 1.0])[:, None, None]).flatten(1, 2)
    differ = ((fields - one.fields).abs() > 1e-3).float().mean()
    assert differ < 1e-3  # but for cells exactly on the rim of a limb
    assert one.fields[0, 2 * ITOP15.limbs.index((12, L_FOOT)) + 1].max() > 0.9


def test_an_unlabelled_joint_is_neither_asked_for_nor_forbidden(standing_m: np.ndarray) -> None:
    other = standing_m + [0.9, 0, 1.0]
    labelled = targets_of(np.stack([standing_m, other]))
    partial = standing_m.copy()
    partial[R_HAND] = np.nan
    targets = targets_of(np.stack([partial, other]))
    row, column = divmod(int(labelled.parts[0, R_HAND].argmax()), WIDTH // 2)
    assert targets.parts_weight[0, R_HAND, row, column] == 0
    assert targets.parts[0, R_HAND, row, column] == 0
    limb = next(i for i, ends in enumerate(ITOP15.limbs) if R_HAND in ends)
    on_limb = labelled.fields_weight[0, limb] == 4
    theirs = targets.fields_weight[0, limb] == 4
    assert theirs.any() and on_limb.sum() > theirs.sum()
    assert (targets.fields_weight[0, limb][on_limb & ~theirs] == 0).all()
    # The other person's hand is asked for as before, and so is everything else of both.
    peak = int(targets.parts[0, R_HAND].argmax())
    assert targets.parts_weight[0, R_HAND].flatten()[peak] > 5
    rest = [j for j in range(15) if j != R_HAND]
    assert torch.equal(targets.parts_weight[0, rest], labelled.parts_weight[0, rest])
    assert torch.equal(targets.parts[0, rest], labelled.parts[0, rest])
    far = targets.parts_weight[0, R_HAND, :, :8]  # beyond anybody's reach it is forbidden
    assert (far > 0).all()
