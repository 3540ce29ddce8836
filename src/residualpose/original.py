"""The original tool's interface: its configuration keys in, its four result files out."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

import numpy as np
from PIL import Image

from residualpose.drawing.canvases import draw_canvases
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.estimator import PoseEstimator, Stages
from residualpose.frames import DepthFrame
from residualpose.original_config import OriginalConfig
from residualpose.poses import Poses
from residualpose.sources import open_source

VISIBLE = np.array([0, 2, 1, 1])
"""By `Origin`: 0 absent, 1 guessed (the place or only its depth), 2 measured."""
JPEG_QUALITY = 92


def choose_estimator(config: OriginalConfig) -> tuple[Callable[[DepthFrame], Stages], str]:
    """What turns a frame into stages, and why it is not the release's networks ("" if it is)."""
    missing = config.missing_files()
    if missing:
        convention = config.convention
        note = (
            f"{config.source}: {missing[0]}"
            + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
            + f" not found: using the bundled model with convention {convention}"
        )
        return PoseEstimator(convention=convention).explain, note
    from residualpose.released_estimator import ReleasedEstimator

    return ReleasedEstimator.from_config(config).explain, ""


def read_sample(path: str | Path, config: OriginalConfig) -> DepthFrame:
    """The (first) frame of a depth file, seen by the configuration's camera."""
    for frame in open_source(path, camera=config.camera):
        return frame
    raise ResidualPoseError(f"{path}: expected a depth frame, found none")


def pose_results(poses: Poses, image_id: str, axes: np.ndarray) -> list[dict[str, object]]:
    """The people in the original's format, null where a number is unknown.

    `keypoints` holds [x, y, visible, score] in pixels with visible 0 absent, 1 guessed, 2
    measured; `keypoints_3d` [x, y, z] in metres, multiplied by `axes` (3,).
    """
    visible = VISIBLE[poses.origin]
    joints_m = poses.joints_m * axes
    return [
        {
            "image_id": image_id,
            "keypoints": [
                [*_numbers(xy, 3), int(seen), *_numbers([score], 4)]
                for xy, seen, score in zip(
                    poses.joints_px[p], visible[p], poses.joint_score[p], strict=True
                )
            ],
            "score": _numbers([poses.person_score[p]], 4)[0],
            "keypoints_3d": [_numbers(xyz, 5) for xyz in joints_m[p]],
        }
        for p in range(len(poses))
    ]


def _numbers(values: Sequence[float] | np.ndarray, digits: int) -> list[float | None]:
    return [round(float(v), digits) if np.isfinite(v) else None for v in values]


def write_results(
    folder: Path, pictures: dict[str, np.ndarray], people: list[dict[str, object]]
) -> None:
    """Write the files complete or not at all: earlier results stay where this fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as name:
            for file, picture in pictures.items():
                Image.fromarray(picture).save(Path(name, file), quality=JPEG_QUALITY)
            text = json.dumps(people, indent=1, allow_nan=False)
            Path(name, "pose_results.json").write_text(text + "\n", encoding="utf-8")
            for path in sorted(Path(name).iterdir()):
                path.replace(folder / path.name)
    except OSError as error:
        raise UsageError(
            f"{folder}: expected a folder to write to, found {error.strerror or error}"
        ) from None


def run(config_file: Path, image_sample: Path, output_path: Path) -> tuple[int, str]:
    """One frame from file to the four result files; returns people found and a note or ""."""
    config = OriginalConfig.load(config_file)
    frame = read_sample(image_sample, config)
    explain, note = choose_estimator(config)
    stages = explain(frame)
    people = pose_results(stages.poses, image_sample.stem, config.axes)
    canvases = draw_canvases(frame.depth_m, stages.poses, stages.completed_m)
    pictures = {f"{field.name}.jpg": getattr(canvases, field.name) for field in fields(canvases)}
    write_results(output_path, pictures, people)
    return len(people), note


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; {self.prog} --help lists the options")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="main.py",
        description="People in 3D from one depth frame: writes canvas_2d.jpg, "
        "canvas_3d_prior.jpg, canvas_3d_regressed.jpg and pose_results.json.",
    )
    add = parser.add_argument
    add("--config_file", type=Path, required=True, help="config/itop_config_file.json, ...")
    add("--image_sample", type=Path, required=True, help="depth frame: .npy, .mat, .png, ...")
    add("--output_path", type=Path, required=True, help="folder for the results")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit status, 1 for bad data and 2 for a wrong request."""
    try:
        args = _parser().parse_args(argv)
        people, note = run(args.config_file, args.image_sample, args.output_path)
    except ResidualPoseError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return 2 if isinstance(error, UsageError) else 1
    if note:
        sys.stderr.write(f"{note}\n")
    sys.stdout.write(f"{people} people: {args.output_path / 'pose_results.json'}\n")
    return 0
