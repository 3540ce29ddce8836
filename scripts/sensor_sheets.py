"""Contact sheets of rendered frames as each kind of sensor would give them.

    python scripts/sensor_sheets.py [FOLDER] [--shards FOLDER]
    python scripts/sensor_sheets.py FOLDER --recorded ../shared/real

The second form hides recorded frames among the rendered ones and writes where they are beside the
picture, to be read after looking. Recorded frames are not ours to publish: keep those sheets.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image
from sensor_frames import RECORDED, clean_frames, recorded_frames, sensed

from residualpose.synthetic.sensors import Sensor

FRAMES, COLUMNS, GAP_PX = 40, 8, 3
LARGEST_BYTES = 245_000
COMMON_SIZE_PX = (108, 116)
"""Rows and columns that frames of every sensor have: their size must not give them away."""
NEAR_M, FAR_M = 0.7, 7.0
COLOURS = np.array(
    [(35, 8, 66), (60, 77, 190), (52, 150, 235), (30, 206, 190), (105, 232, 100), (200, 226, 60),
     (250, 176, 50), (240, 96, 28), (176, 24, 18)], float,
)  # fmt: skip
SHEETS = {
    "structured_light": (("structured light", "structured light, cut out"), 0.85),
    "time_of_flight": (("time of flight",), 1.0),
    "stereo": (("stereo, filtered",), 0.5),
}
"""File name: recordings to hide in it, and the share of frames straight from the sensor."""
_PLAIN = {
    "structured_light": (Sensor.STRUCTURED_LIGHT, Sensor.CUTOUT),
    "time_of_flight": (Sensor.TIME_OF_FLIGHT, Sensor.TIME_OF_FLIGHT),
    "stereo": (Sensor.STEREO, Sensor.FILTERED),
}


@dataclass(frozen=True, slots=True)
class SheetConfig:
    """What to draw."""

    folder: Annotated[Path, tyro.conf.Positional] = Path("docs/images")
    """Where the sheets go."""
    shards: Path | None = None
    """Folder of rendered shards; without one, frames are rendered here."""
    recorded: Path | None = None
    """Folder of recorded frames to hide among the rendered ones."""
    hidden: int = 8
    """How many of them to hide in each sheet."""
    seed: int = 3


def main(config: SheetConfig) -> None:
    """Write one sheet for each kind of sensor."""
    config.folder.mkdir(parents=True, exist_ok=True)
    clean = clean_frames(config.shards, FRAMES, config.seed)
    for name, (kinds, share) in SHEETS.items():
        rng = np.random.default_rng([config.seed, len(name)])
        plain, processed = (sensed(clean, sensor, config.seed) for sensor in _PLAIN[name])
        tiles = list(np.where(rng.random(FRAMES)[:, None, None] < share, plain, processed))
        target = config.folder / f"sensors_{name}.jpg"
        if config.recorded is not None:
            target = config.folder / f"mixed_{name}.jpg"
            places = _hide(tiles, config, kinds, rng)
            target.with_suffix(".txt").write_text(
                "".join(f"row {p // COLUMNS + 1} column {p % COLUMNS + 1}\n" for p in places)
            )
        target.write_bytes(_jpeg(sheet(tiles)))


def _hide(
    tiles: list[np.ndarray], config: SheetConfig, kinds: tuple[str, ...], rng: np.random.Generator
) -> list[int]:
    """Put recorded frames in the place of random rendered ones, all cut to one size."""
    assert config.recorded is not None
    names = [name for kind in kinds for name in RECORDED[kind]]
    frames = [f for name in names for f in recorded_frames(config.recorded, name, config.hidden)]
    chosen = rng.permutation(len(frames))[: config.hidden]
    places = sorted(rng.permutation(len(tiles))[: len(chosen)].tolist())
    for place, index in zip(places, chosen, strict=True):
        tiles[place] = frames[index]
    tiles[:] = [_cut(tile, rng) for tile in tiles]
    return places


def _cut(depth_m: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    top, left = (
        int(rng.integers(side - least + 1)) if side > least else 0
        for side, least in zip(depth_m.shape, COMMON_SIZE_PX, strict=True)
    )
    return depth_m[top : top + COMMON_SIZE_PX[0], left : left + COMMON_SIZE_PX[1]]


def coloured(depth_m: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8: near red, far blue, by 1/z; shaded by slope; black without a reading."""
    inverse = 1 / np.where(depth_m > 0, depth_m, FAR_M)
    share = np.clip((inverse - 1 / FAR_M) / (1 / NEAR_M - 1 / FAR_M), 0, 1) ** 0.7
    place = share * (len(COLOURS) - 1)
    low = np.minimum(place.astype(int), len(COLOURS) - 2)
    blend = (place - low)[..., None]
    colour = COLOURS[low] * (1 - blend) + COLOURS[low + 1] * blend
    # Light from the upper left makes a centimetre visible where the colours alone would not.
    light = 1 + np.clip(
        -8 * (np.gradient(inverse, axis=1) + np.gradient(inverse, axis=0)), -0.3, 0.3
    )
    shaded = np.clip(colour * light[..., None], 0, 255)
    return np.where(depth_m[..., None] > 0, shaded, 0).astype(np.uint8)


def sheet(frames: list[np.ndarray]) -> Image.Image:
    """All frames in a grid."""
    height, width = (max(frame.shape[axis] for frame in frames) for axis in (0, 1))
    rows = -(-len(frames) // COLUMNS)
    grid = np.full((rows * (height + GAP_PX), COLUMNS * (width + GAP_PX), 3), 255, np.uint8)
    for k, frame in enumerate(frames):
        y, x = (k // COLUMNS) * (height + GAP_PX), (k % COLUMNS) * (width + GAP_PX)
        grid[y : y + frame.shape[0], x : x + frame.shape[1]] = coloured(frame)
    return Image.fromarray(grid[:-GAP_PX, :-GAP_PX])


def _jpeg(image: Image.Image) -> bytes:
    """The picture at the best quality that stays small."""
    for quality in range(90, 20, -5):
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality, optimize=True)
        if stream.tell() < LARGEST_BYTES:
            break
    return stream.getvalue()


if __name__ == "__main__":
    main(tyro.cli(SheetConfig, description=__doc__))
