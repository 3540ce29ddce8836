"""The refiner's view of a person: rooted, in the ray's frame, finite, the same from anywhere."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from residualpose.errors import ResidualPoseError
from residualpose.pipeline import refine
from residualpose.pipeline.around import N_AROUND
from residualpose.pipeline.refine import (
    N_FEATURES,
    POSITION_SCALE_M,
    RESIDUAL_SCALE_M,
    RayFrames,
    Refiner,
    features,
    has_trunk,
)
from residualpose.poses import Origin
from residualpose.skeleton import L_HIP, L_SHOULDER, NECK, R_HIP, R_SHOULDER, TORSO

TRUNK = [NECK, TORSO, R_SHOULDER, L_SHOULDER, R_HIP, L_HIP]


def about_the_camera(yaw: float, pitch: float = 0.0) -> np.ndarray:
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    return turn @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])


def inputs(joints_m: np.ndarray) -> tuple[np.ndarray, ...]:
    """Joints (P, 15, 3) with scores, origins and covariances as the stages give them."""
    known = np.isfinite(joints_m).all(-1)
    score = np.where(known, 0.8, 0.0)
    origin = np.where(known, Origin.MEASURED, Origin.ABSENT)
    covariance = np.where(known[..., None, None], np.diag([1e-4, 2e-4, 9e-4]), np.nan)
    return joints_m, score, origin, covariance


class Session:
    """An ONNX session that moves every joint by a fixed residual in the ray's frame."""

    def __init__(
        self, residual: tuple[float, float, float], log_sd: float, *more_shapes: tuple[int, ...]
    ) -> None:
        self.residual, self.log_sd = residual, log_sd
        self.shapes = [(0, N_FEATURES), *more_shapes]
        self.told: dict[str, np.ndarray] = {}

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(shape=shape) for shape in self.shapes]

    def run(self, _: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.told = feed
        people = len(feed["features"])
        assert feed["features"].shape == (people, N_FEATURES)
        assert feed["features"].dtype == np.float32 and np.isfinite(feed["features"]).all()
        residual = np.tile(np.float32(self.residual), (people, 15, 1)) / RESIDUAL_SCALE_M
        return [residual, np.full((people, 15, 3), self.log_sd, np.float32)]


def refiner(
    monkeypatch: pytest.MonkeyPatch,
    residual: tuple[float, float, float] = (0, 0, 0.05),
    log_sd: float = 0.0,
) -> Refiner:
    monkeypatch.setattr(
        refine, "start_session", lambda path, threads=None: Session(residual, log_sd)
    )
    return Refiner(Path("fake.onnx"))


def test_axes_are_square_z_leaves_the_camera_and_y_stays_down(standing_m: np.ndarray) -> None:
    people = standing_m + np.array([[[0, 0, 0]], [[1.5, -0.8, 1]], [[-2, 1, 0.5]]])
    frames = RayFrames.of(people)
    R = frames.R_camera_ray
    np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.tile(np.eye(3), (3, 1, 1)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(R), 1)
    ray = frames.root_m / np.linalg.norm(frames.root_m, axis=1, keepdims=True)
    np.testing.assert_allclose(R[:, :, 2], ray, atol=1e-9)
    np.testing.assert_allclose(R[:, 1, 0], 0, atol=1e-9)
    assert (R[:, 1, 1] > 0.5).all()
    low, high = people[:, TRUNK].min(1), people[:, TRUNK].max(1)
    assert ((frames.root_m > low) & (frames.root_m < high)).all()


def test_inward_and_back_is_the_same(standing_m: np.ndarray) -> None:
    people = standing_m[None] + [1.0, 0.3, 0.4]
    frames = RayFrames.of(people)
    back = frames.turn_back(frames.inward(people)) + frames.root_m[:, None]
    np.testing.assert_allclose(back, people, atol=1e-9)


@pytest.mark.parametrize("yaw", [-0.6, 0.0, 0.5])
@pytest.mark.parametrize("pitch", [-0.4, 0.3])
def test_a_person_elsewhere_in_the_image_looks_the_same(
    standing_m: np.ndarray, yaw: float, pitch: float
) -> None:
    """Turned about the camera with the ray, down staying down: the same ray-frame positions."""
    # Start with the root straight ahead, where the ray's frame is the camera's.
    root = RayFrames.of(standing_m[None])
    ahead = root.inward(standing_m[None]) + np.array([0, 0, 3.0])
    moved = ahead @ about_the_camera(yaw, pitch).T
    np.testing.assert_allclose(
        RayFrames.of(moved).inward(moved), RayFrames.of(ahead).inward(ahead), atol=1e-6
    )
    down = np.array([0.1, 0.9, 0.3]) / np.linalg.norm([0.1, 0.9, 0.3])
    floors = np.append(down, 1.2), np.append(down @ about_the_camera(yaw, pitch).T, 1.2)
    one, other = (
        features(RayFrames.of(j), *inputs(j), floor=floor[None])
        for j, floor in zip((ahead, moved), floors, strict=True)
    )
    np.testing.assert_allclose(other[:, :45], one[:, :45], atol=1e-5)
    np.testing.assert_allclose(other[:, -7:], one[:, -7:], atol=1e-5)  # distance and floor


def test_one_wild_trunk_joint_hardly_moves_the_root(standing_m: np.ndarray) -> None:
    wild = standing_m.copy()
    wild[R_SHOULDER, 2] += 3.0
    shift = RayFrames.of(wild[None]).root_m - RayFrames.of(standing_m[None]).root_m
    assert np.linalg.norm(shift) < 0.1


def test_features_are_finite_whatever_is_missing(standing_m: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    people = np.tile(standing_m, (20, 1, 1))
    people[rng.random((20, 15)) < 0.6] = np.nan
    people[:, TORSO] = standing_m[TORSO]
    floor = np.array([0, 1, 0, 1.4]) * np.where(rng.random(20) < 0.5, 1, np.nan)[:, None]
    x = features(RayFrames.of(people), *inputs(people), floor=floor)
    assert x.shape == (20, N_FEATURES) and x.dtype == np.float32
    assert np.isfinite(x).all()
    missing = np.isnan(people).any(-1)
    positions = x[:, :45].reshape(20, 15, 3)
    assert not positions[missing].any()
    np.testing.assert_array_equal(x[:, 60:75] == 1, ~missing)  # known
    np.testing.assert_array_equal(x[:, 75:90] == 1, ~missing)  # measured
    seen = np.isfinite(floor[:, 0])
    np.testing.assert_allclose(np.linalg.norm(x[:, -6:-3], axis=1), seen, atol=1e-6)
    assert not x[~seen, -6:].any()


def test_the_floor_is_seen_from_the_root(standing_m: np.ndarray) -> None:
    people = standing_m[None] + [0.8, -0.2, 1.0]
    frames, floor = RayFrames.of(people), np.array([[0.0, 1.0, 0.0, 1.4]])
    x = features(frames, *inputs(people), floor=floor)[0]
    down, below_m = x[-6:-3], x[-3:] * POSITION_SCALE_M
    np.testing.assert_allclose(frames.turn_back(down[None, None])[0, 0], [0, 1, 0], atol=1e-6)
    plumb_m = frames.root_m[0] + frames.turn_back(below_m[None, None])[0, 0]
    np.testing.assert_allclose(plumb_m, [frames.root_m[0, 0], 1.4, frames.root_m[0, 2]], atol=1e-6)


def test_the_residual_is_taken_in_the_frame_of_the_ray(
    monkeypatch: pytest.MonkeyPatch, standing_m: np.ndarray
) -> None:
    people = standing_m[None] + [1.2, 0.4, 0.0]
    refined = refiner(monkeypatch, (0, 0, 0.05))(*inputs(people))
    root = RayFrames.of(people).root_m[0]
    moved = refined.joints_m[0] - people[0]
    np.testing.assert_allclose(
        moved, np.tile(0.05 * root / np.linalg.norm(root), (15, 1)), atol=1e-6
    )


def test_covariances_are_symmetric_and_positive(
    monkeypatch: pytest.MonkeyPatch, standing_m: np.ndarray
) -> None:
    people = standing_m[None] + [[[0.0, 0, 0]], [[1.5, 0.5, 2]]]
    for log_sd in (-9.0, 0.0, 9.0):  # limits hold whatever the network says
        covariance = refiner(monkeypatch, log_sd=log_sd)(*inputs(people)).covariance_m2
        assert covariance.shape == (2, 15, 3, 3)
        np.testing.assert_allclose(covariance, covariance.swapaxes(-1, -2), atol=1e-7)
        sd_m = np.sqrt(np.linalg.eigvalsh(covariance.astype(np.float64)))
        assert (sd_m > 0.0029).all() and (sd_m < 1.001).all()


def test_who_has_no_trunk_stays_as_found(
    monkeypatch: pytest.MonkeyPatch, standing_m: np.ndarray
) -> None:
    people = np.stack([standing_m, standing_m + np.array([0.5, 0, 0])])
    people[1, TRUNK] = np.nan
    people[0, 4] = np.nan
    assert has_trunk(people).tolist() == [True, False]
    joints, score, origin, covariance = inputs(people)
    refined = refiner(monkeypatch)(joints, score, origin, covariance)
    np.testing.assert_allclose(refined.joints_m[1], people[1], atol=1e-6)
    np.testing.assert_allclose(refined.covariance_m2[1], covariance[1], atol=1e-9)
    assert np.isnan(refined.joints_m[0, 4]).all() and np.isnan(refined.covariance_m2[0, 4]).all()
    assert np.isfinite(refined.joints_m[0, [0, 1, 2, 3]]).all()


def test_one_that_looks_around_is_shown_where_each_was_seen(
    monkeypatch: pytest.MonkeyPatch, standing_m: np.ndarray
) -> None:
    people = np.stack([standing_m, standing_m, standing_m + np.array([0.5, 0, 0])])
    people[1, TRUNK] = np.nan  # is not refined
    session = Session((0, 0, 0.05), 0.0, (0, 15, N_AROUND))
    monkeypatch.setattr(refine, "start_session", lambda path, threads=None: session)
    seen: list[tuple[list[Any], np.ndarray]] = []

    def around(looks: list[Any], joints_m: np.ndarray) -> np.ndarray:
        seen.append((looks, joints_m.copy()))
        return np.tile(np.array([1, 2], np.float32)[:, None, None], (15, N_AROUND))

    monkeypatch.setattr(refine, "around", around)
    looks: Any = ("first", "second", "third")
    refined = Refiner(Path("fake.onnx"))(*inputs(people), looks=looks)
    ((seen_in, joints_m),) = seen
    assert seen_in == ["first", "third"]
    np.testing.assert_array_equal(joints_m, people[[0, 2]].astype(np.float32))
    assert session.told["around"].shape == (2, 15, N_AROUND)
    assert session.told["around"][:, 0, 0].tolist() == [1, 2]
    np.testing.assert_allclose(refined.joints_m[1], people[1], atol=1e-6)


def test_one_of_other_sizes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session((0, 0, 0), 0.0, (0, 15, N_AROUND + 1))
    monkeypatch.setattr(refine, "start_session", lambda path, threads=None: session)
    with pytest.raises(ResidualPoseError, match=f"{N_AROUND} .* one of {N_AROUND + 1}"):
        Refiner(Path("fake.onnx"))


def test_nobody_stays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    refined = refiner(monkeypatch)(*inputs(np.zeros((0, 15, 3))))
    assert refined.joints_m.shape == (0, 15, 3) and refined.covariance_m2.shape == (0, 15, 3, 3)
