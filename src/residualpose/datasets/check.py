"""Looks through a data set: what is there, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from residualpose.camera import Camera
from residualpose.datasets.cloud import cloud_distance_m
from residualpose.datasets.dataset import Dataset, Sample
from residualpose.errors import ResidualPoseError
from residualpose.skeleton import ITOP15

_OFF_CLOUD_M = 0.30
"""Joints lie inside the body, 5 to 15 cm under the surface; labels of another frame do not."""
_LIMB_M = (0.02, 0.90)
_DEPTH_M = (0.15, 15.0)
"""Between them lies the median of any indoor depth image."""
_PERCENTILES = (1, 99)


@dataclass(frozen=True, slots=True)
class Checked:
    """The answer, line by line."""

    about: dict[str, str]
    faults: list[str]


@dataclass(slots=True)
class _Seen:
    """What the frames looked at so far have shown."""

    frames: int = 0
    people: int = 0
    joints: int = 0
    visible: int = 0
    readings: list[float] = field(default_factory=list)
    range_m: list[np.ndarray] = field(default_factory=list)
    cloud_m: list[float] = field(default_factory=list)
    size: set[tuple[int, int]] = field(default_factory=set)
    cameras: dict[str, Camera] = field(default_factory=dict)
    wrong: dict[str, list[str]] = field(default_factory=dict)

    def complain(self, what: str, where: str) -> None:
        self.wrong.setdefault(what, []).append(where)


def check_dataset(dataset: Dataset, looked_at: int, progress: Callable[[], None]) -> Checked:
    """Check all labels, and the images of some frames, evenly spread.

    Args:
        dataset: what to check.
        looked_at: at most so many images are read.
        progress: called after each of them.
    """
    chosen = np.linspace(0, len(dataset) - 1, min(len(dataset), looked_at)).round().astype(int)
    faults, seen = dataset.faults(), _Seen()
    for i in chosen.tolist():
        try:
            _look(next(dataset.frames([i])), seen)
        except ResidualPoseError as error:
            faults += [str(error)] if str(error) not in faults else []
        progress()
    for what, where in seen.wrong.items():
        faults.append(f"{len(where)} of {seen.frames} images looked at: {what}, first {where[0]}")
    return Checked(_about(dataset, seen), faults)


def _look(sample: Sample, seen: _Seen) -> None:
    frame = sample.frame
    name = f"{Path(frame.source).name} frame {frame.index}"
    seen.frames += 1
    seen.people += len(sample.joints_m)
    seen.size.add((frame.width, frame.height))
    seen.cameras.setdefault(frame.camera.name or str(len(seen.cameras)), frame.camera)
    readings_m = frame.depth_m[frame.depth_m > 0]
    seen.readings.append(readings_m.size / frame.depth_m.size)
    if not readings_m.size:
        seen.complain("no depth reading at all", name)
        return
    seen.range_m.append(np.percentile(readings_m, _PERCENTILES))
    median_m = float(np.median(readings_m))
    if not _DEPTH_M[0] < median_m < _DEPTH_M[1]:
        seen.complain("the median depth is no room's in metres", f"{name}, {median_m:.3g} m")
    known = np.isfinite(sample.joints_m).all(-1)
    seen.joints += int(known.sum())
    seen.visible += int((sample.visible & known).sum())
    _look_at_people(sample, name, seen)


def _look_at_people(sample: Sample, name: str, seen: _Seen) -> None:
    start, end = np.transpose(ITOP15.limbs)
    for joints_m, visible in zip(sample.joints_m, sample.visible, strict=True):
        length_m = np.linalg.norm(joints_m[end] - joints_m[start], axis=-1)
        with np.errstate(invalid="ignore"):
            odd = (length_m < _LIMB_M[0]) | (length_m > _LIMB_M[1])
        if odd.any():
            longest = float(length_m[odd].max())
            seen.complain("a limb has no human length", f"{name}, {longest:.2f} m")
        looked = joints_m[visible] if visible.any() else joints_m
        if not np.isfinite(looked).all(-1).any():
            continue
        away_m = float(np.nanmedian(cloud_distance_m(sample.frame, looked)))
        seen.cloud_m.append(away_m)
        if away_m > _OFF_CLOUD_M:
            seen.complain("a skeleton lies off the cloud", f"{name}, {away_m:.2f} m")


def _about(dataset: Dataset, seen: _Seen) -> dict[str, str]:
    sizes = ", ".join(f"{width}x{height}" for width, height in sorted(seen.size))
    about = {
        "kind": dataset.kind,
        **dataset.about(),
        "skeleton": f"{dataset.skeleton.name}: {', '.join(dataset.skeleton.joints)}",
        "looked at": f"{seen.frames} images{f' of {sizes}' if sizes else ''}",
    }
    for name, camera in sorted(seen.cameras.items()):
        bent = ", distorted" if camera.distortion else ""
        about[f"camera {name}"] = (
            f"fx {camera.fx:.1f}, fy {camera.fy:.1f}, cx {camera.cx:.1f}, cy {camera.cy:.1f}{bent}"
        )
    if seen.frames:
        about["people"] = (
            f"{seen.people}, {seen.people / seen.frames:.1f} a frame; {seen.joints} joints, "
            f"{seen.visible / max(seen.joints, 1):.0%} of them visible"
        )
    if seen.range_m:
        low, high = np.median(seen.range_m, axis=0)
        empty = 1 - float(np.mean(seen.readings))
        about["depth"] = f"{low:.2f} to {high:.2f} m, {empty:.0%} of the pixels without a reading"
    if seen.cloud_m:
        about["joints to cloud"] = f"{np.median(seen.cloud_m):.3f} m in the median person"
    return about
