"""Closer looks: who is found better, who stays nobody, and who is found through somebody else."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from residualpose import DepthFrame, Origin, PoseEstimator, Poses, detector
from residualpose.detector import SURE_SCORE, Detector, Lifted
from residualpose.model import ModelFolder
from residualpose.pipeline.closer import Closer, closer_look
from residualpose.pipeline.normalise import NetworkInput, normalise
from residualpose.skeleton import R_HAND

if TYPE_CHECKING:
    from residualpose.synthetic.people import RenderedFrame

Seen = Callable[..., Iterator["RenderedFrame"]]
Maps = Callable[..., Any]
Detect = Callable[[Any, Any], Detector]


@pytest.fixture
def twice(perfect_model: Path, tmp_path: Path) -> Path:
    """The folder of a model that looks twice."""
    from residualpose.learning.export import write_card

    folder = tmp_path / "twice"
    shutil.copytree(perfect_model, folder)
    (folder / "closer.onnx").write_bytes(b"written by PerfectMaps instead")
    write_card(folder, "twice")
    return folder


@pytest.fixture
def detect(twice: Path, monkeypatch: pytest.MonkeyPatch) -> Detect:
    """Makes a detector of two networks, of which the second sees people where they are."""

    def make(first: Any, closer: Any) -> Detector:
        networks = {"maps.onnx": first, "closer.onnx": closer}
        monkeypatch.setattr(detector, "MapsModel", lambda path, *_: networks[path.name])
        monkeypatch.setattr(Closer, "shown", unmoved)
        return Detector(ModelFolder.open(twice))

    return make


def unmoved(look: Closer) -> tuple[NetworkInput, NetworkInput]:
    view = normalise(look.frame, look.focal_px)
    return view, view


def at_first_sight(detect: Detector, frame: RenderedFrame) -> tuple[DepthFrame, Lifted]:
    shown = DepthFrame(frame.depth_m, frame.camera)
    return shown, detect.at_first_sight(shown, *detect.see(shown))


def test_a_closer_look_finds_what_was_missed_far_away(
    perfect_model: Path, twice: Path, well_seen: Seen, perfect_maps: Maps,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    frame = next(f for f in well_seen(2.0) if f.joints_m[..., 2].min() > 2.6)
    missed = (R_HAND, R_HAND + 1, 13, 14)
    first, closer = perfect_maps(frame.joints_m, missed), perfect_maps(frame.joints_m)
    networks = {"maps.onnx": first, "closer.onnx": closer}
    monkeypatch.setattr(detector, "MapsModel", lambda path, *_: networks[path.name])

    def looked(*arguments: Any) -> Closer:
        look = closer_look(*arguments)
        closer.nearer_m = look.nearer_m
        return look

    monkeypatch.setattr(detector, "closer_look", looked)
    before = PoseEstimator(perfect_model)(frame.depth_m, frame.camera)
    after = PoseEstimator(twice)(frame.depth_m, frame.camera)
    assert len(before) == len(after) == 1 and closer.nearer_m > 0.5
    assert (before.origin[0, list(missed)] == Origin.PRIOR).all()
    assert (after.origin[0, list(missed)] == Origin.MEASURED).sum() >= 2
    assert errors_m(after, frame)[0, list(missed)].max() < errors_m(before, frame).max()
    assert np.median(errors_m(after, frame)) < 0.03
    truth_px = frame.camera.project(frame.joints_m)
    assert np.nanmedian(np.linalg.norm(after.joints_px - truth_px, axis=-1)) < 0.7


def test_whom_a_closer_look_does_not_find_again_is_nobody_unless_beyond_doubt(
    detect: Detect, well_seen: Seen, perfect_maps: Maps
) -> None:
    frame = next(well_seen(2.0))
    blind = detect(perfect_maps(frame.joints_m), perfect_maps(frame.joints_m + 9))
    shown, person = at_first_sight(blind, frame)
    assert len(person.joints_m) == 1
    doubted, sure = (
        replace(person, person_score=np.array([score]))
        for score in (SURE_SCORE - 0.01, SURE_SCORE + 0.01)
    )
    assert blind.look_closer(shown, doubted).joints_m.shape == (0, 15, 3)
    np.testing.assert_array_equal(blind.look_closer(shown, sure).joints_m, person.joints_m)


def test_everybody_keeps_what_the_closer_look_at_them_saw(
    detect: Detect, well_seen: Seen, perfect_maps: Maps
) -> None:
    frame = next(frame for frame in well_seen(people=2) if apart_m(frame) > 1.2)
    perfect = detect(perfect_maps(frame.joints_m), perfect_maps(frame.joints_m))
    shown, first = at_first_sight(perfect, frame)
    assert len(first.looks) == 2 and first.looks[0] is first.looks[1]
    people = perfect.look_closer(shown, first)
    assert len(people.looks) == 2 and people.looks[0] is not people.looks[1]
    for look, joints_m in zip(people.looks, people.joints_m, strict=True):
        # In a window of one's own, one's joints lie in the middle.
        (height, width), px = look.surface_m.shape, look.camera.project(joints_m).mean(0)
        assert abs(px[0] / width - 0.5) < 0.2 and abs(px[1] / height - 0.5) < 0.2
    one = people.of(np.array([False, True]))
    assert one.looks == (people.looks[1],)
    assert Lifted.joined([one, people]).looks == (people.looks[1], *people.looks)


def test_two_who_turn_out_to_be_one_are_one(
    detect: Detect, well_seen: Seen, perfect_maps: Maps
) -> None:
    frame = next(well_seen(2.0))
    perfect = detect(perfect_maps(frame.joints_m), perfect_maps(frame.joints_m))
    shown, person = at_first_sight(perfect, frame)
    both = person.of(np.array([0, 0]))
    both.joints_m[1] += np.float32(0.1)
    assert len(perfect.look_closer(shown, person).joints_m) == 1
    one = perfect.look_closer(shown, both)
    assert one.joints_m.shape == (1, 15, 3)
    np.testing.assert_allclose(one.joints_m[0], frame.joints_m[0], atol=0.15)


def test_who_stands_beside_somebody_is_found_through_a_closer_look_at_them(
    detect: Detect, well_seen: Seen, perfect_maps: Maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = next(frame for frame in well_seen(people=2) if apart_m(frame) < 1.2)
    one, both = perfect_maps(frame.joints_m[:1]), perfect_maps(frame.joints_m)
    shown, first = at_first_sight(detect(one, both), frame)
    assert matched(first, frame) == [0]
    assert sorted(matched(detect(one, both).look_closer(shown, first), frame)) == [0, 1]

    # Whom a closer look at themselves does not show is nobody here either.
    looks = [both, one]

    def see_both_once(view: NetworkInput) -> Any:
        return looks.pop(0)(view)

    monkeypatch.setattr(detector, "SURE_SCORE", 2.0)
    assert matched(detect(one, see_both_once).look_closer(shown, first), frame) == [0]
    assert not looks


def apart_m(frame: RenderedFrame) -> float:
    """How far the middles of two people are from each other."""
    one_m, other_m = frame.joints_m.mean(1)
    return float(np.linalg.norm(one_m - other_m))


def matched(found: Lifted, frame: RenderedFrame) -> list[int]:
    """Which of the true people is nearest to each of those found."""
    apart = np.linalg.norm(found.joints_m[:, None] - frame.joints_m, axis=-1)
    return np.nanmedian(apart, axis=-1).argmin(1).tolist()


def errors_m(poses: Poses, frame: RenderedFrame) -> np.ndarray:
    return np.linalg.norm(poses.joints_m - frame.joints_m, axis=-1)
