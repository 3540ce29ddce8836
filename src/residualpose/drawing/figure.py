"""People as limbs and joint marks on a pillow canvas; shared by the overlay and the 3D views.

A filled mark is measured, a half-filled one has its depth from nearby, a dashed ring is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from residualpose.drawing.palette import INK, WHITE, Rgb, joint_rgb
from residualpose.poses import Origin
from residualpose.skeleton import Skeleton

CLEAR = (0, 0, 0, 0)
DASHES_PER_RING = 6
RING_SIZE = 1.55
"""Radius of a guessed joint's ring over that of a disc."""


@dataclass(frozen=True, slots=True)
class Pen:
    """Sizes of the strokes, in pixels of the canvas drawn on."""

    limb_px: float
    joint_px: float
    outline_px: float


def draw_people(
    draw: ImageDraw.ImageDraw,
    joints_px: np.ndarray,
    distance_m: np.ndarray,
    origin: np.ndarray,
    skeleton: Skeleton,
    pen: Pen,
    hue: np.ndarray | None = None,
) -> None:
    """Draw (P, J, 2) canvas pixels, far things first by `distance_m` (P, J); NaN is left out.

    `hue` (P,) are the numbers that colours go by; None: people in their order.
    """
    hue = np.arange(len(joints_px)) if hue is None else hue
    people, joints = joints_px.shape[:2]
    seen = np.isfinite(joints_px).all(-1) & (origin != Origin.ABSENT)
    distance_m = np.where(np.isfinite(distance_m), distance_m, np.nanmax(distance_m, initial=0.0))
    # Each stroke is (distance, person, from, to); a joint is a stroke to itself, just in front.
    strokes = [(distance_m[p, j] - 0.05, p, j, j) for p in range(people) for j in range(joints)]
    strokes += [
        (distance_m[p, [a, b]].mean(), p, a, b) for p in range(people) for a, b in skeleton.limbs
    ]
    for _, p, a, b in sorted(strokes, reverse=True):
        if not (seen[p, a] and seen[p, b]):
            continue
        colour = joint_rgb(int(hue[p]), b, skeleton)
        if a == b:
            draw_joint(draw, joints_px[p, a], Origin(int(origin[p, a])), colour, pen)
        else:
            guessed = origin[p, [a, b]] == Origin.PRIOR
            _draw_limb(draw, joints_px[p, [a, b]], guessed, colour, pen)


def draw_joint(
    draw: ImageDraw.ImageDraw, at_px: np.ndarray, origin: Origin, colour: Rgb, pen: Pen
) -> None:
    """One joint mark; the shape tells where its depth came from."""
    radius, edge = pen.joint_px, pen.outline_px
    if origin == Origin.MEASURED:
        _disc(draw, at_px, radius + edge, INK)
        _disc(draw, at_px, radius, colour)
    elif origin == Origin.NEIGHBOUR:
        _disc(draw, at_px, radius + edge, INK)
        _disc(draw, at_px, radius, WHITE)
        draw.pieslice(_box(at_px, radius), 90, 270, fill=colour)
    elif origin == Origin.PRIOR:
        ring, line = RING_SIZE * radius, max(1.0, 0.42 * radius)
        _disc(draw, at_px, ring + edge, CLEAR)
        turn = 360 / DASHES_PER_RING
        # Arcs are drawn inwards from their box; the dark ones lie under and around the coloured.
        for grow, ink in ((edge, INK), (0.0, colour)):
            box, overlap = _box(at_px, ring + grow), np.degrees(grow / ring)
            for start in np.arange(DASHES_PER_RING) * turn:
                end = start + 0.62 * turn
                draw.arc(box, start - overlap, end + overlap, ink, round(line + 2 * grow))


def draw_tag(
    draw: ImageDraw.ImageDraw, centre_px: np.ndarray, text: str, colour: Rgb, size_px: float
) -> None:
    """A rounded label with its centre at `centre_px`, kept inside the canvas."""
    font = ImageFont.load_default(size_px)
    half_h = 0.72 * size_px
    half_w = max(0.5 * draw.textlength(text, font) + 0.45 * size_px, 1.25 * half_h)
    canvas = draw.im.size  # type: ignore[union-attr]
    x = float(np.clip(centre_px[0], half_w, max(half_w, canvas[0] - half_w)))
    y = float(np.clip(centre_px[1], half_h, max(half_h, canvas[1] - half_h)))
    box = (x - half_w, y - half_h, x + half_w, y + half_h)
    draw.rounded_rectangle(box, half_h, fill=colour, outline=INK, width=max(1, round(size_px / 12)))
    draw.text((x, y), text, fill=INK, font=font, anchor="mm")


def shrink(layer: Image.Image, factor: int) -> Image.Image:
    """Average each factor x factor block: what turns hard strokes into smooth ones."""
    return layer.resize((layer.width // factor, layer.height // factor), Image.Resampling.BOX)


def _draw_limb(
    draw: ImageDraw.ImageDraw, ends_px: np.ndarray, guessed: np.ndarray, colour: Rgb, pen: Pen
) -> None:
    """A solid bar, or dashes where an end (2, 2) is guessed; rings stay empty inside."""
    along = ends_px[1] - ends_px[0]
    length = float(np.hypot(*along))
    room = guessed * (RING_SIZE * pen.joint_px + 2 * pen.outline_px)
    if length <= room.sum() + 1e-6:
        return
    start = ends_px[0] + along * room[0] / length
    run = along * (1 - room.sum() / length)
    count = max(2, round(length / (2.6 * pen.limb_px))) if guessed.any() else 1
    # Dashes fill 60 % of their step and end where the limb ends; a solid limb is one full dash.
    share = 0.6 if guessed.any() else 1.0
    firsts = start + np.arange(count)[:, None] / (count - 1 + share) * run
    lasts = firsts + share / (count - 1 + share) * run
    for width, ink in ((pen.limb_px + 2 * pen.outline_px, INK), (pen.limb_px, colour)):
        for first, last in zip(firsts, lasts, strict=True):
            draw.line((*first, *last), fill=ink, width=max(1, round(width)))


def _disc(
    draw: ImageDraw.ImageDraw, at_px: np.ndarray, radius: float, colour: tuple[int, ...]
) -> None:
    draw.ellipse(_box(at_px, radius), fill=colour)


def _box(at_px: np.ndarray, radius: float) -> tuple[float, float, float, float]:
    x, y = float(at_px[0]), float(at_px[1])
    return x - radius, y - radius, x + radius, y + radius
