"""People who walk: feet that take turns, a body that faces its way, a seat in time."""

from __future__ import annotations

import numpy as np

from residualpose.synthetic.stick_figure import segment_ends
from residualpose.synthetic.supports import sits
from residualpose.synthetic.walking import RATE_HZ, walk_along

STRAIGHT = np.array([[0.0, 0.0, 0.0], [4.0, 4.8, 0.0]])


def test_a_walker_goes_where_told_and_faces_that_way() -> None:
    walk = walk_along(STRAIGHT, 4.0, None, 0.0)
    assert walk.xy_m.shape == (120, 2)
    front = np.stack([-np.sin(walk.heading_rad), np.cos(walk.heading_rad)], 1)
    np.testing.assert_allclose(front, np.tile([1.0, 0.0], (120, 1)), atol=1e-6)


def test_feet_take_turns_and_the_standing_one_hardly_slides() -> None:
    walk = walk_along(STRAIGHT, 4.0, None, 0.0)
    ankles = segment_ends(walk.rotations)[:, [12, 15], 1]
    ahead = ankles[:, 0, 1] - ankles[:, 1, 1]
    turns = np.flatnonzero(np.diff(np.sign(ahead)) != 0)
    # 4.8 m are 3.7 strides, in each of which the feet pass one another twice.
    assert 6 <= len(turns) <= 9
    along = walk.xy_m[:, :1] + ankles[..., 1]
    speed = np.abs(np.diff(along, axis=0)) * RATE_HZ
    assert np.median(speed.min(1)[15:-15]) < 0.45
    assert speed.max(1)[15:-15].mean() > 1.2


def test_who_sits_sits_between_the_two_times() -> None:
    stay = np.array([[0.0, 1.0, 1.0], [9.0, 1.0, 1.0]])
    walk = walk_along(stay, 9.0, (3.0, 6.0), 0.0)
    seated = [sits(rotations) for rotations in walk.rotations]
    assert not any(seated[:60])
    assert all(seated[120:150])
    assert not any(seated[-60:])
