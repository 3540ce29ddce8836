"""The pose library gives valid, possible, varied and reproducible bodies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residualpose.errors import ResidualPoseError, UsageError
from residualpose.synthetic.body_pose import REFERENCE_DIRECTION
from residualpose.synthetic.pose_augment import (
    hinge_angles,
    jitter,
    swap_arm,
    swap_upper_body,
    unstretch,
)
from residualpose.synthetic.pose_stack import load_stack
from residualpose.synthetic.poses import PoseLibrary
from residualpose.synthetic.procedural_arms import ARM_PAIRS
from residualpose.synthetic.procedural_legs import LEG_FAMILIES
from residualpose.synthetic.procedural_poses import procedural_stack
from residualpose.synthetic.rotations import about_x, mirror_people, swing
from residualpose.synthetic.stick_figure import (
    arms_below_floor,
    collides,
    impossible,
    legs_below_torso,
    segment_ends,
)

REST = np.broadcast_to(np.eye(3), (17, 3, 3))


@pytest.fixture(scope="module")
def library() -> PoseLibrary:
    return PoseLibrary.procedural(seed=1, count=1500)


@pytest.fixture(scope="module")
def sampled(library: PoseLibrary) -> np.ndarray:
    rng = np.random.default_rng(2)
    return np.stack([library.sample(rng).rotations for _ in range(300)])


def _assert_rotations(rotations: np.ndarray) -> None:
    product = rotations @ np.swapaxes(rotations, -1, -2)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0, atol=1e-6)


def test_all_are_rotations(library: PoseLibrary, sampled: np.ndarray) -> None:
    _assert_rotations(library.made.rotations)
    _assert_rotations(sampled)


def test_joint_limits(library: PoseLibrary, sampled: np.ndarray) -> None:
    for rotations in (library.made.rotations, sampled):
        bend = np.degrees(hinge_angles(rotations))
        assert bend.min() > -1.0
        assert bend[:, :2].max() < 165.0
        assert bend[:, 2:].max() < 170.0
    assert np.percentile(bend[:, :2], 95) > 90.0


def test_nothing_passes_through_the_body(library: PoseLibrary, sampled: np.ndarray) -> None:
    assert not impossible(library.made.rotations).any()
    assert impossible(sampled).mean() < 0.02


def test_hands_go_everywhere(library: PoseLibrary) -> None:
    ends = segment_ends(library.made.rotations)
    chest = library.made.rotations[:, 2]
    hand = np.einsum("nji,nj->ni", chest, ends[:, 7, 0] - ends[:, 5, 0])
    octants = (hand > 0.1).astype(int) - (hand < -0.1).astype(int)
    outward, front, up = octants.T
    for wanted in ((1, 1, 1), (1, 1, -1), (1, -1, -1), (-1, 1, 1), (-1, 1, -1)):
        assert np.all(octants == wanted, axis=1).mean() > 0.004, wanted
    assert ((outward < 0) & (front < 0) & (up > 0)).mean() < 0.01


def test_every_family_occurs_and_none_repeats(library: PoseLibrary) -> None:
    legs, arms = zip(
        *(s.removeprefix("procedural/").split("+") for s in library.made.sources), strict=True
    )
    assert set(legs) == set(LEG_FAMILIES)
    assert set(ARM_PAIRS) - set(arms) <= {"behind_back"}
    assert len(np.unique(library.made.rotations.reshape(len(legs), -1), axis=0)) == len(legs)


def test_people_face_front_and_stand_on_their_feet(library: PoseLibrary) -> None:
    stands = [i for i, s in enumerate(library.made.sources) if s.startswith("procedural/stand+")]
    rotations = library.made.rotations[stands]
    assert rotations[:, 0, 1, 1].min() > 0.8
    toes = np.einsum("nsij,sj->nsi", rotations, REFERENCE_DIRECTION)[:, [13, 16]]
    assert np.abs(toes[..., 2]).max() < 0.05
    assert toes[..., 1].mean() > 0.9
    ends = segment_ends(rotations)
    assert (ends[:, 13, 0, 2] < ends[:, 0, 0, 2] - 0.7).all()
    assert (ends[:, 5, 0, 0] > ends[:, 8, 0, 0]).all()


def test_same_seed_same_poses(library: PoseLibrary) -> None:
    again = PoseLibrary.procedural(seed=1, count=1500)
    np.testing.assert_array_equal(library.made.rotations, again.made.rotations)
    one, other = (
        [lib.sample(rng) for _ in range(20)]
        for lib, rng in ((library, np.random.default_rng(9)), (again, np.random.default_rng(9)))
    )
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first.rotations, second.rotations)
        assert (first.lift_m, first.source) == (second.lift_m, second.source)
    changed = PoseLibrary.procedural(seed=2, count=1500)
    assert not np.array_equal(library.made.rotations, changed.made.rotations)


def test_mirror_twice_is_the_same_and_once_swaps_sides(library: PoseLibrary) -> None:
    rotations = library.made.rotations[:50]
    np.testing.assert_array_equal(mirror_people(mirror_people(rotations)), rotations)
    ends, seen = segment_ends(rotations), segment_ends(mirror_people(rotations))
    np.testing.assert_allclose(seen[:, 7, 1] * [-1, 1, 1], ends[:, 10, 1], atol=1e-12)


def test_swaps_keep_the_joint_between(library: PoseLibrary) -> None:
    stack = library.made
    upright = np.flatnonzero(stack.rotations[:, 0, 2, 2] > 0.8)
    one, other = stack.rotations[upright[0]], stack.rotations[upright[1]]
    swapped = swap_upper_body(one, other)
    np.testing.assert_array_equal(swapped[11:], one[11:])
    np.testing.assert_allclose(swapped[0].T @ swapped[2], other[0].T @ other[2], atol=1e-9)
    swapped = swap_arm(one, other, side=0)
    np.testing.assert_array_equal(swapped[8:], one[8:])
    np.testing.assert_allclose(swapped[2].T @ swapped[5], other[2].T @ other[5], atol=1e-9)


def test_lying_people_are_not_cut_in_half() -> None:
    lying = about_x(np.pi / 2) @ REST
    assert swap_upper_body(lying, REST) is lying


def test_jitter_is_small() -> None:
    rng = np.random.default_rng(0)
    turned = np.stack([jitter(REST, rng) for _ in range(200)])
    angle = np.degrees(np.arccos(np.clip((np.trace(turned[:, 0].T) - 1) / 2, -1, 1)))
    assert 2.0 < angle.mean() < 8.0


def test_unstretch_straightens_only_wrong_bends() -> None:
    bent = REST.copy()
    bent[6] = about_x(-0.4)
    bent[12] = about_x(0.3)
    bent[15] = about_x(-0.7)
    np.testing.assert_allclose(hinge_angles(bent), [-0.4, 0, -0.3, 0.7], atol=1e-9)
    np.testing.assert_allclose(hinge_angles(unstretch(bent)), [0, 0, 0, 0.7], atol=1e-9)


def test_arms_that_would_hold_the_body_up_are_seen() -> None:
    assert not arms_below_floor(REST)
    on_floor = REST.copy()
    on_floor[[11, 12, 14, 15]] = about_x(np.pi / 2)
    assert arms_below_floor(on_floor)
    assert not legs_below_torso(about_x(np.pi / 2) @ REST)
    assert legs_below_torso(REST)


def test_lying_people_rest_on_the_floor(library: PoseLibrary) -> None:
    lying = [i for i, s in enumerate(library.made.sources) if s.startswith("procedural/lie+")]
    low = segment_ends(library.made.rotations[lying])[..., 2]
    assert (low[:, 0, 0] - low.min(axis=(1, 2)) < 0.3).all()


def test_collisions_are_seen() -> None:
    assert not collides(REST)
    through = REST.copy()
    through[8:11] = swing(np.array([0, 0, -1.0]), np.array([1.0, 0, 0]))
    assert collides(through)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_any_seed_and_count(seed: int, count: int) -> None:
    stack = procedural_stack(np.random.default_rng(seed), count)
    assert len(stack) == count
    assert np.isfinite(stack.rotations).all()
    assert ((stack.lift_m >= 0) & (stack.lift_m < 0.5)).all()


def test_file_round_trip(library: PoseLibrary, tmp_path: Path) -> None:
    path = tmp_path / "poses.npz"
    library.made.save(path)
    loaded = load_stack(path)
    np.testing.assert_allclose(loaded.rotations, library.made.rotations, atol=1e-6)
    assert loaded.sources == library.made.sources
    both = library.with_captured(path)
    kinds = [both.draw(np.random.default_rng(i)).source for i in range(5)]
    assert len(both) == 2 * len(library)
    assert all(kinds)
    with pytest.raises(UsageError, match="absent"):
        library.made.save(tmp_path / "absent" / "poses.npz")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04broken"])
def test_broken_library_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    with pytest.raises(ResidualPoseError, match=r"broken\.npz"):
        load_stack(path)


def test_library_file_with_wrong_shapes_is_named(tmp_path: Path) -> None:
    path = tmp_path / "shape.npz"
    np.savez(path, rotations=np.zeros((3, 5)), lift_m=np.zeros(3), sources=np.array(["a"] * 3))
    with pytest.raises(ResidualPoseError, match=r"shape\.npz"):
        load_stack(path)


def test_empty_library_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        PoseLibrary.procedural(count=0)


def test_people_on_all_fours_stand_on_hands_and_knees() -> None:
    stack = procedural_stack(np.random.default_rng(5), 1500)
    rows = [i for i, source in enumerate(stack.sources) if source.startswith("procedural/crawl")]
    assert rows
    ends = segment_ends(stack.rotations[rows])
    knees, wrists = ends[:, [11, 14], 1, 2].mean(1), ends[:, [6, 9], 1, 2].mean(1)
    assert np.median(np.abs(wrists - knees)) < 0.15


def test_both_arms_often_do_the_same() -> None:
    stack = procedural_stack(np.random.default_rng(6), 1500)
    local = np.swapaxes(stack.rotations[:, 2], 1, 2)[:, None] @ stack.rotations[:, 5:11]
    right, left = local[:, :2, :, 2], local[:, 3:5, :, 2] * [-1, 1, 1]
    angle = np.degrees(np.arccos(np.clip((right * left).sum(-1), -1, 1)))
    alike = (angle < [20, 30]).all(-1)
    assert 0.4 < alike.mean() < 0.65
    assert (angle.max(-1) > 1).mean() > 0.95
