"""The whole chain: with maps as a perfect 2D network would write them, and with the bundled one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from residualpose import Camera, DepthFrame, Origin, PoseEstimator, Poses, UsageError, estimator
from residualpose.conventions import CONVENTIONS, to_convention
from residualpose.estimator import Detector
from residualpose.model import WEIGHTS, ModelFolder
from residualpose.pipeline.closer import Closer, closer_look
from residualpose.pipeline.maps import Maps
from residualpose.pipeline.normalise import NetworkInput, normalise
from residualpose.skeleton import R_HAND

if TYPE_CHECKING:
    from residualpose.synthetic.people import RenderedFrame
    from residualpose.synthetic.shards import Cast

Estimate = Callable[..., PoseEstimator]


class PerfectMaps:
    """Writes the training targets of the known people, less some joints."""

    nearer_m = 0.0
    """How much nearer the surfaces of the next view are than they seem."""

    def __init__(self, people_m: np.ndarray, missed: tuple[int, ...] = ()) -> None:
        self.people_m, self.missed = people_m, list(missed)

    def __call__(self, view: NetworkInput) -> Maps:
        import torch

        from residualpose.learning.targets import make_targets

        camera = view.camera
        z = self.people_m[..., 2:]
        moved_m = self.people_m * (z - self.nearer_m) / z  # along the rays
        targets = make_targets(
            torch.tensor(moved_m[None], dtype=torch.float32),
            torch.ones(1, *self.people_m.shape[:2], dtype=torch.bool),
            torch.tensor([[camera.fx, camera.fy, camera.cx, camera.cy]]),
            torch.from_numpy(view.depth_m)[None],
            2,
        )
        parts, fields, offsets = (
            t[0].numpy() for t in (targets.parts, targets.fields, targets.offsets_m)
        )
        parts[self.missed] = 0
        return Maps(parts, fields, offsets, 2)


@pytest.fixture(scope="module")
def model(tiny_cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a fitted prior and a refiner that changes nothing; no 2D network."""
    pytest.importorskip("torch", reason="needs the train extra")
    pytest.importorskip("onnx", reason="needs the train extra")
    from residualpose.learning.export import export_refiner, write_card
    from residualpose.learning.fit_prior import PriorFit, fit_prior
    from residualpose.learning.refiner_network import RefinerNetwork
    from residualpose.synthetic.bodies import part_transforms, posed_joints

    folder = tmp_path_factory.mktemp("model")
    bank, rng = tiny_cast.bank, np.random.default_rng(0)
    world_m = np.stack([
        posed_joints(bank, k % 3, *part_transforms(bank, k % 3, tiny_cast.poses.sample(rng)))
        for k in range(120)
    ])  # fmt: skip
    camera_m = np.stack([world_m[..., 0], -world_m[..., 2], world_m[..., 1] + 3], -1)
    fit_prior(camera_m, settings=PriorFit(components=1, iterations=3)).save(folder / "prior.npz")
    export_refiner(RefinerNetwork(width=16, blocks=1), folder / "refiner.onnx")
    (folder / "maps.onnx").write_bytes(b"written by PerfectMaps instead")
    write_card(folder, "perfect")
    return folder


@pytest.fixture
def twice(model: Path, tmp_path: Path) -> Path:
    """The same folder as of a model that looks twice."""
    from residualpose.learning.export import write_card

    folder = tmp_path / "twice"
    shutil.copytree(model, folder)
    (folder / "closer.onnx").write_bytes(b"written by PerfectMaps instead")
    write_card(folder, "twice")
    return folder


@pytest.fixture
def perfect(model: Path, monkeypatch: pytest.MonkeyPatch) -> Estimate:
    """Makes an estimator whose 2D network knows the truth."""

    def make(
        people_m: np.ndarray, missed: tuple[int, ...] = (), convention: str | None = None
    ) -> PoseEstimator:
        maps = PerfectMaps(people_m, missed)
        monkeypatch.setattr(estimator, "MapsModel", lambda path, stride, threads=None: maps)
        return PoseEstimator(model, convention=convention)

    return make


@pytest.fixture(scope="module")
def frames(tiny_cast: Cast) -> list[RenderedFrame]:
    return well_seen(tiny_cast, 4)


def well_seen(cast: Cast, count: int, scale: float = 1.0) -> list[RenderedFrame]:
    """Frames of one person of whom nearly every joint is visible."""
    from residualpose.synthetic.people import SceneConfig, render_frame

    scene = SceneConfig(
        round(160 * scale), round(128 * scale), 144 * scale, 14 * scale, people=(0, 1, 0, 0, 0)
    )
    found, seed = [], 0
    while len(found) < count:
        frame = render_frame(cast.bank, cast.poses, scene, np.random.default_rng(seed))
        seed += 1
        if frame.visible.sum() >= 14 and frame.joints_m[..., 2].max() < 4.5:
            found.append(frame)
    return found


def test_a_closer_look_finds_what_was_missed_far_away(
    model: Path, twice: Path, tiny_cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = next(f for f in well_seen(tiny_cast, 8, 2.0) if f.joints_m[..., 2].min() > 2.6)
    missed = (R_HAND, R_HAND + 1, 13, 14)
    first, closer = PerfectMaps(frame.joints_m, missed), PerfectMaps(frame.joints_m)
    networks = {"maps.onnx": first, "closer.onnx": closer}
    monkeypatch.setattr(estimator, "MapsModel", lambda path, *_: networks[path.name])

    def looked(*arguments: Any) -> Closer:
        look = closer_look(*arguments)
        closer.nearer_m = look.nearer_m
        return look

    monkeypatch.setattr(estimator, "closer_look", looked)
    # What knows the truth by heart does not look, and would not see a mirror image.
    monkeypatch.setattr(estimator, "seen_twice", lambda network, view: network(view))
    before = PoseEstimator(model)(frame.depth_m, frame.camera)
    after = PoseEstimator(twice)(frame.depth_m, frame.camera)
    assert len(before) == len(after) == 1 and closer.nearer_m > 0.5
    assert (before.origin[0, list(missed)] == Origin.PRIOR).all()
    assert (after.origin[0, list(missed)] == Origin.MEASURED).sum() >= 2
    assert errors_m(after, frame)[0, list(missed)].max() < errors_m(before, frame).max()
    assert np.median(errors_m(after, frame)) < 0.03
    truth_px = frame.camera.project(frame.joints_m)
    assert np.nanmedian(np.linalg.norm(after.joints_px - truth_px, axis=-1)) < 0.7


def test_whom_a_closer_look_does_not_find_again_is_nobody(
    model: Path, twice: Path, tiny_cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = next(f for f in well_seen(tiny_cast, 8, 2.0) if f.joints_m[..., 2].min() > 2.6)
    networks = {
        "maps.onnx": PerfectMaps(frame.joints_m), "closer.onnx": PerfectMaps(frame.joints_m + 9)
    }  # fmt: skip
    monkeypatch.setattr(estimator, "MapsModel", lambda path, *_: networks[path.name])
    assert len(PoseEstimator(model)(frame.depth_m, frame.camera)) == 1
    stages = PoseEstimator(twice).explain(frame.depth_m, frame.camera)
    assert len(stages.poses) == 0 and stages.lifted_m.shape == (0, 15, 3)


def test_two_who_turn_out_to_be_one_are_one(
    twice: Path, tiny_cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = well_seen(tiny_cast, 1, 2.0)[0]
    shown = DepthFrame(frame.depth_m, frame.camera)
    maps = PerfectMaps(frame.joints_m)
    monkeypatch.setattr(estimator, "MapsModel", lambda *_: maps)
    monkeypatch.setattr(estimator, "seen_twice", lambda network, view: network(view))
    monkeypatch.setattr(Closer, "shown", lambda look: (normalise(look.frame, look.focal_px),) * 2)
    detector = Detector(ModelFolder.open(twice))
    person = detector.at_first_sight(shown, *detector.see(shown))
    both = person.of(np.array([0, 0]))
    both.joints_m[1] += np.float32(0.1)
    assert len(detector.look_closer(shown, person).joints_m) == 1
    one = detector.look_closer(shown, both)
    assert one.joints_m.shape == (1, 15, 3)
    np.testing.assert_allclose(one.joints_m[0], frame.joints_m[0], atol=0.15)


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


def test_finer_images_give_the_same_people(tiny_cast: Cast, perfect: Estimate) -> None:
    for frame in well_seen(tiny_cast, 2, scale=2.5):
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
