"""A person who walks, stands and sits: joint angles over the stride, and a path through the room.

The curves of hip, knee and ankle follow the textbook shape of human gait: the knee yields after
the heel touches and bends most in the swing, the arms swing against the legs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from residualpose.synthetic.companions import facing
from residualpose.synthetic.rotations import about_x, about_y, about_z

RATE_HZ = 30.0
_STRIDE_M, _FULL_SPEED_M_S = 1.3, 1.2
"""Two steps of an adult, and the speed at which they have that length."""
_CORNER_S, _TURN_S, _SIT_S = 0.3, 0.25, 0.35
"""How gently paths bend, bodies turn and people sit down: sd of the smoothing."""
_SIT_BACK_M = 0.38
"""The pelvis of somebody who sits is so far behind the feet."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What one person does, frame by frame."""

    xy_m: np.ndarray
    """(T, 2) of the pelvis on the floor."""
    heading_rad: np.ndarray
    """(T,) turn about the vertical from facing +y."""
    rotations: np.ndarray
    """(T, 17, 3, 3) of the segments, as in BodyPose; the person faces +y."""


def walk_along(
    waypoints: np.ndarray, seconds: float, seat_s: tuple[float, float] | None, phase: float
) -> Walk:
    """Somebody who walks from point to point, standing where points repeat.

    Args:
        waypoints: (N, 3) time in seconds, x and y on the floor in metres; times rise.
        seconds: Length of the sequence.
        seat_s: When to sit down and when to rise, seconds; None: never.
        phase: Where in the stride the person begins, 0..1.
    """
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    straight = np.stack([np.interp(time_s, waypoints[:, 0], waypoints[:, i]) for i in (1, 2)], 1)
    xy = gaussian_filter1d(straight, _CORNER_S * RATE_HZ, axis=0, mode="nearest")
    step = np.diff(xy, axis=0, append=xy[-1:])
    speed = np.linalg.norm(step, axis=1) * RATE_HZ
    heading = _headings(step, speed)
    sitting = np.zeros(len(time_s))
    if seat_s is not None:
        sitting = ((time_s > seat_s[0]) & (time_s < seat_s[1])).astype(float)
        sitting = gaussian_filter1d(sitting, _SIT_S * RATE_HZ)
        front = np.stack([-np.sin(heading), np.cos(heading)], 1)
        xy = xy - _SIT_BACK_M * sitting[:, None] * front
    stride = np.clip(speed / _FULL_SPEED_M_S, 0, 1.15)
    length = _STRIDE_M * np.maximum(stride, 0.35)
    angle = phase + np.cumsum(np.linalg.norm(step, axis=1) / length)
    return Walk(xy, heading, gait(angle, stride, sitting))


def gait(phase: np.ndarray, stride: np.ndarray, sitting: np.ndarray) -> np.ndarray:
    """Segment rotations (T, 17, 3, 3) of somebody facing +y.

    Args:
        phase: (T,) strides done; the right heel touches the floor at whole numbers.
        stride: (T,) 0 standing, 1 full steps.
        sitting: (T,) 0 upright, 1 on a seat.
    """
    turn = 0.07 * stride * np.cos(2 * np.pi * phase)
    lean = 0.03 + 0.04 * stride + 1.6 * sitting * (1 - sitting)
    pelvis = about_z(turn) @ about_y(0.03 * stride * np.sin(2 * np.pi * phase)) @ about_x(-lean)
    chest = about_z(-turn) @ about_x(-0.8 * lean)
    abdomen = about_x(-0.9 * lean)
    head = about_x(-0.2 * lean)
    right = _leg(phase, stride, sitting, 1.0), _arm(phase + 0.5, stride, sitting, chest, 1.0)
    left = _leg(phase + 0.5, stride, sitting, -1.0), _arm(phase, stride, sitting, chest, -1.0)
    spine = np.stack([pelvis, abdomen, chest, head, head], 1)
    return np.concatenate([spine, right[1], left[1], right[0], left[0]], axis=1)


def _leg(phase: np.ndarray, stride: np.ndarray, sitting: np.ndarray, side: float) -> np.ndarray:
    """(T, 3, 3, 3) thigh, shin and foot; the heel of this leg touches at whole phases."""
    flex = stride * (0.10 + 0.40 * np.cos(2 * np.pi * phase)) + 0.03 * (1 - stride)
    knee = 0.08 + stride * (0.22 * _bump(phase, 0.14, 0.07) + 0.95 * _bump(phase, 0.73, 0.10))
    toes_up = stride * (0.28 * _bump(phase, 0.0, 0.07) - 0.75 * _bump(phase, 0.62, 0.09))
    flex = (1 - sitting) * flex + 1.45 * sitting
    knee = (1 - sitting) * knee + 1.5 * sitting
    thigh = about_y(-side * (0.04 + 0.08 * sitting)) @ about_x(flex)
    shin = thigh @ about_x(-knee)
    foot = about_z(-side * 0.12 * np.ones_like(flex)) @ about_x((1 - sitting) * toes_up)
    return np.stack([thigh, shin, foot], 1)


def _arm(
    phase: np.ndarray, stride: np.ndarray, sitting: np.ndarray, chest: np.ndarray, side: float
) -> np.ndarray:
    """(T, 3, 3, 3) upper arm, forearm and hand, swinging with the other leg."""
    swing = stride * (0.05 + 0.38 * np.cos(2 * np.pi * phase)) + 0.45 * sitting
    elbow = 0.22 + stride * (0.2 + 0.18 * np.cos(2 * np.pi * phase)) + 0.75 * sitting
    upper = chest @ about_y(-side * 0.16 * np.ones_like(swing)) @ about_x(swing)
    upper = upper @ about_z(side * 0.3 * np.ones_like(swing))
    forearm = upper @ about_x(elbow)
    return np.stack([upper, forearm, forearm], 1)


def _bump(phase: np.ndarray, at: float, width: float) -> np.ndarray:
    """A bell of height 1 once a stride."""
    away = (phase - at + 0.5) % 1.0 - 0.5
    return np.exp(-0.5 * (away / width) ** 2)


def _headings(step: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """(T,) radians without jumps: where the person goes, kept while standing."""
    moving = np.flatnonzero(speed > 0.25)
    if not len(moving):
        return np.zeros(len(step))
    angles = np.array([facing(one) for one in step[moving]])
    # Whoever turns round takes the shorter way.
    angles = np.unwrap(angles)
    held = angles[np.clip(np.searchsorted(moving, np.arange(len(step)), "right") - 1, 0, None)]
    return gaussian_filter1d(held, _TURN_S * RATE_HZ, mode="nearest")
