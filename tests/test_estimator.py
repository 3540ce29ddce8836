"""The whole chain: with maps as a perfect 2D network would write them, and with the bundled one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from residualpose import Camera, DepthFrame, Origin, PoseEstimator, Poses, UsageError, detector
from residualpose.conventions import CONVENTIONS, to_convention
from residualpose.model import WEIGHTS
from residualpose.skeleton import R_HAND

if TYPE_CHECKING:
    from residualpose.synthetic.people import RenderedFrame

Estimate = Callable[..., PoseEstimator]
Seen = Callable[..., Iterator["RenderedFrame"]]


@pytest.fixture
def perfect(
    perfect_model: Path, perfect_maps: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Estimate:
    """Makes an estimator whose 2D network knows the truth."""

    def make(
        people_m: np.ndarray, missed: tuple[int, ...] = (), convention: str | None = None
    ) -> PoseEstimator:
        maps = perfect_maps(people_m, missed)
        monkeypatch.setattr(detector, "MapsModel", lambda path, stride, threads=None: maps)
        return PoseEstimator(perfect_model, convention=convention)

    return make


@pytest.fixture(scope="module")
def frames(well_seen: Seen) -> list[RenderedFrame]:
    return list(islice(well_seen(), 4))


def errors_m(poses: Poses, frame: RenderedFrame) -> np.ndarray:
    return np.linalg.norm(poses.joints_m - frame.joints_m, axis=-1)


def test_the_stages_lose_nothing_that_the_network_saw(
    frames: list[RenderedFrame], perfect: Estimate
) -> None:
    for frame in frames:
        estimate = perfect(frame.joints_m)
        stages = estimate.explain(frame.depth_m, frame.camera)
        poses = stages.poses
        assert len(poses) == 1 and (poses.origin != Origin.ABSENT).all()
        assert np.median(errors_m(poses, frame)) < 0.03
        assert (errors_m(poses, frame) < 0.15).mean() > 0.9
        assert (poses.origin == Origin.MEASURED).sum() >= 10
        np.testing.assert_array_equal(stages.refined_m, poses.joints_m)
        truth_px = frame.camera.project(frame.joints_m)
        assert np.nanmedian(np.linalg.norm(poses.joints_px - truth_px, axis=-1)) < 0.5
        assert np.linalg.eigvalsh(poses.covariance_m2.astype(float)).min() > 0
        assert ((poses.joint_score >= 0) & (poses.joint_score <= 1)).all()


def test_a_call_is_the_end_of_explain(frames: list[RenderedFrame], perfect: Estimate) -> None:
    estimate = perfect(frames[0].joints_m)
    one = estimate(frames[0].depth_m, frames[0].camera)
    other = estimate.explain(DepthFrame(frames[0].depth_m, frames[0].camera)).poses
    np.testing.assert_array_equal(one.joints_m, other.joints_m)
    np.testing.assert_array_equal(one.origin, other.origin)


def test_a_missed_hand_is_guessed_and_marked(
    frames: list[RenderedFrame], perfect: Estimate
) -> None:
    for frame in frames:
        stages = perfect(frame.joints_m, (R_HAND,)).explain(frame.depth_m, frame.camera)
        poses = stages.poses
        assert poses.origin[0, R_HAND] == Origin.PRIOR and poses.joint_score[0, R_HAND] == 0
        assert np.isnan(stages.joints_px[0, R_HAND]).all()
        assert np.isnan(stages.lifted_m[0, R_HAND]).all()
        assert errors_m(poses, frame)[0, R_HAND] < 0.7
        expected_px = frame.camera.project(poses.joints_m[0, R_HAND])
        np.testing.assert_allclose(poses.joints_px[0, R_HAND], expected_px, rtol=1e-4)


def test_finer_images_give_the_same_people(well_seen: Seen, perfect: Estimate) -> None:
    for frame in islice(well_seen(2.5), 2):
        poses = perfect(frame.joints_m)(frame.depth_m, frame.camera)
        assert len(poses) == 1 and np.median(errors_m(poses, frame)) < 0.03
        truth_px = frame.camera.project(frame.joints_m)
        assert np.nanmedian(np.linalg.norm(poses.joints_px - truth_px, axis=-1)) < 1.25


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_convention_moves_every_stage(
    frames: list[RenderedFrame], perfect: Estimate, name: str
) -> None:
    frame = frames[0]
    plain = perfect(frame.joints_m, (R_HAND,)).explain(frame.depth_m, frame.camera)
    moved = perfect(frame.joints_m, (R_HAND,), name).explain(frame.depth_m, frame.camera)
    for field in ("lifted_m", "completed_m", "refined_m"):
        expected = to_convention(getattr(plain, field), CONVENTIONS[name])
        np.testing.assert_allclose(getattr(moved, field), expected, atol=1e-6)
    # Pixels follow: where a joint was found at its projection, it is at the new one.
    shift_px = moved.joints_px - plain.joints_px
    expected_px = frame.camera.project(moved.refined_m) - frame.camera.project(plain.refined_m)
    found = np.isfinite(shift_px)
    np.testing.assert_allclose(shift_px[found], expected_px[found], atol=0.01)
    np.testing.assert_array_equal(moved.poses.origin, plain.poses.origin)


def assert_nobody(poses: Poses) -> None:
    assert len(poses) == 0
    assert poses.joints_px.shape == (0, 15, 2) and poses.joints_m.shape == (0, 15, 3)
    assert poses.joint_score.shape == poses.origin.shape == (0, 15)
    assert poses.covariance_m2.shape == (0, 15, 3, 3) and poses.person_score.shape == (0,)


def test_maps_without_depth_are_not_believed(
    frames: list[RenderedFrame], perfect: Estimate
) -> None:
    estimate = perfect(frames[0].joints_m)
    for depth in (np.zeros((128, 160)), np.full((128, 160), np.nan)):
        assert_nobody(estimate(depth, frames[0].camera))


def test_requests_that_cannot_be_met(frames: list[RenderedFrame], perfect: Estimate) -> None:
    estimate = perfect(frames[0].joints_m)
    with pytest.raises(UsageError, match="needs the camera"):
        estimate(np.ones((128, 160)))
    frame = DepthFrame(np.ones((128, 160)), frames[0].camera)
    with pytest.raises(UsageError, match="its own camera"):
        estimate(frame, frames[0].camera)
    with pytest.raises(UsageError, match="unknown convention"):
        perfect(frames[0].joints_m, (), "coco")


@pytest.mark.skipif(
    not (WEIGHTS / "base" / "card.json").is_file(), reason="no model is bundled yet"
)
class TestBundledModel:
    @pytest.fixture(scope="class", params=["base", "large"])
    def estimate(self, request: pytest.FixtureRequest) -> PoseEstimator:
        return PoseEstimator(request.param)

    @pytest.mark.parametrize("fill", [0.0, np.nan, np.inf, -1.0, 3.0])
    @pytest.mark.parametrize("size", [(60, 80), (240, 320)])
    def test_nothing_to_see_is_nobody(
        self, estimate: PoseEstimator, fill: float, size: tuple[int, int]
    ) -> None:
        camera = Camera(size[1] * 0.9, size[1] * 0.9, size[1] / 2, size[0] / 2)
        assert_nobody(estimate(np.full(size, fill), camera))

    def test_the_same_frame_gives_the_same_people(
        self, estimate: PoseEstimator, frames: list[RenderedFrame]
    ) -> None:
        one, two = (estimate(frames[0].depth_m, frames[0].camera) for _ in range(2))
        np.testing.assert_array_equal(one.joints_m, two.joints_m)
        np.testing.assert_array_equal(one.covariance_m2, two.covariance_m2)

    def test_streams_give_what_calls_give(
        self, estimate: PoseEstimator, frames: list[RenderedFrame]
    ) -> None:
        shown = [DepthFrame(frame.depth_m, frame.camera) for frame in frames]
        for one, streamed in zip(shown, estimate.stream(shown, workers=2), strict=True):
            np.testing.assert_array_equal(estimate(one).joints_m, streamed.joints_m)

    def test_a_window_at_the_border_or_as_narrow_as_a_frame_may_be_is_looked_at(
        self, estimate: PoseEstimator, frames: list[RenderedFrame]
    ) -> None:
        frame = frames[0]
        middle = int(np.nanmean(frame.camera.project(frame.joints_m[0])[:, 0]))
        for columns in (slice(0, middle), slice(middle, None)):
            cut = frame.depth_m[:, columns]
            camera = replace(frame.camera, cx=frame.camera.cx - (columns.start or 0))
            poses = estimate(np.ascontiguousarray(cut), camera)
            assert poses.joints_m.shape[1:] == (15, 3) and len(poses) <= 2
