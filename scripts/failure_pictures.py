"""Pictures of what a model does wrong, from the frozen benchmark's rendered frames.

    python scripts/failure_pictures.py OUT.jpg [--model NAME] --cache FOLDER

A row for each kind of failure, its four worst people: the truth on the left, what was found on the
right (joints that are hidden, or guessed, hollow). FOLDER is that of
`residualpose eval benchmark --cache`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image, ImageDraw

from residualpose import PoseEstimator
from residualpose.drawing.overlay import draw_film_frame
from residualpose.evaluation.attributes import occlusion_names
from residualpose.evaluation.benchmark import Recipe, benchmark_folder
from residualpose.evaluation.labelled import LabelledFrame, open_benchmark
from residualpose.evaluation.match import match_people
from residualpose.frames import DepthFrame
from residualpose.poses import Origin, Poses
from residualpose.skeleton import ITOP15, L_HAND, R_HAND

WRONG_M = 0.1
"""Mean error of the joints that a row is about, from which on a person is counted."""
TILE_PX, COLUMNS, GAP_PX, TITLE_PX = 150, 4, 4, 18
ROWS = ("straight overhead", "left and right exchanged", "part hidden", "a hand that is in sight",
        "not found")  # fmt: skip
_PAPER, _INK = (250, 250, 248), (40, 40, 40)


@dataclass(frozen=True, slots=True)
class Failure:
    """One person whom the model got wrong."""

    row: str
    """One of ROWS."""
    error_m: float
    """How wrong; the worst are shown."""
    frame: DepthFrame
    truth: Poses
    """The true person alone."""
    found: Poses
    """The same person as found; nobody where there was none."""


@dataclass(frozen=True, slots=True)
class PicturesConfig:
    """What to draw."""

    out: Annotated[Path, tyro.conf.Positional]
    """Picture to write."""
    cache: Path
    """Folder in which the benchmark's frames lie."""
    model: str | None = None
    """Name or folder of the model; the default model without one."""


def failures(estimate: PoseEstimator, one: LabelledFrame) -> Iterator[Failure]:
    """What went wrong with the people of a frame who were to be found."""
    poses = estimate(one.frame)
    pairs = dict((q, p) for p, q in match_people(poses.joints_m, one.truth_m, 0.5))
    visible = one.visible if one.visible is not None else np.ones(one.truth_m.shape[:2], bool)
    for q in map(int, np.flatnonzero(one.asked)):
        truth = _true(one, q, visible[q])
        if q not in pairs:
            yield Failure(ROWS[4], float(visible[q].sum()), one.frame, truth, poses[:0])
            continue
        found = poses[pairs[q] : pairs[q] + 1]
        error = np.linalg.norm(found.joints_m[0] - one.truth_m[q], axis=-1)
        exchanged = found.joints_m[0, list(ITOP15.mirror)] - one.truth_m[q]
        row = ""
        if one.view == "overhead":
            row = ROWS[0]
        elif np.nanmean(np.linalg.norm(exchanged, axis=-1)) < 0.6 * np.nanmean(error):
            row = ROWS[1]
        elif occlusion_names(visible[q][None])[0] != "in sight":
            row = ROWS[2]
        elif np.nanmedian(error) < 0.08 and visible[q, [R_HAND, L_HAND]].all():
            row, error = ROWS[3], error[[R_HAND, L_HAND]]
        if row and np.nanmean(error) > WRONG_M:
            yield Failure(row, float(np.nanmean(error)), one.frame, truth, found)


def _true(one: LabelledFrame, q: int, visible: np.ndarray) -> Poses:
    """A labelled person as if found; hidden joints are drawn as guessed ones are."""
    return Poses(
        joints_px=one.truth_px[q : q + 1].astype(np.float32),
        joints_m=one.truth_m[q : q + 1].astype(np.float32),
        joint_score=np.ones((1, 15), np.float32),
        person_score=np.ones(1, np.float32),
        origin=np.where(visible, Origin.MEASURED, Origin.PRIOR)[None].astype(np.uint8),
        covariance_m2=np.full((1, 15, 3, 3), np.nan, np.float32),
        camera=one.frame.camera,
        skeleton=ITOP15,
    )


def tile(failure: Failure, poses: Poses) -> Image.Image:
    """The square around the true person, with `poses` drawn on it."""
    height, width = failure.frame.depth_m.shape
    corners = np.clip(failure.truth.joints_px[0], 0, [width - 1, height - 1])
    low, high = np.nanmin(corners, axis=0), np.nanmax(corners, axis=0)
    half = max(0.65 * float((high - low).max()), 24.0)
    scale = TILE_PX / (2 * half)
    picture = Image.fromarray(draw_film_frame(failure.frame.depth_m, poses, scale))
    left, top = ((low + high) / 2 - half) * scale
    return picture.crop((round(left), round(top), round(left) + TILE_PX, round(top) + TILE_PX))


def sheet(found: list[Failure]) -> Image.Image:
    """All rows under their titles."""
    pair, row_px = 2 * TILE_PX + GAP_PX, TITLE_PX + TILE_PX + GAP_PX
    picture = Image.new("RGB", (COLUMNS * (pair + 3 * GAP_PX), len(ROWS) * row_px), _PAPER)
    draw = ImageDraw.Draw(picture)
    for y, row in enumerate(ROWS):
        worst = sorted((f for f in found if f.row == row), key=lambda f: -f.error_m)
        draw.text((3, y * row_px + 3), f"{row} ({len(worst)})", fill=_INK)
        for x, failure in enumerate(worst[:COLUMNS]):
            for side, poses in enumerate((failure.truth, failure.found)):
                at = x * (pair + 3 * GAP_PX) + side * (TILE_PX + GAP_PX), y * row_px + TITLE_PX
                picture.paste(tile(failure, _numbered(poses)), at)
    return picture


def _numbered(poses: Poses) -> Poses:
    """The same people, all in the first colour."""
    return replace(poses, person_id=np.zeros(len(poses), np.int64))


def main(config: PicturesConfig) -> int:
    """Find, sort, draw."""
    recipe = Recipe()
    frames = open_benchmark(benchmark_folder(config.cache, recipe), recipe)
    estimate = PoseEstimator(config.model)
    found = [failure for one in frames for failure in failures(estimate, one)]
    sheet(found).save(config.out, quality=74, optimize=True)
    sys.stdout.write(f"{len(found)} people of the rows in {len(frames)} frames: {config.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(PicturesConfig, description=__doc__)))
