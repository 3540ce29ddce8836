"""Viewpoints: inside the room, rigid, by kind at the right height, with the subject in view."""

import numpy as np
import pytest

from residualpose.synthetic.primitives import merge
from residualpose.synthetic.rooms import Room, sample_room
from residualpose.synthetic.viewpoints import KINDS, Viewpoint, sample_viewpoint

EMPTY = Room(merge([]), (9.0, 9.0), np.inf, np.zeros((0, 5)), "void")
SUBJECT = np.array([0.4, -0.3, 0.95])


def in_camera(view: Viewpoint, point: np.ndarray) -> np.ndarray:
    return (np.linalg.inv(view.T_world_camera) @ [*point, 1])[:3]


def assert_rigid(pose: np.ndarray) -> None:
    assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
def test_subject_is_in_the_central_region(kind: str) -> None:
    offsets = []
    for seed in range(40):
        view = sample_viewpoint(np.random.default_rng(seed), SUBJECT, EMPTY, kind)
        assert view.kind == kind
        assert_rigid(view.T_world_camera)
        x, y, z = in_camera(view, SUBJECT)
        assert 0.4 < z < 8.5
        offsets.append(max(abs(x), abs(y)) / z)
    assert np.percentile(offsets, 85) < 0.5 and np.median(offsets) < 0.25


@pytest.mark.parametrize(
    ("kind", "heights", "pitch_deg"),
    [
        ("eye", (1.0, 1.8), (-35, 50)),
        ("fixed", (1.0, 1.6), (0, 10)),
        ("low", (0.3, 0.8), (-50, 40)),
        ("high", (2.2, 3.2), (-15, 85)),
        ("overhead", (2.55, 3.6), (74, 90)),
    ],
)
def test_kinds_have_their_height_and_pitch(
    kind: str, heights: tuple[float, float], pitch_deg: tuple[float, float]
) -> None:
    for seed in range(30):
        pose = sample_viewpoint(np.random.default_rng(seed), SUBJECT, EMPTY, kind).T_world_camera
        assert heights[0] <= pose[2, 3] <= heights[1]
        down = np.degrees(np.arcsin(-pose[2, 2]))
        assert pitch_deg[0] - 1e-6 <= down <= pitch_deg[1] + 1e-6


def test_side_views_stand_upright_and_overhead_headings_vary() -> None:
    rolls = []
    for seed in range(40):
        pose = sample_viewpoint(np.random.default_rng(seed), SUBJECT, EMPTY, "eye").T_world_camera
        assert pose[2, 1] < -0.8  # the image's down is the world's down
        rolls.append(abs(np.degrees(np.arcsin(pose[2, 0]))))
    assert np.mean(np.array(rolls) < 6) > 0.8
    tops = [
        sample_viewpoint(np.random.default_rng(seed), SUBJECT, EMPTY, "overhead").T_world_camera
        for seed in range(40)
    ]
    headings = np.array([np.arctan2(pose[1, 0], pose[0, 0]) for pose in tops])
    assert len(np.unique((headings // (np.pi / 2)).astype(int))) == 4


def test_cameras_are_in_the_room_and_outside_its_solids() -> None:
    stuck, kinds = 0, []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        room = sample_room(rng)
        spots = [room.free_spot(rng, 0.35) for _ in range(2)]
        people = np.array([[*spot, 0.95] for spot in spots if spot is not None])
        if not len(people):
            continue
        view = sample_viewpoint(rng, people, room)
        eye = view.T_world_camera[:3, 3]
        kinds.append(view.kind)
        assert (np.abs(eye[:2]) < np.array(room.floor_size) / 2).all()
        assert 0.2 < eye[2] < room.ceiling_m
        stuck += int(room.primitives.contains(eye[None], 0.05)[0])
    assert stuck <= 1
    assert kinds.count("eye") + kinds.count("fixed") > len(kinds) * 0.35


def test_deterministic() -> None:
    one, two = (sample_viewpoint(np.random.default_rng(9), SUBJECT, EMPTY) for _ in range(2))
    assert np.array_equal(one.T_world_camera, two.T_world_camera) and one.kind == two.kind
