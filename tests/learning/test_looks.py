"""Looks: smoothed frames mostly show fronts, and nothing else is chosen by what is seen."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from residualpose.learning.augment import Scene, mirror  # noqa: E402
from residualpose.learning.looks import sample_looks, seen_from_behind  # noqa: E402
from residualpose.skeleton import ITOP15  # noqa: E402
from residualpose.synthetic.sensors import Sensor, sample_sensors  # noqa: E402

FRAMES = 20_000


def trunks(facing: list[bool]) -> Scene:
    """A frame a person, 3 m away, facing the camera or not; a second place stays empty."""
    joints = torch.full((len(facing), 2, 15, 3), torch.nan)
    side = torch.where(torch.tensor(facing), 1.0, -1.0)
    zero = torch.zeros_like(side)
    places = {
        "neck": (zero, zero - 0.5, zero + 3), "torso": (zero, zero, zero + 3),
        "right_shoulder": (-0.2 * side, zero - 0.5, zero + 3),
        "left_shoulder": (0.2 * side, zero - 0.5, zero + 3),
    }  # fmt: skip
    for name, place in places.items():
        joints[:, 0, ITOP15.joints.index(name)] = torch.stack(place, -1)
    visible = torch.zeros(len(facing), 2, 15, dtype=torch.bool)
    visible[:, 0] = True
    depth = torch.zeros(len(facing), 4, 4)
    return Scene(depth, depth.byte(), joints, visible, torch.ones(len(facing), 4))


def test_fronts_and_backs_are_told_apart() -> None:
    scene = trunks([True, False])
    assert seen_from_behind(scene).tolist() == [False, True]
    # A mirror image of a person shows the same side.
    assert seen_from_behind(mirror(scene, torch.tensor([True, True]))).tolist() == [False, True]
    scene.visible[:, 0, 4:] = False
    assert seen_from_behind(scene).tolist() == [False, False]


def shares(scene: Scene) -> list[float]:
    looks = sample_looks(scene, torch.Generator().manual_seed(5))
    return (torch.bincount(looks, minlength=len(Sensor)) / len(looks)).tolist()


def test_smoothed_frames_mostly_show_fronts() -> None:
    front, back = shares(trunks([True] * FRAMES)), shares(trunks([False] * FRAMES))
    assert front[Sensor.FILTERED] == pytest.approx(0.32, abs=0.02)
    assert back[Sensor.FILTERED] == pytest.approx(0.006, abs=0.005)


def test_the_other_looks_keep_their_shares_among_themselves() -> None:
    plain = sample_sensors(FRAMES, torch.Generator().manual_seed(5))
    usual = (torch.bincount(plain, minlength=len(Sensor)) / FRAMES).tolist()
    front, back = shares(trunks([True] * FRAMES)), shares(trunks([False] * FRAMES))
    rest = 1 - usual[Sensor.FILTERED]
    for look in set(Sensor) - {Sensor.FILTERED}:
        assert front[look] / (1 - front[Sensor.FILTERED]) == pytest.approx(
            usual[look] / rest, abs=0.02
        )
        # What a back may not be goes to the three bare sensors alike.
        bare = look not in {Sensor.CLEAN, Sensor.CUTOUT}
        moved = (usual[Sensor.FILTERED] - back[Sensor.FILTERED]) / 3 * bare
        assert back[look] == pytest.approx(usual[look] + moved, abs=0.01)


def test_looks_follow_the_generator() -> None:
    scene = trunks([True, False] * 50)
    one, two, other = (
        sample_looks(scene, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, two) and not torch.equal(one, other)
