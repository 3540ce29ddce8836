"""Grouping made-up maps: nobody cut in pieces, no limb swapped, no person invented."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from residualpose.errors import ResidualPoseError
from residualpose.pipeline.group import People2D, group, group_people
from residualpose.pipeline.peaks import Peaks, find_peaks
from residualpose.skeleton import HEAD, ITOP15, L_ELBOW, L_HAND, NECK, R_ELBOW, R_HAND, TORSO

H, W = 60, 80
FOCAL_PX = 71.0


def stick_figure(rng: np.random.Generator, turn: float, hanging: bool = False) -> np.ndarray:
    """(15, 3) metres, x right, y down, z forward, the torso at 0; arms at random or hanging."""
    joints = np.zeros((15, 3))
    joints[NECK] = [0, -rng.uniform(0.24, 0.45), 0]
    joints[HEAD] = joints[NECK] + [rng.normal(0, 0.02), -0.23, rng.normal(0, 0.05)]
    low = 0.52 + joints[NECK, 1]
    for side, shoulder, elbow, hand, hip, knee, foot in (
        (-1, 2, 4, 6, 9, 11, 13),
        (1, 3, 5, 7, 10, 12, 14),
    ):
        joints[shoulder] = joints[NECK] + [side * 0.17, 0.04, 0]
        raise_, forward, bend = rng.uniform(-0.2, 1.8), rng.uniform(-0.3, 1.2), rng.uniform(0, 2.0)
        upper = np.array([side * np.sin(raise_), np.cos(raise_), -np.sin(forward)])
        lower = np.array([side * np.sin(raise_ + bend), np.cos(raise_ + bend), -0.4])
        if hanging:
            upper, lower = np.array([side * 0.15, 1.0, -0.1]), np.array([side * 0.05, 1.0, -0.2])
        joints[elbow] = joints[shoulder] + 0.28 * upper / np.linalg.norm(upper)
        joints[hand] = joints[elbow] + 0.25 * lower / np.linalg.norm(lower)
        joints[hip] = [side * 0.10, low, 0]
        thigh = np.array([rng.normal(side * 0.1, 0.15), 1.0, rng.normal(-0.15, 0.2)])
        joints[knee] = joints[hip] + 0.43 * thigh / np.linalg.norm(thigh)
        shin = np.array([rng.normal(0, 0.1), 1.0, abs(rng.normal(0.1, 0.15))])
        joints[foot] = joints[knee] + 0.42 * shin / np.linalg.norm(shin)
    cos, sin = np.cos(turn), np.sin(turn)
    return joints @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T


def place(figure: np.ndarray, x_m: float, z_m: float, y_m: float = 0.0) -> np.ndarray:
    """(15, 3) metres in the camera's frame."""
    return figure + np.array([x_m, y_m, z_m])


def project(joints_m: np.ndarray) -> np.ndarray:
    return FOCAL_PX * joints_m[..., :2] / joints_m[..., 2:] + [(W - 1) / 2, (H - 1) / 2]


def draw(
    joints_px: np.ndarray, seen: np.ndarray, sd_px: float = 1.5, seed: int = 0, scale: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Part maps and limb fields of people (P, 15, 2), with noise; scale enlarges the grid."""
    height, width, sd_px, joints_px = H * scale, W * scale, sd_px * scale, joints_px * scale
    row, col = np.mgrid[:height, :width]
    grid = np.stack([col, row], axis=-1).astype(float)
    maps, fields = np.zeros((15, height, width)), np.zeros((14, 2, height, width))
    drawn = np.zeros((14, 1, height, width))
    for person, present in zip(joints_px, seen, strict=True):
        for joint in np.flatnonzero(present):
            square = ((grid - person[joint]) ** 2).sum(-1)
            maps[joint] = np.maximum(maps[joint], np.exp(-square / (2 * sd_px**2)))
        for limb, (start, end) in enumerate(ITOP15.limbs):
            way = person[end] - person[start]
            length = np.linalg.norm(way)
            if not (present[start] and present[end]) or length < 1e-3:
                continue
            unit, offset = way / length, grid - person[start]
            along = offset @ unit
            aside = np.abs(offset @ [-unit[1], unit[0]])
            band = (along >= 0) & (along <= length) & (aside <= sd_px)
            fields[limb] += unit[:, None, None] * band
            drawn[limb] += band
    fields /= np.maximum(drawn, 1)
    rng = np.random.default_rng(seed)
    fields = fields.reshape(28, height, width)
    return maps + rng.normal(0, 0.01, maps.shape), fields + rng.normal(0, 0.01, fields.shape)


def crowd(rng: np.random.Generator, people: int) -> np.ndarray:
    """(P, 15, 3) people beside and partly in front of one another, in the image as a whole."""
    placed: list[np.ndarray] = []
    while len(placed) < people:
        figure = stick_figure(rng, rng.choice([0, np.pi]) + rng.normal(0, 0.6))
        z_m = rng.uniform(2.6, 4.5)
        joints_m = place(figure, rng.uniform(-0.5, 0.5) * z_m, z_m, rng.normal(0, 0.1))
        joints_px = project(joints_m)
        inside = ((joints_px > 1) & (joints_px < [W - 2, H - 2])).all()
        apart = [abs(other[TORSO, 0] / other[TORSO, 2] - joints_m[TORSO, 0] / z_m) * FOCAL_PX > 7
                 for other in placed]  # fmt: skip
        if inside and all(apart):
            placed.append(joints_m)
    return np.stack(placed)


def right_joints(found_px: np.ndarray, true_px: np.ndarray, seen: np.ndarray) -> int:
    """Joints that sit in the person matched to their own, within 2.5 pixels."""
    hit = np.linalg.norm(found_px[:, None] - true_px, axis=-1) < 2.5
    hit &= seen
    return int(hit.sum(-1)[linear_sum_assignment(-hit.sum(-1))].sum())


def without(people: int, *missing: tuple[int, ...]) -> np.ndarray:
    seen = np.ones((people, 15), dtype=bool)
    for person, joints in enumerate(missing):
        seen[person, list(joints)] = False
    return seen


@pytest.mark.parametrize("always", [(), (NECK,), (TORSO,), (NECK, TORSO)])
def test_made_up_maps(always: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2 + len(always) + sum(always))
    right = joints = found = people = 0
    for case in range(12):
        joints_px = project(crowd(rng, 1 + case % 4))
        seen = without(len(joints_px))
        for present in seen:
            gone = [*always, *rng.choice(15, rng.integers(0, 4), replace=False)][:3]
            present[gone] = False
        maps, fields = draw(joints_px, seen, rng.uniform(1.0, 1.7), seed=case)
        found_px, score = group_people(maps, fields)
        assert np.array_equal(np.isnan(found_px[..., 0]), score == 0)
        right += right_joints(found_px, joints_px, seen)
        joints, found, people = joints + int(seen.sum()), found + len(found_px), people + len(seen)
    assert right >= 0.95 * joints
    assert abs(found - people) <= 0.03 * people + 0.5


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("missing", [(NECK,), (TORSO,), (NECK, TORSO), (NECK, L_ELBOW, 9)])
def test_one_person_is_not_cut_where_a_joint_is_missing(
    missing: tuple[int, ...], scale: int
) -> None:
    joints_m = place(stick_figure(np.random.default_rng(5), 0.3), 0.1, 3.0)
    joints_px = project(joints_m)[None]
    seen = without(1, missing)
    found_px, _ = group_people(*draw(joints_px, seen, scale=scale))
    assert len(found_px) == 1
    assert right_joints(found_px / scale, joints_px, seen) == seen.sum()


def test_neighbours_one_without_torso_one_without_neck_stay_two() -> None:
    rng = np.random.default_rng(4)
    people_m = np.stack([place(stick_figure(rng, 0), -0.4, 3), place(stick_figure(rng, 0), 0.4, 3)])
    seen = without(2, (TORSO,), (NECK,))
    found_px, _ = group_people(*draw(project(people_m), seen))
    assert len(found_px) == 2
    assert right_joints(found_px, project(people_m), seen) == seen.sum()


def test_crossing_arms_of_neighbours_are_not_swapped() -> None:
    rng = np.random.default_rng(8)
    left = place(stick_figure(rng, 0.1, hanging=True), -0.3, 3.0)
    right = place(stick_figure(rng, -0.1, hanging=True), 0.3, 3.1, 0.08)
    # Each reaches over to the other's chest, the left one higher at the elbow than at the hand.
    left[L_ELBOW], left[L_HAND] = left[3] + [0.22, 0.12, -0.1], left[3] + [0.42, 0.28, -0.2]
    right[R_ELBOW], right[R_HAND] = right[2] + [-0.2, 0.2, -0.1], right[2] + [-0.42, 0.1, -0.2]
    joints_px = project(np.stack([left, right]))
    found_px, _ = group_people(*draw(joints_px, without(2), sd_px=1.2))
    assert len(found_px) == 2
    assert right_joints(found_px, joints_px, without(2)) == 30


def test_a_higher_stray_peak_loses_to_the_consistent_one() -> None:
    joints_px = project(place(stick_figure(np.random.default_rng(1), 0.0), -0.5, 3.0))[None]
    maps, fields = draw(joints_px, without(1))
    maps[[R_HAND, HEAD, 13, R_ELBOW]] *= 0.6
    stray = draw(np.full((1, 15, 2), [70.0, 12.0]), without(1))[0]
    for joint in (R_HAND, HEAD, 13, R_ELBOW):
        maps[joint] = np.maximum(maps[joint], stray[joint])
    found_px, score = group_people(maps, fields)
    assert right_joints(found_px[:1], joints_px, without(1)) == 15
    assert len(found_px) == 1
    assert score[0, R_HAND] < 0.8


def test_a_hand_without_elbow_goes_to_the_person_who_lacks_one() -> None:
    rng = np.random.default_rng(11)
    people_m = np.stack(
        [place(stick_figure(rng, 0), -0.45, 3), place(stick_figure(rng, 0), 0.45, 3)]
    )
    seen = without(2, (R_ELBOW, HEAD), (L_ELBOW,))
    found_px, _ = group_people(*draw(project(people_m), seen))
    assert right_joints(found_px, project(people_m), seen) == seen.sum()


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(3)))
def test_the_order_of_people_does_not_matter(seed: int, order: list[int]) -> None:
    joints_px = project(crowd(np.random.default_rng(seed), 3))
    found_px, score = group_people(*draw(joints_px, without(3)))
    again_px, again = group_people(*draw(joints_px[order], without(3)))
    assert np.allclose(found_px, again_px, atol=1e-3, equal_nan=True)
    assert np.allclose(score, again, atol=1e-5)
    assert (np.diff(score.mean(axis=1)) <= 0).all()


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_peaks_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps, fields = draw(project(crowd(rng, 2)), without(2, (NECK,)))
    peaks = find_peaks(maps)
    shuffle = rng.permutation(len(peaks))
    shuffled = Peaks(peaks.joint[shuffle], peaks.xy_px[shuffle], peaks.score[shuffle])
    people, again = group(peaks, fields), group(shuffled, fields)
    assert np.allclose(people.joints_px, again.joints_px, equal_nan=True)
    seen = again.peak_index >= 0
    assert np.array_equal(np.where(seen, shuffle[again.peak_index], -1), people.peak_index)


@pytest.mark.parametrize("shape", [(60, 80), (1, 1), (3, 200)])
def test_empty_maps(shape: tuple[int, int]) -> None:
    found_px, score = group_people(np.zeros((15, *shape)), np.zeros((28, *shape)))
    assert found_px.shape == (0, 15, 2)
    assert score.shape == (0, 15)
    people = group(find_peaks(np.zeros((15, *shape))), np.zeros((28, *shape)), np.zeros((0, 3)))
    assert len(people) == 0
    assert people.peak_index.shape == (0, 15)
    assert people.peak_index.dtype == np.int64


@pytest.mark.parametrize("joints", [(HEAD,), (R_ELBOW, R_HAND)])
def test_lone_joints_are_no_person(joints: tuple[int, ...]) -> None:
    joints_px = project(place(stick_figure(np.random.default_rng(1), 0.0), 0, 3))[None]
    seen = np.zeros((1, 15), dtype=bool)
    seen[0, list(joints)] = True
    assert len(group_people(*draw(joints_px, seen))[0]) == 0


def test_half_a_person_at_the_edge_is_one() -> None:
    joints_px = project(place(stick_figure(np.random.default_rng(3), 0.0), 0, 3))[None]
    seen = np.zeros((1, 15), dtype=bool)
    seen[0, [HEAD, NECK, 2, 3, R_ELBOW, L_ELBOW, TORSO]] = True
    found_px, _ = group_people(*draw(joints_px, seen))
    assert right_joints(found_px, joints_px, seen) == 7


def test_depth_keeps_pieces_at_different_distances_apart() -> None:
    rng = np.random.default_rng(6)
    joints_m = place(stick_figure(rng, 0.0), 0.0, 3.0)
    seen = without(1, (TORSO, NECK))
    maps, fields = draw(project(joints_m)[None], seen)
    peaks = find_peaks(maps)
    points_m = joints_m[peaks.joint]
    assert len(group(peaks, fields, points_m)) == 1
    unknown_m = np.full_like(points_m, np.nan)
    assert np.array_equal(
        group(peaks, fields, unknown_m).peak_index, group(peaks, fields).peak_index
    )
    legs = peaks.joint > TORSO
    points_m[legs] *= 2.0
    people = group(peaks, fields, points_m)
    together = (people.peak_index >= 0)[:, [2, 3]].any(1) & (people.peak_index >= 0)[:, 9:].any(1)
    assert not together.any()


@pytest.mark.parametrize(("size", "people"), [(1.0, 1), (0.5, 1), (0.3, 0)])
def test_a_child_is_somebody_and_a_doll_is_nobody(size: float, people: int) -> None:
    """The image is the same: only depth tells who is that small."""
    figure = place(stick_figure(np.random.default_rng(4), 0.3), 0, 3.0)
    maps, fields = draw(project(figure)[None], without(1))
    peaks = find_peaks(maps)
    assert len(group(peaks, fields, size * figure[peaks.joint])) == people


def test_a_true_hand_whose_pixel_shows_the_background_is_kept() -> None:
    joints_m = place(stick_figure(np.random.default_rng(9), 0.0), 0.0, 3.0)
    maps, fields = draw(project(joints_m)[None], without(1))
    peaks = find_peaks(maps)
    points_m = joints_m[peaks.joint]
    points_m[peaks.joint == R_HAND] *= 1.6
    people = group(peaks, fields, points_m)
    assert len(people) == 1
    assert people.peak_index[0, R_HAND] >= 0


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ResidualPoseError, match="part_maps"):
        group_people(np.zeros((14, 6, 8)), np.zeros((28, 6, 8)))
    with pytest.raises(ResidualPoseError, match="limb_fields"):
        group_people(np.zeros((15, 6, 8)), np.zeros((28, 6, 9)))
    with pytest.raises(ValueError, match="joint_score"):
        People2D(np.zeros((1, 15, 2)), np.zeros((2, 15)), np.zeros(1), np.zeros((1, 15), np.int64))


@pytest.mark.parametrize("doubt", [0.4, 0.6])
def test_a_network_in_doubt_of_the_facing_sees_one_person(doubt: float) -> None:
    """Weaker peaks and limbs of the other side, at the same places, are nobody's body."""
    true_px = project(place(stick_figure(np.random.default_rng(3), 0.0), 0.0, 3.0))[None]
    sure = draw(true_px, without(1))
    unsure = draw(true_px[:, list(ITOP15.mirror)], without(1))
    maps, fields = np.maximum(sure[0], doubt * unsure[0]), sure[1] + doubt * unsure[1]
    found_px, _ = group_people(maps, fields)
    assert len(found_px) == 1
    assert right_joints(found_px, true_px, without(1)) >= 14
