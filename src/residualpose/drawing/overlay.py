"""The 2D people drawn over their depth image; colour and number of each are its `person_id`."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from residualpose.drawing.figure import Pen, draw_people, draw_tag, shrink
from residualpose.drawing.legend import draw_legend
from residualpose.drawing.palette import WHITE, mix, person_rgb
from residualpose.drawing.shade import display_scale, resize_picture, shade_depth
from residualpose.errors import ResidualPoseError
from residualpose.poses import Poses

SMALLEST_TAGGED_PX = 200
_SCORED = "{person}  {score:.2f}"


def draw_overlay(depth_m: np.ndarray, poses: Poses) -> np.ndarray:
    """(H, W, 3) uint8 of the input's size: depth (H, W) in metres with the people over it."""
    return _draw(depth_m, poses, 1.0, _SCORED)


def draw_film_frame(depth_m: np.ndarray, poses: Poses, scale: float = 1.0) -> np.ndarray:
    """One frame of a film, `scale` times the input's size: no scores, which would flicker."""
    return _draw(depth_m, poses, scale, "{person}")


def draw_overlay_large(depth_m: np.ndarray, poses: Poses) -> np.ndarray:
    """The overlay for a file, (h, w, 3) uint8: 480 to 1280 px on its long side, with a legend."""
    depth_m = _checked(depth_m)
    picture = _draw(depth_m, poses, display_scale(*depth_m.shape), _SCORED)
    return np.concatenate([picture, draw_legend(picture.shape[1])])


def _checked(depth_m: np.ndarray) -> np.ndarray:
    depth_m = np.asarray(depth_m)
    if depth_m.ndim != 2 or not depth_m.size:
        raise ResidualPoseError(f"depth: expected an (H, W) array of metres, found {depth_m.shape}")
    return depth_m


def _draw(depth_m: np.ndarray, poses: Poses, scale: float, label: str) -> np.ndarray:
    picture = Image.fromarray(resize_picture(shade_depth(_checked(depth_m)), scale)).convert("RGBA")
    long_side = max(picture.size)
    fine = 4 if long_side <= 640 else 2
    layer = Image.new("RGBA", (picture.width * fine, picture.height * fine))
    draw = ImageDraw.Draw(layer)
    # Pixel centres lie at integers, so pixel 0 of the input covers [-0.5, 0.5).
    joints_px = (poses.joints_px.astype(np.float64) + 0.5) * scale * fine - 0.5
    limb = fine * float(np.clip(long_side / 150, 1.1, 5.5))
    pen = Pen(limb, max(1.1 * limb, 1.7 * fine), max(0.22 * limb, 0.35 * fine))
    distance_m = poses.joints_m[..., 2]
    draw_people(draw, joints_px, distance_m, poses.origin, poses.skeleton, pen, poses.person_id)
    if long_side >= SMALLEST_TAGGED_PX:
        _draw_tags(draw, joints_px, poses, label, fine * float(np.clip(long_side / 38, 11, 22)))
    picture.alpha_composite(shrink(layer, fine))
    return np.asarray(picture.convert("RGB"))


def _draw_tags(
    draw: ImageDraw.ImageDraw, joints_px: np.ndarray, poses: Poses, label: str, size_px: float
) -> None:
    for person, xy, score in zip(poses.person_id, joints_px, poses.person_score, strict=True):
        known = xy[np.isfinite(xy).all(-1)]
        if len(known):
            top = known[known[:, 1].argmin()]
            colour = mix(person_rgb(int(person)), WHITE, 0.35)
            above = top - [0, 2.1 * size_px]
            draw_tag(draw, above, label.format(person=person, score=score), colour, size_px)
