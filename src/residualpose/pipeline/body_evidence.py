"""How well joints fit one body: the geometry by which grouping joins what no limb connects.

A fixed set of made-up bodies (any heading, arms anywhere, bent, seated, lying, seen from above)
stands for what people look like in an image. A set of joints is scored by how probable it is as a
view of one of them, moved and scaled freely. Every quantity is a sum over joints, so that the
evidence of thousands of combinations costs a few matrix products.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from residualpose.skeleton import ITOP15

BODIES = 128
"""Number of bodies compared with: with half as many up to a point of recall is lost."""
_SIZE_RANGE = (0.85, 1.6)
"""Size of the made-up bodies relative to a person's: from a tall one to a child."""

# Spread of each joint about its place in the nearest of the bodies, metres.
_JOINT_SD_M = np.array(
    [0.07, 0.05, 0.07, 0.07, 0.13, 0.13, 0.22, 0.22, 0.08, 0.08, 0.08, 0.14, 0.14, 0.18, 0.18]
)
_JOINT_WEIGHT = _JOINT_SD_M**-2.0
_LOG_DENSITY = np.log(_JOINT_WEIGHT / (2.0 * np.pi))

# Direction in the body's frame (x to its left, y down, z to its back), its spread, and length in
# metres of each limb, in the order of ITOP15.limbs. The torso lies where data sets place it on
# average (0.24 m below the neck in ITOP, 0.50 m in Panoptic).
_LIMBS = np.array(
    [
        [0.00, -1.00, -0.10, 0.15, 0.22],
        [0.00, 1.00, 0.00, 0.05, 0.33],
        [0.50, 1.00, 0.00, 0.15, 0.21],
        [0.10, 1.00, -0.25, 0.25, 0.43],
        [0.05, 1.00, 0.10, 0.15, 0.42],
        [1.00, 0.15, 0.00, 0.15, 0.17],
        [0.35, 0.80, -0.10, 0.55, 0.28],
        [0.10, 0.60, -0.50, 0.70, 0.25],
        [-0.50, 1.00, 0.00, 0.15, 0.21],
        [-0.10, 1.00, -0.25, 0.25, 0.43],
        [-0.05, 1.00, 0.10, 0.15, 0.42],
        [-1.00, 0.15, 0.00, 0.15, 0.17],
        [-0.35, 0.80, -0.10, 0.55, 0.28],
        [-0.10, 0.60, -0.50, 0.70, 0.25],
    ]
)
LIMB_LENGTHS_M = _LIMBS[:, 4]
"""(14,) a grown person's, in the order of ITOP15.limbs."""
_TREE_ORDER = (0, 1, 5, 11, 2, 8, 3, 9, 4, 10, 6, 12, 7, 13)
_THIGHS = [3, 9]


@lru_cache(maxsize=1)
def typical_bodies_m() -> np.ndarray:
    """(BODIES, 15, 3) joints in metres, camera axes (x right, y down, z forward), neck at 0."""
    rng = np.random.default_rng(15)
    direction = _LIMBS[:, :3] + _LIMBS[:, 3:4] * rng.normal(size=(BODIES, len(_LIMBS), 3))
    seated = rng.random(BODIES) < 0.1
    bend = np.where(seated[:, None], np.array([0.0, -0.7, -0.8]), 0.0)
    direction[:, _THIGHS] += bend[:, None]
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    limb_m = direction * _LIMBS[:, 4:5] * rng.normal(1.0, 0.07, (BODIES, len(_LIMBS), 1))
    joints_m = np.zeros((BODIES, len(ITOP15.joints), 3))
    for limb in _TREE_ORDER:
        start, end = ITOP15.limbs[limb]
        joints_m[:, end] = joints_m[:, start] + limb_m[:, limb]
    return np.einsum("bij,bkj->bki", _headings(rng), joints_m)


def _headings(rng: np.random.Generator) -> np.ndarray:
    """(BODIES, 3, 3) rotations from the body's frame (facing the camera) to the camera's axes."""
    heading = rng.uniform(-np.pi, np.pi, BODIES)
    kind = rng.choice(3, BODIES, p=[0.8, 0.1, 0.1])
    # Level camera; camera near the ceiling or straight above; bent over or lying.
    pitch = rng.normal(0.0, 0.15, BODIES) + np.where(kind == 1, rng.uniform(0.5, 1.6, BODIES), 0.0)
    roll = rng.normal(0.0, 0.1, BODIES) * np.where(kind == 2, 12.0, 1.0)
    return _rotation(roll, 2) @ _rotation(pitch, 0) @ _rotation(heading, 1)


def _rotation(angle: np.ndarray, axis: int) -> np.ndarray:
    """(B, 3, 3) rotations about a coordinate axis."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    rotation = np.zeros((len(angle), 3, 3))
    rotation[:, axis, axis] = 1.0
    rotation[:, i, i] = rotation[:, j, j] = np.cos(angle)
    rotation[:, j, i] = np.sin(angle)
    rotation[:, i, j] = -rotation[:, j, i]
    return rotation


@lru_cache(maxsize=1)
def reach_m() -> np.ndarray:
    """(15, 15) longest distance between two joints of one person, metres."""
    bodies_m = typical_bodies_m()
    distance_m = np.linalg.norm(bodies_m[:, :, None] - bodies_m[:, None], axis=-1)
    return 1.1 * distance_m.max(axis=0) + 0.05


_MOMENTS = 8
_JOINTS = len(ITOP15.joints)
_UNKNOWN_SCALE = 4.0
"""Log of more metres than an image ever spans."""
_LOG_SIZES = np.log(np.array([[1e-6, 1e38], _SIZE_RANGE])).astype(np.float32)
"""Log of the smallest and the largest scale where it is unknown, and relative to a known one."""
_LOG_SHARE = float(np.log(2.0 * np.pi / BODIES))
_THERE = np.eye(_JOINTS, dtype=np.float32)
_COUNT = 5
"""Column in which the peaks of a set are counted."""
_BLOCK = 128
"""Sets looked at together: what is computed on the way stays in the processor's cache, and so small
that linear algebra libraries start no threads."""


def evidence_rows(
    joint: np.ndarray,
    xy_px: np.ndarray,
    area_px: float,
    metres_per_px: np.ndarray | None = None,
) -> np.ndarray:
    """(N, 8 + 3 * 15) float32, one row a peak; `log_evidence` of a set follows from their sum.

    Columns: weight, weight x, y, x^2 + y^2, log density, joints, known log scales, their number;
    then for each joint whether it is there, its x and its y. Against each peak stands clutter,
    spread evenly over the image's area.

    Args:
        joint: (N,) joint indices.
        xy_px: (N, 2) positions.
        area_px: area of the image in square pixels.
        metres_per_px: (N,) scale at each peak's depth, NaN unknown; None: unknown everywhere.
    """
    # In units in which the image's area is 1, clutter has density 1.
    unit_px = np.sqrt(area_px)
    xy = np.asarray(xy_px, dtype=np.float64) / unit_px
    if len(xy):
        xy -= xy.sum(axis=0) / len(xy)
    x, y = xy.T
    scale = np.full(len(joint), np.nan) if metres_per_px is None else metres_per_px * unit_px
    known = np.isfinite(scale)
    weight = _JOINT_WEIGHT[joint]
    rows = np.zeros((len(joint), _MOMENTS + 3 * _JOINTS), np.float32)
    rows[:, 0], rows[:, 1], rows[:, 2] = weight, weight * x, weight * y
    rows[:, 3] = weight * (x * x + y * y)
    rows[:, 4], rows[:, 5] = _LOG_DENSITY[joint], 1.0
    rows[:, 6], rows[:, 7] = np.log(np.where(known, scale, 1.0)), known
    there = _THERE[joint]
    rows[:, _MOMENTS : _MOMENTS + _JOINTS] = there
    rows[:, _MOMENTS + _JOINTS : _MOMENTS + 2 * _JOINTS] = there * x[:, None]
    rows[:, _MOMENTS + 2 * _JOINTS :] = there * y[:, None]
    return rows


def joints_of(rows: np.ndarray) -> np.ndarray:
    """(B, 15) how often each joint is in each set, from sums of `evidence_rows`; a view."""
    return rows[:, _MOMENTS : _MOMENTS + _JOINTS]


def count_of(rows: np.ndarray) -> np.ndarray:
    """(B,) number of peaks in each set, from sums of `evidence_rows`; a view."""
    return rows[:, _COUNT]


@lru_cache(maxsize=1)
def _weighted_bodies() -> tuple[np.ndarray, np.ndarray]:
    """(2, 15, BODIES) weight times x and y, (15, BODIES) half the square of the bodies' joints."""
    body = typical_bodies_m()[:, :, :2].transpose(2, 1, 0)
    weight = _JOINT_SD_M[:, None] ** -2.0
    half_square = 0.5 * weight * (body**2).sum(axis=0)
    return (weight * body).astype(np.float32), half_square.astype(np.float32)


def log_evidence(rows: np.ndarray) -> np.ndarray:
    """(B,) log of how much more probable each set is as one body than as clutter.

    Args:
        rows: (B, .) sums of `evidence_rows` over the sets, none of them empty.
    """
    if not len(rows):
        return np.zeros(0, np.float32)
    if len(rows) <= _BLOCK:
        return _log_evidence(rows)
    blocks = [_log_evidence(rows[i : i + _BLOCK]) for i in range(0, len(rows), _BLOCK)]
    return np.concatenate(blocks)


def _log_evidence(rows: np.ndarray) -> np.ndarray:
    """`log_evidence` of few sets; what is named after bodies is (B, BODIES)."""
    columns = rows.T.copy()
    sum_xy, (squares, density, joints, log_scale, known) = columns[1:3], columns[3:_MOMENTS]
    places = columns[_MOMENTS:].reshape(3, _JOINTS, -1)
    there = places[0]
    inverse = 1.0 / columns[0]
    middle = sum_xy * inverse
    image_var = np.maximum(squares - (middle * sum_xy).sum(axis=0), 1e-6)
    half = 0.5 / image_var
    bodies, half_square = _weighted_bodies()
    # From the middle of the set, the body's own middle does not matter.
    offset = places[1:] - middle[:, None] * there
    offset *= half
    cross, cross_y = offset.transpose(0, 2, 1) @ bodies
    cross += cross_y
    body_middle = (there * np.sqrt(0.5 * inverse)).T @ bodies
    body_middle *= body_middle
    body_var = there.T @ half_square  # half of it, as the middle's is
    body_var -= body_middle[0]
    body_var -= body_middle[1]
    # The scale t, metres a pixel, of highest -image_var (t^2 - 4 t cross)/2 + freedom log t.
    freedom = 2.0 * joints - 2.0
    scale = cross * cross
    scale += (2.0 * half * freedom)[:, None]
    np.sqrt(scale, out=scale)
    scale += cross
    # Where the scale is known it may differ by the size of people only.
    given = (log_scale / np.maximum(known, 1.0))[:, None]
    limits = np.exp(given + _LOG_SIZES[(known > 0).view(np.int8)])
    np.maximum(scale, limits[:, :1], out=scale)
    np.minimum(scale, limits[:, 1:], out=scale)
    # -residual / 2 = 2 image_var t (cross - t / 4) - body_var
    cross -= 0.25 * scale
    cross *= scale
    cross *= (2.0 * image_var)[:, None]
    cross -= body_var
    np.log(scale, out=scale)
    scale *= freedom[:, None]
    scale += cross
    top = scale.max(axis=1)
    scale -= top[:, None]
    np.exp(scale, out=scale)
    # The place of the body is unknown: integrating over it leaves the factor 2 pi / weight.
    return top + np.log(scale.sum(axis=1) * inverse) + (density + _LOG_SHARE)


def most_evidence(rows: np.ndarray) -> np.ndarray:
    """(B,) the most that adding these sets of peaks to another can add to its log evidence."""
    density, joints, log_scale, known = rows[:, 4:8].T
    largest = log_scale + known * np.log(_SIZE_RANGE[1]) + (joints - known) * _UNKNOWN_SCALE
    return density + 2.0 * largest
