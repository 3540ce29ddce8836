"""GIF of the people over the depth, through Pillow: small enough for a page of documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from residualpose.drawing.palette import (
    INK,
    PERSON_RGB,
    WHITE,
    left_rgb,
    mix,
    person_rgb,
    right_rgb,
)
from residualpose.drawing.shade import FAR_RGB, HOLE_RGB, NEAR_RGB, shaded
from residualpose.results import replacing
from residualpose.sinks.run import Run
from residualpose.sinks.video import FilmFrame, films

if TYPE_CHECKING:
    from PIL import Image

_LONG_SIDE_PX = 320
_TINTS, _LIGHTS = 6, 10
_NOISE = 0.04
"""Of the distance."""


def write_gif(run: Run, base: Path) -> None:
    """Write BASE_SEQUENCE.gif, 320 pixels on its long side."""
    from PIL import Image

    from residualpose.drawing.overlay import draw_film_frame

    colours = _colours()
    for name, frames in films(run):
        images, times_s = [], []
        for one in _calm(frames):
            scale = _LONG_SIDE_PX / max(one.depth_m.shape)
            image = Image.fromarray(draw_film_frame(one.depth_m, one.poses, scale))
            images.append(image.quantize(palette=colours, dither=Image.Dither.NONE))
            times_s.append(one.time_s)
        ends_s = [*times_s[1:], times_s[-1] + 1 / run.fps]
        # GIF counts in hundredths of a second, and browsers slow down what is below two.
        shown_ms = [
            max(round((end - start) * 100), 2) * 10
            for start, end in zip(times_s, ends_s, strict=True)
        ]
        with replacing(base.with_name(f"{base.name}_{name}.gif")) as stream:
            images[0].save(
                stream, "GIF", save_all=True, append_images=images[1:], duration=shown_ms, loop=0
            )


def _calm(frames: Iterable[FilmFrame]) -> Iterator[FilmFrame]:
    """Depth that changes by more than the sensor's noise: what stands still costs no bytes."""
    shown_m: np.ndarray | None = None
    for one in frames:
        if shown_m is None or shown_m.shape != one.depth_m.shape:
            shown_m = one.depth_m
        still = np.abs(one.depth_m - shown_m) < _NOISE * np.minimum(one.depth_m, shown_m)
        shown_m = np.where(still, shown_m, one.depth_m)
        yield replace(one, depth_m=shown_m)


def _colours() -> Image.Image:
    """One palette for all frames, so that what does not move does not flicker."""
    from PIL import Image

    far, near = np.array(FAR_RGB), np.array(NEAR_RGB)
    depths = [
        tuple(shaded(far + tint * (near - far), light).round().astype(int).tolist())
        for tint, light in product(np.linspace(0, 1, _TINTS), np.linspace(0, 1, _LIGHTS))
    ]
    people = [
        colour
        for number in range(len(PERSON_RGB))
        for colour in (person_rgb(number), right_rgb(number), left_rgb(number),
                       mix(person_rgb(number), WHITE, 0.35), mix(person_rgb(number), INK, 0.5))
    ]  # fmt: skip
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.array([INK, WHITE, HOLE_RGB, *depths, *people]).ravel().tolist())
    return palette
