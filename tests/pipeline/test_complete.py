"""Completion: every seen limb counts, both ends hold a joint, nothing comes from nothing."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from residualpose.errors import ResidualPoseError
from residualpose.pipeline.body_evidence import typical_bodies_m
from residualpose.pipeline.complete import LimbPrior, complete_people, implausible_joints
from residualpose.pipeline.limb_paths import limb_paths
from residualpose.pipeline.limb_prior import _CACHED_PATTERNS, limb_features
from residualpose.poses import Origin
from residualpose.skeleton import (
    HEAD,
    ITOP15,
    L_ELBOW,
    L_FOOT,
    L_HAND,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    NECK,
    R_ELBOW,
    R_FOOT,
    R_HAND,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    TORSO,
)  # fmt: skip

SHARED = Path(__file__).resolve().parents[3] / "shared"
STANDING = np.array([
    (0, -0.50, 0), (0, -0.26, 0), (-0.18, -0.25, 0), (0.18, -0.25, 0), (-0.24, 0.03, 0.02),
    (0.24, 0.03, 0.02), (-0.25, 0.27, -0.10), (0.25, 0.27, -0.10), (0, 0, 0), (-0.10, 0.25, 0),
    (0.10, 0.25, 0), (-0.11, 0.72, -0.02), (0.11, 0.72, -0.02), (-0.11, 1.18, 0.05),
    (0.11, 1.18, 0.05),
])  # fmt: skip
CAMERA_M = np.array([0, 0, 3.0])
"""A person 3 m from the camera is STANDING + CAMERA_M: camera frame, facing the camera."""

PATTERNS = {
    "head": [HEAD], "right hand": [R_HAND], "left hand": [L_HAND],
    "right elbow, hand": [R_ELBOW, R_HAND], "left elbow, hand": [L_ELBOW, L_HAND],
    "right arm": [R_SHOULDER, R_ELBOW, R_HAND], "hands": [R_HAND, L_HAND],
    "right foot": [R_FOOT], "left foot": [L_FOOT], "right knee, foot": [R_KNEE, R_FOOT],
    "left leg": [L_HIP, L_KNEE, L_FOOT], "feet": [R_FOOT, L_FOOT],
    "below the hips": [R_KNEE, L_KNEE, R_FOOT, L_FOOT],
    "legs": [R_HIP, L_HIP, R_KNEE, L_KNEE, R_FOOT, L_FOOT],
}  # fmt: skip


def people(count: int, seed: int = 0, spread: float = 0.25) -> np.ndarray:
    """Limb lengths of STANDING, directions jittered: (count, 15, 3), 3 m away."""
    rng = np.random.default_rng(seed)
    limbs = limb_features(STANDING)
    bend = rng.normal(0, spread, (count, 14, 3)) * np.where(np.arange(14) % 14 < 3, 0.2, 1)[:, None]
    direction = limbs[:, :3] + bend
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    size = rng.normal(1, 0.05, (count, 1, 1))
    paths = limb_paths(np.arange(15) == TORSO).path
    return paths @ (direction * limbs[:, 3:] * size) + [0, 0, 3.0]


def gaussian(poses: np.ndarray, body_frame: bool = False) -> LimbPrior:
    """A one-Gaussian prior from poses, in their own axes."""
    features = limb_features(poses).reshape(len(poses), 56)
    return LimbPrior(np.ones(1), features.mean(0)[None], np.cov(features.T)[None], body_frame)


@pytest.fixture(scope="module")
def prior() -> LimbPrior:
    return gaussian(people(600))


def without(pose: np.ndarray, *joints: int) -> np.ndarray:
    hidden = pose.copy()
    hidden[list(joints)] = np.nan
    return hidden


def test_a_whole_pose_is_returned_as_it_came(prior: LimbPrior) -> None:
    pose = people(1, 1)[0]
    joints, covariance = prior.complete(pose)
    np.testing.assert_array_equal(joints, pose)
    assert (covariance == 0).all()


@pytest.mark.parametrize("joints", [*PATTERNS.values(), [NECK], [TORSO], [NECK, TORSO]], ids=str)
def test_seen_joints_stay_and_missing_ones_appear(prior: LimbPrior, joints: list[int]) -> None:
    pose = people(1, 2)[0]
    completed, covariance = prior.complete(without(pose, *joints))
    rest = np.setdiff1d(np.arange(15), joints)
    np.testing.assert_array_equal(completed[rest], pose[rest])
    assert (covariance[rest] == 0).all()
    assert np.isfinite(completed).all()
    eigenvalues = np.linalg.eigvalsh(covariance[joints])
    assert (eigenvalues > 0).all() and (eigenvalues < 1).all()


def test_the_mean_pose_is_completed_to_itself(prior: LimbPrior) -> None:
    pose = limb_paths(np.arange(15) == TORSO).path @ (
        prior.mean[0].reshape(14, 4)[:, :3] * prior.mean[0].reshape(14, 4)[:, 3:]
    )
    completed, _ = prior.complete(without(pose, HEAD, R_SHOULDER, R_ELBOW, R_HAND))
    assert np.linalg.norm(completed - pose, axis=-1).max() < 0.06


def test_head_and_shoulders_hang_from_the_neck(prior: LimbPrior) -> None:
    # A neck far from where the trunk would have it must carry head and shoulders with it.
    pose = people(1, 3)[0]
    for joint, limb in ((HEAD, 0), (L_SHOULDER, 5), (R_SHOULDER, 11)):
        completed, _ = prior.complete(without(pose, joint))
        length = np.linalg.norm(completed[joint] - completed[NECK])
        assert abs(length - limb_features(pose)[limb, 3]) < 0.05


def test_lengths_survive_because_directions_are_units(prior: LimbPrior) -> None:
    # Two opposite hypotheses average to a direction of length zero; the arm must not shrink.
    pose = people(1, 4)[0]
    completed, _ = prior.complete(without(pose, R_ELBOW, R_HAND))
    lengths = limb_features(completed)[[12, 13], 3]
    np.testing.assert_allclose(lengths, limb_features(pose)[[12, 13], 3], rtol=0.12)


def test_an_elbow_between_shoulder_and_hand_is_held_by_both(prior: LimbPrior) -> None:
    for pose in people(20, 5, spread=0.4):
        held, covariance = prior.complete(without(pose, L_ELBOW))
        _, loose_covariance = prior.complete(without(pose, L_ELBOW, L_HAND))
        reach = limb_features(held)[[6, 7], 3]
        np.testing.assert_allclose(reach, limb_features(pose)[[6, 7], 3], atol=0.04)
        assert np.trace(covariance[L_ELBOW]) < np.trace(loose_covariance[L_ELBOW])
    error = [
        np.linalg.norm(prior.complete(without(pose, L_ELBOW, *more))[0][L_ELBOW] - pose[L_ELBOW])
        for more in ((), (L_HAND,))
        for pose in people(60, 6, spread=0.4)
    ]
    assert np.mean(error[:60]) < 0.7 * np.mean(error[60:])


@pytest.mark.parametrize("joints", [(NECK,), (TORSO,), (NECK, TORSO)], ids=str)
def test_a_missing_trunk_joint_is_found_through_its_neighbours(
    prior: LimbPrior, joints: tuple[int, ...]
) -> None:
    for pose in people(10, 7):
        completed, _ = prior.complete(without(pose, *joints))
        assert np.linalg.norm(completed - pose, axis=-1).max() < 0.06


def test_every_seen_limb_counts(prior: LimbPrior) -> None:
    # Body size shows in the legs; the missing arm must grow with them though no limb of the arm
    # or next to it changed.
    poses = people(800, 8)
    limbs = limb_features(poses)
    tall = LimbPrior(
        np.ones(1), limbs.reshape(-1, 56).mean(0)[None], np.cov(limbs.reshape(-1, 56).T)[None]
    )
    pose = people(1, 9)[0]
    longer = pose.copy()
    for knee, foot, hip in ((R_KNEE, R_FOOT, R_HIP), (L_KNEE, L_FOOT, L_HIP)):
        step = 0.1 * (pose[knee] - pose[hip])
        longer[[knee, foot]] += step
        longer[foot] += 0.1 * (pose[foot] - pose[knee])
    arm = [
        limb_features(tall.complete(without(p, R_ELBOW, R_HAND))[0])[12, 3] for p in (pose, longer)
    ]
    assert arm[1] > arm[0] + 0.002


def test_covariance_is_calibrated(prior: LimbPrior) -> None:
    square = []
    for pose in people(150, 10):
        completed, covariance = prior.complete(without(pose, R_HAND, L_KNEE, L_FOOT))
        for joint in (R_HAND, L_KNEE, L_FOOT):
            error = completed[joint] - pose[joint]
            square.append(error @ np.linalg.solve(covariance[joint] + 1e-4 * np.eye(3), error) / 3)
    assert 0.5 < np.mean(square) < 1.6


@pytest.mark.parametrize("seen", [[], [NECK], [R_HAND]], ids=str)
def test_from_almost_nothing_nothing_is_made(prior: LimbPrior, seen: list[int]) -> None:
    pose = np.full((15, 3), np.nan)
    pose[seen] = STANDING[seen]
    completed, covariance = prior.complete(pose)
    rest = np.setdiff1d(np.arange(15), seen)
    assert np.isnan(completed[rest]).all() and np.isnan(covariance[rest]).all()
    np.testing.assert_array_equal(completed[seen], STANDING[seen])


def test_infinite_and_half_known_joints_count_as_missing(prior: LimbPrior) -> None:
    pose = people(1, 11)[0]
    expected, _ = prior.complete(without(pose, R_HAND, HEAD))
    pose[R_HAND], pose[HEAD, 2] = np.inf, np.nan
    np.testing.assert_allclose(prior.complete(pose)[0], expected)


def test_two_joints_at_one_point_do_not_break_it(prior: LimbPrior) -> None:
    pose = without(people(1, 12)[0], R_HAND)
    pose[R_ELBOW] = pose[R_SHOULDER]
    assert np.isfinite(prior.complete(pose)[0]).all()


def test_several_people_at_once_are_completed_as_one_by_one(prior: LimbPrior) -> None:
    poses = people(3)
    poses[0] = without(poses[0], R_HAND, L_FOOT)
    poses[2] = without(poses[2], *range(1, 15))  # a lone joint: left as it is
    joints, covariance = prior.complete(poses)
    for person, pose in enumerate(poses):
        alone, alone_covariance = prior.complete(pose)
        np.testing.assert_array_equal(joints[person], alone)
        np.testing.assert_array_equal(covariance[person], alone_covariance)
    assert np.isfinite(joints[:2]).all() and np.isnan(joints[2]).any()


def test_wrong_shape_is_named(prior: LimbPrior) -> None:
    with pytest.raises(ResidualPoseError, match=r"15, 3\)"):
        prior.complete(np.zeros((14, 3)))


def test_singular_statistics_are_usable() -> None:
    # One pose repeated: a covariance of rank zero.
    prior = gaussian(np.repeat(people(1), 5, axis=0))
    completed, _ = prior.complete(without(people(1)[0], R_HAND, L_FOOT))
    np.testing.assert_allclose(completed, people(1)[0], atol=1e-6)


def test_npz_round_trip(prior: LimbPrior, tmp_path: Path) -> None:
    pose = without(people(1, 13)[0], R_ELBOW, R_HAND)
    stored = LimbPrior.load_npz(prior.save(tmp_path / "prior.npz"))
    np.testing.assert_allclose(stored.complete(pose)[0], prior.complete(pose)[0], atol=1e-4)


def _text(path: Path) -> None:
    path.write_text("not an array")


def _pickled(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([{}], dtype=object), allow_pickle=True)


def _short(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(55))


def _nan(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.full(56, np.nan))


def _empty(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize("write", [_text, _pickled, _short, _nan, _empty])
def test_bad_files_are_named(tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / "mean_pose_limb.npy"
    write(path)
    np.save(tmp_path / "var.npy", np.eye(56))
    with pytest.raises(ResidualPoseError, match="mean_pose_limb"):
        LimbPrior.load(path, tmp_path / "var.npy")
    with pytest.raises(ResidualPoseError, match="mean_pose_limb"):
        LimbPrior.load_npz(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResidualPoseError, match="nowhere"):
        LimbPrior.load(tmp_path / "nowhere.npy", tmp_path / "nowhere.npy")


def stacked(*poses: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    joints = np.stack(poses)
    seen = np.asarray(np.isfinite(joints).all(-1))
    origin = np.where(seen, Origin.MEASURED, Origin.ABSENT).astype(np.uint8)
    covariance = np.where(seen[..., None, None], 4e-4 * np.eye(3), np.nan)
    return joints, origin, covariance


def test_people_are_completed_each_on_their_own(prior: LimbPrior) -> None:
    whole, armless = people(2, 14)
    unknown = np.full((15, 3), np.nan)
    unknown[[R_HAND, R_ELBOW]] = whole[[R_HAND, R_ELBOW]]
    done = complete_people(prior, *stacked(whole, without(armless, R_ELBOW, R_HAND), unknown))
    assert (done.origin[0] == Origin.MEASURED).all()
    np.testing.assert_allclose(done.joints_m[0], whole, atol=1e-6)
    assert set(np.flatnonzero(done.origin[1] == Origin.PRIOR)) == {R_ELBOW, R_HAND}
    assert np.isfinite(done.joints_m[1]).all() and np.isfinite(done.covariance_m2[1]).all()
    assert (done.origin[2] == Origin.PRIOR).sum() == 0
    assert np.isnan(done.joints_m[2]).any(-1).sum() == 13


def test_nobody_keeps_its_shape(prior: LimbPrior) -> None:
    done = complete_people(prior, np.zeros((0, 15, 3)), np.zeros((0, 15)), np.zeros((0, 15, 3, 3)))
    assert done.joints_m.shape == (0, 15, 3) and done.origin.shape == (0, 15)
    assert done.covariance_m2.shape == (0, 15, 3, 3)


@pytest.mark.parametrize("joint", [R_HAND, L_FOOT, L_ELBOW, R_KNEE, HEAD], ids=str)
def test_a_joint_on_the_background_comes_back_along_its_ray(prior: LimbPrior, joint: int) -> None:
    truth = people(1, 15)[0]
    pose = truth.copy()
    pose[joint] *= 4.5 / 3.0
    done = complete_people(prior, *stacked(pose))
    assert np.flatnonzero(done.origin[0] != Origin.MEASURED).tolist() == [joint]
    assert done.origin[0, joint] == Origin.NEIGHBOUR
    assert np.linalg.norm(done.joints_m[0, joint] - truth[joint]) < 0.25
    ray = truth[joint] / np.linalg.norm(truth[joint])
    offset = done.joints_m[0, joint] - truth[joint]
    assert np.linalg.norm(offset - ray * (ray @ offset)) < 0.04


def test_a_joint_of_a_wrong_pixel_is_replaced(prior: LimbPrior) -> None:
    truth = people(1, 16)[0]
    pose = truth.copy()
    pose[R_HAND] += [-2.5, 0, 0]
    done = complete_people(prior, *stacked(pose))
    assert done.origin[0, R_HAND] == Origin.PRIOR
    assert np.linalg.norm(done.joints_m[0, R_HAND] - truth[R_HAND]) < 0.4


def test_plausible_people_are_left_alone(prior: LimbPrior) -> None:
    covariance = np.broadcast_to(4e-4 * np.eye(3), (15, 3, 3))
    assert not any(implausible_joints(prior, pose, covariance).any() for pose in people(50, 17))


def test_paths_of_a_missing_neck_close_three_loops() -> None:
    paths = limb_paths(np.arange(15) != NECK)
    assert len(paths.loop) == 3
    assert (paths.root[np.arange(15) != NECK] == np.delete(np.arange(15), NECK)).all()
    ends = STANDING[paths.loop_ends]
    vectors = np.diff(STANDING[ITOP15.limb_array], axis=1)[:, 0]
    np.testing.assert_allclose(paths.loop @ vectors, ends[:, 1] - ends[:, 0], atol=1e-12)


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared (released prior, ITOP poses)")
def test_released_prior_on_itop_poses() -> None:
    prior = LimbPrior.load(
        SHARED / "reference/itop/mean_pose_limb.npy", SHARED / "reference/itop/var_pose_limb.npy"
    )
    with np.load(SHARED / "real/itop_poses_dev.npz", allow_pickle=False) as stored:
        poses = stored["poses_yup_m"][::20].astype(np.float64)
    error = [
        np.mean([
            np.linalg.norm(prior.complete(without(p, *joints))[0][joints] - p[joints], axis=-1)
            for p in poses
        ])
        for joints in PATTERNS.values()
    ]  # fmt: skip
    assert np.mean(error) <= 0.130


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared (released prior)")
def test_released_panoptic_prior_is_usable() -> None:
    folder = SHARED / "reference/panoptic"
    prior = LimbPrior.load(folder / "mean_pose_limb.npy", folder / "var_pose_limb.npy")
    completed, covariance = prior.complete(without(STANDING + CAMERA_M, R_HAND, HEAD))
    assert np.linalg.norm(completed[R_HAND] - completed[R_ELBOW]) < 0.4
    assert np.linalg.norm(completed[HEAD] - completed[NECK]) < 0.3
    assert (np.linalg.eigvalsh(covariance[[R_HAND, HEAD]]) > 0).all()


def test_threads_may_share_a_prior_that_forgets_patterns(prior: LimbPrior) -> None:
    bodies = typical_bodies_m() + [0.0, 0.0, 3.0]
    failures: list[BaseException] = []

    def complete(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            for body in bodies:
                joints = body.copy()
                joints[rng.choice(15, 4, replace=False)] = np.nan
                prior.complete(joints)
        except BaseException as error:  # what a thread raises is lost otherwise
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=complete, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not failures
    assert abs(len(prior._cache) - _CACHED_PATTERNS) <= len(threads)
