"""Rendered people: the truth that comes with a picture is the truth about that picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the synthetic extra")

from residualpose.errors import UsageError
from residualpose.synthetic.materials import Material
from residualpose.synthetic.people import (
    VISIBLE_WITHIN_M,
    RenderedFrame,
    SceneConfig,
    render_frame,
)

if TYPE_CHECKING:
    from residualpose.synthetic.shards import Cast

CROWD = SceneConfig(people=(0, 0.3, 0.2, 0.2, 0.2, 0.1))


@pytest.fixture(scope="module")
def frames(tiny_cast: Cast) -> list[RenderedFrame]:
    return [
        render_frame(tiny_cast.bank, tiny_cast.poses, CROWD, np.random.default_rng(seed))
        for seed in range(12)
    ]


def test_pictures_are_of_the_size_and_kind_promised(frames: list[RenderedFrame]) -> None:
    for frame in frames:
        assert frame.depth_m.shape == frame.person.shape == frame.material.shape == (128, 160)
        assert frame.depth_m.dtype == np.float32 and frame.person.dtype == np.uint8
        assert (frame.depth_m >= 0).all()
        assert frame.joints_m.shape == (len(frame.visible), 15, 3)
        assert frame.person.max() <= len(frame.joints_m)
        assert frame.material.max() < 16
        assert frame.camera.fx == frame.camera.fy == 144.0
    assert len({len(frame.joints_m) for frame in frames} - {0}) >= 3


def test_visible_joints_lie_in_the_image_just_behind_their_own_surface(
    frames: list[RenderedFrame],
) -> None:
    seen = 0
    for frame in frames:
        for p, q in zip(*np.nonzero(frame.visible), strict=True):
            u, v = frame.camera.project(frame.joints_m[p, q]).round().astype(int)
            assert 0 <= u < 160 and 0 <= v < 128
            assert frame.person[v, u] == p + 1
            behind_m = frame.joints_m[p, q, 2] - frame.depth_m[v, u]
            assert -0.25 < behind_m < VISIBLE_WITHIN_M
            seen += 1
    assert seen > 100


def test_every_pixel_of_a_person_is_near_that_persons_joints(frames: list[RenderedFrame]) -> None:
    for frame in frames:
        for p, joints_m in enumerate(frame.joints_m):
            rows, columns = np.nonzero(frame.person == p + 1)
            pixels = np.stack([columns, rows], -1)
            points_m = frame.camera.backproject(pixels, frame.depth_m[rows, columns])
            away_m = np.linalg.norm(points_m[:, None] - joints_m, axis=-1).min(1)
            assert (away_m < 0.75).all()
            assert not len(away_m) or np.median(away_m) < 0.25


def test_people_are_made_of_people_stuff(frames: list[RenderedFrame]) -> None:
    for frame in frames:
        worn = frame.material[frame.person > 0]
        assert np.isin(worn, range(Material.SKIN, Material.HELD + 1)).all()
        assert not np.isin(frame.material[frame.person == 0], range(1, 7)).any()


def test_the_same_seed_gives_the_same_frame(tiny_cast: Cast, frames: list[RenderedFrame]) -> None:
    again = render_frame(tiny_cast.bank, tiny_cast.poses, CROWD, np.random.default_rng(3))
    for field in ("depth_m", "person", "material", "joints_m", "visible"):
        np.testing.assert_array_equal(getattr(again, field), getattr(frames[3], field))
    assert again.camera == frames[3].camera
    assert not np.array_equal(again.depth_m, frames[4].depth_m)


def test_an_empty_room_has_no_one(tiny_cast: Cast) -> None:
    nobody = SceneConfig(people=(1,))
    frame = render_frame(tiny_cast.bank, tiny_cast.poses, nobody, np.random.default_rng(0))
    assert frame.joints_m.shape == (0, 15, 3) and frame.visible.shape == (0, 15)
    assert not frame.person.any() and (frame.depth_m > 0).any()


def test_all_who_face_the_camera_turn_their_chest_to_it(tiny_cast: Cast) -> None:
    """With `facing` 1 the own right shoulder is mostly at image left."""
    config = SceneConfig(people=(0, 1), facing=1.0)
    facing = []
    for seed in range(16):
        rng = np.random.default_rng(seed)
        frame = render_frame(tiny_cast.bank, tiny_cast.poses, config, rng)
        if frame.viewpoint != "overhead" and len(frame.joints_m):
            facing.append(frame.joints_m[0, 2, 0] < frame.joints_m[0, 3, 0])
    assert len(facing) > 8
    assert np.mean(facing) > 0.6


def test_bare_bodies_are_all_skin_and_empty_settings_hide_nothing(tiny_cast: Cast) -> None:
    config = SceneConfig(people=(0, 1), occluders=0.0, dressed=0.0)
    for seed in range(4):
        frame = render_frame(tiny_cast.bank, tiny_cast.poses, config, np.random.default_rng(seed))
        assert set(frame.material[frame.person > 0].tolist()) <= {int(Material.SKIN)}
        assert Material.FOLIAGE not in frame.material or frame.person.any()


@pytest.mark.parametrize(("size", "focal"), [((320, 240), 285.7), ((640, 576), 504.0)])
def test_other_cameras_render_too(tiny_cast: Cast, size: tuple[int, int], focal: float) -> None:
    config = SceneConfig(*size, focal, 0.0, people=(0, 0, 1))
    frame = render_frame(tiny_cast.bank, tiny_cast.poses, config, np.random.default_rng(2))
    assert frame.depth_m.shape == size[::-1] and frame.camera.fx == focal
    assert frame.person.any()


@pytest.mark.parametrize(
    "wrong", [{"people": (0.5, 0.4)}, {"people": (1 / 7,) * 7}, {"facing": 1.5}, {"dressed": -0.1}]
)
def test_impossible_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(UsageError, match="expected"):
        SceneConfig(**wrong)
