"""Conventions move joints by constants along the body and the ray, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from residualpose.conventions import (
    CONVENTIONS,
    JOINT_KIND,
    Convention,
    Registration,
    Shift,
    convention_by_name,
    directions,
    from_above,
    to_convention,
)
from residualpose.errors import UsageError
from residualpose.skeleton import (
    ITOP15,
    L_HIP,
    L_SHOULDER,
    NECK,
    R_ELBOW,
    R_HAND,
    R_HIP,
    R_SHOULDER,
)

FLIP = np.array([-1.0, 1, 1])


@pytest.fixture
def people_m(standing_m: np.ndarray) -> np.ndarray:
    return np.stack([standing_m, standing_m + np.array([0.8, 0.2, 1.5])])


def test_kinds_match_the_skeleton() -> None:
    for kind, joint, partner in zip(JOINT_KIND, ITOP15.joints, ITOP15.mirror, strict=True):
        assert joint.endswith(kind) and JOINT_KIND[partner] == kind


def test_an_empty_convention_changes_nothing(people_m: np.ndarray) -> None:
    np.testing.assert_array_equal(
        to_convention(people_m, Convention({})), people_m.astype(np.float32)
    )


def test_away_is_along_the_viewing_ray(people_m: np.ndarray) -> None:
    moved = to_convention(people_m, Convention({kind: Shift(away=-0.05) for kind in JOINT_KIND}))
    nearer = np.linalg.norm(people_m, axis=-1) - np.linalg.norm(moved, axis=-1)
    np.testing.assert_allclose(nearer, 0.05, atol=1e-5)
    np.testing.assert_allclose(np.cross(moved, people_m), 0, atol=1e-5)


def _from_above(level_m: np.ndarray, height_m: float = 3.0) -> np.ndarray:
    """People before a level camera, as one sees them that looks straight down from the ceiling.

    Image down is towards where the level camera stands.
    """
    x, y, z = np.moveaxis(level_m, -1, 0)
    return np.stack([x, 3.0 - z, height_m + y - y.max()], axis=-1)


def test_from_above_away_is_backwards(standing_m: np.ndarray) -> None:
    above_m = _from_above(standing_m)[None]
    moved = to_convention(above_m, Convention({kind: Shift(away=-0.05) for kind in JOINT_KIND}))
    left = above_m[0, L_SHOULDER] - above_m[0, R_SHOULDER]
    front = np.cross([0.0, 0.0, 1.0], left)
    shift = (moved - above_m)[0]
    np.testing.assert_allclose(np.linalg.norm(shift, axis=-1), 0.05, atol=1e-4)
    assert ((shift @ front) / np.linalg.norm(front) > 0.048).all()


def test_labels_of_a_view_from_above_are_those_of_the_level_one(standing_m: np.ndarray) -> None:
    level = to_convention(standing_m[None], CONVENTIONS["itop"])[0]
    moved = replace(CONVENTIONS["itop"], overhead=Registration())
    above = to_convention(_from_above(standing_m)[None], moved)[0]
    expected = _from_above(level) + [0.0, 0.0, level[:, 1].max() - standing_m[:, 1].max()]
    # The level camera sees the feet from above by 17 degrees.
    assert np.linalg.norm(above - expected, axis=-1).max() < 0.03


def test_labels_carried_over_lie_elsewhere_in_views_from_above_alone(
    standing_m: np.ndarray,
) -> None:
    carried = Convention(overhead=Registration(0.1, 0.2, -0.3))
    above_m = _from_above(standing_m)[None]
    assert from_above(above_m) == 1.0 and from_above(standing_m[None]) == 0.0
    np.testing.assert_allclose(to_convention(standing_m[None], carried)[0], standing_m, atol=1e-6)
    turn = Rotation.from_rotvec([0.1, 0.0, 0.0]).as_matrix()
    expected = above_m @ turn.T + [0.0, 0.2, -0.3]
    np.testing.assert_allclose(to_convention(above_m, carried), expected, atol=1e-6)


def test_a_bow_changes_away_without_a_jump(standing_m: np.ndarray) -> None:
    moved = []
    for angle in np.linspace(0.0, np.pi / 2, 181):
        c, s = np.cos(angle), np.sin(angle)
        root = standing_m.mean(axis=0)
        bowed = (standing_m - root) @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]]) + root
        moved.append(to_convention(bowed[None], Convention({"torso": Shift(away=0.1)}))[0] - bowed)
    assert np.linalg.norm(np.diff(moved, axis=0), axis=-1).max() < 0.012


def test_along_is_down_the_limb_and_up_the_trunk(people_m: np.ndarray) -> None:
    moved = to_convention(
        people_m, Convention({"hand": Shift(along=0.03), "hip": Shift(along=0.1)})
    )
    for person, before in zip(moved, people_m, strict=True):
        forearm = before[R_HAND] - before[R_ELBOW]
        grown = person[R_HAND] - before[R_ELBOW]
        assert np.linalg.norm(grown) == pytest.approx(np.linalg.norm(forearm) + 0.03, abs=1e-5)
        np.testing.assert_allclose(np.cross(grown, forearm), 0, atol=1e-5)
        assert person[R_HIP, 1] < before[R_HIP, 1] - 0.09  # y is down
        np.testing.assert_allclose(person[NECK], before[NECK], atol=1e-6)


def test_outward_parts_the_sides(people_m: np.ndarray) -> None:
    moved = to_convention(
        people_m, Convention({"shoulder": Shift(outward=0.04), "hip": Shift(outward=-0.02)})
    )
    for right, left, sign in ((R_SHOULDER, L_SHOULDER, 0.08), (R_HIP, L_HIP, -0.04)):
        before, after = (
            np.linalg.norm(p[:, right] - p[:, left], axis=1) for p in (people_m, moved)
        )
        np.testing.assert_allclose(after - before, sign, atol=2e-3)


@pytest.mark.parametrize("missing", [[], [L_SHOULDER], [R_SHOULDER, L_SHOULDER], [NECK, R_HAND]])
def test_left_and_right_are_treated_alike(people_m: np.ndarray, missing: list[int]) -> None:
    rng = np.random.default_rng(0)
    convention = Convention({kind: Shift(*rng.normal(0, 0.05, 3)) for kind in JOINT_KIND})
    people_m[:, missing] = np.nan
    partner = list(ITOP15.mirror)
    mirrored = to_convention(people_m[:, partner] * FLIP, convention)
    expected = to_convention(people_m, convention)[:, partner] * FLIP
    np.testing.assert_allclose(mirrored, expected, atol=1e-6)


def test_what_is_missing_stays_missing_and_spoils_nothing_else(people_m: np.ndarray) -> None:
    convention = Convention({kind: Shift(0.01, 0.02, 0.03) for kind in JOINT_KIND})
    people_m[0, [R_ELBOW, NECK]] = np.nan
    moved = to_convention(people_m, convention)
    np.testing.assert_array_equal(np.isnan(moved), np.isnan(people_m))
    assert np.isfinite(directions(people_m)).all()
    assert to_convention(np.zeros((0, 15, 3)), convention).shape == (0, 15, 3)


def test_a_convention_with_a_body_gives_everyone_its_measures(people_m: np.ndarray) -> None:
    itop = CONVENTIONS["itop"]
    assert itop.body is not None
    for size in (0.8, 1.2):
        labels = to_convention(people_m * size, itop)
        width = np.linalg.norm(labels[:, L_SHOULDER] - labels[:, R_SHOULDER], axis=-1)
        np.testing.assert_allclose(width, itop.body.shoulders, atol=1e-5)


def test_names_are_looked_up() -> None:
    assert convention_by_name("itop") is CONVENTIONS["itop"]
    with pytest.raises(UsageError, match="itop, panoptic"):
        convention_by_name("coco")


def test_shifts_are_small() -> None:
    for convention in CONVENTIONS.values():
        assert set(convention.shifts) <= set(JOINT_KIND)
        for shift in convention.shifts.values():
            assert max(abs(shift.along), abs(shift.outward), abs(shift.away)) < 0.3
