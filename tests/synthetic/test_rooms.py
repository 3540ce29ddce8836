"""Rooms: free spots are free, solids are valid, and the same seed gives the same room."""

from collections.abc import Callable

import numpy as np
import pytest

from residualpose.synthetic.clutter import CLUTTER
from residualpose.synthetic.furniture import AGAINST_WALLS, FREE_STANDING
from residualpose.synthetic.primitives import (
    BOX,
    ELLIPSOID,
    Material,
    Primitives,
    cuboids,
    merge,
    pose_matrix,
    solids,
    yaw_rotation,
)
from residualpose.synthetic.rooms import Room, add_clutter, sample_room

MAKERS = sorted({maker for maker, _ in AGAINST_WALLS + FREE_STANDING + CLUTTER}, key=str)


def assert_valid(primitives: Primitives) -> None:
    assert primitives.kind.dtype == np.uint8 and primitives.material.dtype == np.uint8
    assert primitives.T_world_local.dtype == np.float32
    assert np.isfinite(primitives.T_world_local).all()
    assert (np.abs(np.linalg.det(primitives.T_world_local[:, :3, :3].astype(float))) > 1e-12).all()
    assert set(primitives.material.tolist()) <= {int(m) for m in Material}


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_pieces_stand_on_the_floor_and_fit_a_room(
    maker: Callable[[np.random.Generator], Primitives],
) -> None:
    for seed in range(10):
        piece = maker(np.random.default_rng(seed))
        assert_valid(piece)
        low, high = piece.bounds_m()
        hung = 1.0 if maker.__name__ == "curtain" else 0.05
        assert -0.35 < low[:, 2].min() < hung
        assert high[:, 2].max() < 3.2
        assert (high - low)[:, :2].max() < 3.5


def test_rooms_are_valid_and_varied() -> None:
    rooms = [sample_room(np.random.default_rng(seed)) for seed in range(80)]
    assert {room.kind for room in rooms} == {"room", "backdrop", "void", "outdoor"}
    for room in rooms:
        assert_valid(room.primitives)
        assert all(2.5 <= side <= 10 for side in room.floor_size)
        assert room.obstacles.shape == (len(room.obstacles), 5)
    materials = np.concatenate([room.primitives.material for room in rooms])
    assert set(materials.tolist()) == {0, 7, 8, 9}


def test_the_same_seed_gives_the_same_room() -> None:
    one, two = (sample_room(np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one.primitives.T_world_local, two.primitives.T_world_local)
    assert np.array_equal(one.obstacles, two.obstacles)


def test_free_spots_are_inside_and_outside_all_obstacles() -> None:
    found = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        room = sample_room(rng)
        for near in (None, np.array([0.3, 0.2])):
            spot = room.free_spot(rng, 0.35, near)
            if spot is None:
                continue
            found += 1
            assert (np.abs(spot) <= np.array(room.floor_size) / 2 - 0.35).all()
            for x, y, half_x, half_y, yaw in room.obstacles:
                local = (spot - (x, y)) @ yaw_rotation(yaw)[:2, :2]
                outside = np.maximum(np.abs(local) - (half_x, half_y), 0)
                assert np.linalg.norm(outside) >= 0.35 - 1e-9
            body = np.column_stack([np.tile(spot, (8, 1)), np.linspace(0.2, 1.6, 8)])
            assert not room.primitives.contains(body).any()
    assert found >= 110


def test_a_full_room_has_no_free_spot() -> None:
    room = Room(merge([]), (3.0, 3.0), np.inf, np.array([[0, 0, 1.5, 1.5, 0.0]]))
    assert room.free_spot(np.random.default_rng(0), 0.3) is None


def test_near_spots_are_near() -> None:
    room = Room(merge([]), (9.0, 9.0), np.inf, np.zeros((0, 5)))
    rng = np.random.default_rng(0)
    near = np.array([1.0, -2.0])
    spots = np.array([room.free_spot(rng, 0.3, near) for _ in range(200)])
    assert 0.5 < np.median(np.linalg.norm(spots - near, axis=1)) < 1.1


def test_added_clutter_keeps_away_from_people_and_camera() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        room = sample_room(rng)
        people = rng.uniform(-1, 1, (2, 2))
        camera = pose_matrix(0, -3, 0, 1.2) @ np.array(
            [[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]]
        )
        fuller = add_clutter(rng, room, camera, people)
        added = Primitives(
            *(
                getattr(fuller.primitives, name)[len(room.primitives) :]
                for name in ("kind", "T_world_local", "material")
            )
        )
        standing = [*people, camera[:2, 3]]
        body = np.array([[*spot, z] for spot in standing for z in np.linspace(0.1, 1.8, 12)])
        assert not added.contains(body, 0.2).any()
        assert len(fuller.obstacles) >= len(room.obstacles)


def test_contains_knows_boxes_and_ellipsoids() -> None:
    turn = yaw_rotation(np.pi / 4)
    pair = merge(
        [
            solids(BOX, (0, 0, 0), (1, 0.1, 0.1), turn),
            solids(ELLIPSOID, (5, 0, 0), (1, 0.5, 0.5)),
        ]
    )
    points = np.array([[0.6, 0.6, 0], [0.6, -0.6, 0], [5.9, 0, 0], [5.7, 0.4, 0], [5, 0.55, 0]])
    assert pair.contains(points).tolist() == [True, False, True, False, False]
    assert pair.contains(points, 0.1).tolist() == [True, False, True, True, True]


def test_bounds_and_moves() -> None:
    box = cuboids([[0, 2, -1, 1, 0, 4]])
    low, high = box.moved(pose_matrix(1, 0, np.pi / 2)).bounds_m()
    assert np.allclose(low, [[0, 0, 0]], atol=1e-5) and np.allclose(high, [[2, 2, 4]], atol=1e-5)
    low, high = solids(ELLIPSOID, (0, 0, 1), (2, 1, 1), yaw_rotation(np.pi / 4)).bounds_m()
    assert np.allclose(high[0, :2], np.sqrt(2.5), atol=1e-5)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(K, 4, 4\)"):
        Primitives(np.zeros(2, np.uint8), np.zeros((1, 4, 4), np.float32), np.zeros(2, np.uint8))
