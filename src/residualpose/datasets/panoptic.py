"""CMU Panoptic's Kinect recordings ("Kinoptic") with its skeletons.

    SEQ/kinect_shared_depth/KINECTNODE{1..10}/depthdata.dat   (or SEQ/KINECTNODE{1..10})
    SEQ/kcalibration_SEQ.json, calibration_SEQ.json, ksynctables_SEQ.json, synctables_SEQ.json
    SEQ/hdPose3d_stage1_coco19/[hd/]body3DScene_00000000.json

A sample is one Kinect's image nearest in time to one high definition frame with skeletons.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from residualpose.datasets.cloud import cloud_distance_m, inside_image, seen_in_depth
from residualpose.datasets.dataset import Sample
from residualpose.datasets.kinoptic_calibration import (
    READINGS,
    KinectCalibration,
    Reading,
    one_file,
    read_calibrations,
    read_json,
)
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.frames import DepthFrame
from residualpose.skeleton import PANOPTIC15, Skeleton
from residualpose.sources.kinoptic_dat import DEPTH_FILE, MM, map_depth, node_number

_COCO19 = (1, 0, 9, 3, 10, 4, 11, 5, 2, 12, 6, 13, 7, 14, 8)
"""Joint of coco19 for each of ours: nose, neck, shoulders, elbows, wrists, body centre, ..."""
_SURE = 0.1
"""A joint triangulated with less confidence is unknown; -1 means that it was not seen."""
_FARTHEST_MS = 17.0
"""Half of a Kinect frame: an image farther in time from the skeleton shows another moment."""
_HD_OFFSET = 1
"""hd.univ_time[hd + 2] of the tools counts from 1."""
_TRIED = 16
"""Samples that decide what M_color means."""
_LIMBS = (0, 4, 5, 6, 7, 11, 12, 13, 14)
"""Joints in thin parts: the others are in the body as well when they lie 10 cm beside themselves,
which is what the wrong reading does."""
_FAR_M = 0.3
_ON_CLOUD_M = 0.15
"""Skeletons on their people are nearer to the cloud, under the right reading."""


@dataclass(frozen=True, slots=True)
class PanopticDataset:
    """All Kinects of one sequence."""

    path: Path
    nodes: dict[int, Path]
    """Number of a Kinect -> its depth file."""
    calibrations: dict[int, KinectCalibration]
    skeletons: dict[int, Path]
    """Number of a high definition frame -> its skeletons."""
    index: np.ndarray
    """(N, 3) high definition frame, Kinect, depth image."""
    time_s: np.ndarray
    """(N,) of the depth images, universal time."""
    untimely: int
    """Pairs of frame and Kinect without an image within 17 ms."""
    mismatches: tuple[str, ...]
    """Kinects whose sync table tells of another number of images than there are."""
    reading: Reading = READINGS[0]
    """What M_color means."""
    distances_m: tuple[float, ...] = ()
    """Mean distance of the skeletons' limbs to the cloud under each of READINGS."""
    kind: str = "panoptic"
    skeleton: Skeleton = PANOPTIC15
    one_person: bool = False

    def __len__(self) -> int:
        return len(self.index)

    def frames(self, indices: Iterable[int] | None = None) -> Iterator[Sample]:
        """Samples by number; see `Dataset.frames`."""
        for i in range(len(self)) if indices is None else indices:
            frame = self.depth_frame(i)
            joints_m = self.joints_m(i, self.reading)
            px = frame.camera.project(joints_m)
            here = inside_image(px, frame.width, frame.height).any(-1)
            yield Sample(frame, joints_m[here], seen_in_depth(frame, joints_m[here]))

    def depth_frame(self, i: int) -> DepthFrame:
        """The image of a sample."""
        _, node, number = self.index[i].tolist()
        path = self.nodes[node]
        depth_m = map_depth(path)[number].astype(np.float32) * np.float32(MM)
        camera = self.calibrations[node].camera
        return DepthFrame(depth_m, camera, str(path), number, float(self.time_s[i]))

    def joints_m(self, i: int, reading: Reading) -> np.ndarray:
        """(P, 15, 3) metres in the depth camera's frame, of everyone in the dome."""
        hd, node, _ = self.index[i].tolist()
        return self.calibrations[node].to_camera(read_bodies(self.skeletons[hd]), reading)

    def about(self) -> dict[str, str]:
        """See `Dataset.about`."""
        return {
            "files": f"{len(self.nodes)} Kinects: {', '.join(map(str, sorted(self.nodes)))}",
            "frames": f"{len(self.skeletons)} with skeletons, {len(self)} images of them, "
            f"{self.untimely} more without an image within {_FARTHEST_MS:.0f} ms",
            "M_color": self._decision(),
        }

    def faults(self) -> list[str]:
        """See `Dataset.faults`."""
        found = list(self.mismatches)
        if self.distances_m and min(self.distances_m) > _ON_CLOUD_M:
            found.append(
                "the skeletons lie off the cloud whatever M_color means: "
                f"{', '.join(f'{d:.2f} m' for d in self.distances_m)} away; the "
                "calibration or the sync tables are of another sequence"
            )
        return found

    def _decision(self) -> str:
        if not self.distances_m:
            return f"taken as {self.reading}: no skeleton to decide it by"
        told = [f"{d:.3f} m as {r}" for r, d in zip(READINGS, self.distances_m, strict=True)]
        return f"is {self.reading}: the skeletons are {', '.join(told)} from the cloud"


def open_panoptic(path: Path) -> PanopticDataset:
    """Open a sequence's folder.

    Raises:
        UsageError: there is no depth file.
        ResidualPoseError: files are missing, damaged or do not belong together.
    """
    files = [*path.glob(f"*/KINECTNODE*/{DEPTH_FILE}"), *path.glob(f"KINECTNODE*/{DEPTH_FILE}")]
    nodes = {node_number(file): file for file in sorted(files)}
    if not nodes:
        raise UsageError(
            f"{path}: expected kinect_shared_depth/KINECTNODE1/{DEPTH_FILE}, found none"
        )
    calibrations = read_calibrations(path, sorted(nodes))
    skeletons = _skeleton_files(path)
    index, time_s, untimely, mismatches = _synchronised(path, nodes, sorted(skeletons))
    if not len(index):
        raise ResidualPoseError(
            f"{path}: expected depth images within {_FARTHEST_MS:.0f} ms of the skeletons, found "
            f"none for {len(skeletons)} frames"
        )
    undecided = PanopticDataset(
        path, nodes, calibrations, skeletons, index, time_s, untimely, mismatches
    )
    distances_m = _distances(undecided)
    if not distances_m:
        return undecided
    reading = READINGS[int(np.argmin(distances_m))]
    return PanopticDataset(
        path, nodes, calibrations, skeletons, index, time_s, untimely, mismatches, reading,
        distances_m,
    )  # fmt: skip


def read_bodies(path: Path) -> np.ndarray:
    """(P, 15, 3) centimetres, world frame, of one file of coco19 skeletons; NaN where unsure.

    Raises:
        ResidualPoseError: the file does not hold such skeletons.
    """
    bodies = read_json(path).get("bodies")
    if not isinstance(bodies, list):
        raise ResidualPoseError(f"{path}: expected bodies, found none")
    joints = np.array([_body(path, body) for body in bodies], np.float64).reshape(-1, 19, 4)
    ours = joints[:, _COCO19]
    return np.where(ours[..., 3:] > _SURE, ours[..., :3], np.nan)


def _body(path: Path, body: Any) -> np.ndarray:
    try:
        joints = np.array(body["joints19"], np.float64)
    except (KeyError, TypeError, ValueError):
        joints = np.zeros(0)
    if joints.shape != (76,):
        raise ResidualPoseError(f"{path}: expected joints19 with 19 x 4 numbers for each body")
    if not np.isfinite(joints).all():
        raise ResidualPoseError(f"{path}: expected numbers in joints19, found NaN")
    return joints


def _skeleton_files(path: Path) -> dict[int, Path]:
    folder = path / "hdPose3d_stage1_coco19"
    files = [*folder.glob("body3DScene_*.json"), *folder.glob("hd/body3DScene_*.json")]
    numbered = {file.stem.rpartition("_")[2]: file for file in sorted(files)}
    found = {int(number): file for number, file in numbered.items() if number.isdigit()}
    if not found:
        raise ResidualPoseError(f"{folder}: expected body3DScene_00000000.json, ..., found none")
    return found


def _synchronised(
    path: Path, nodes: dict[int, Path], hd_frames: list[int]
) -> tuple[np.ndarray, np.ndarray, int, tuple[str, ...]]:
    """Index, times, pairs without a timely image, and what does not match."""
    hd_file, kinect_file = one_file(path, "synctables_*.json"), one_file(path, "ksynctables_*.json")
    hd_times = _times(hd_file, read_json(hd_file), ("hd",))
    tables = read_json(kinect_file)
    hd = np.array([frame for frame in hd_frames if frame + _HD_OFFSET < len(hd_times)], int)
    rows, times, mismatches = [], [], []
    for node, file in sorted(nodes.items()):
        node_times = _times(kinect_file, tables, ("kinect", "depth", f"KINECTNODE{node}"))
        count = len(map_depth(file))
        if count != len(node_times):
            mismatches.append(
                f"KINECTNODE{node}: {count} depth images, but {len(node_times)} times in "
                f"{kinect_file.name}"
            )
        nearest, apart = _nearest(hd_times[hd + _HD_OFFSET], node_times[:count])
        timely = np.flatnonzero(apart <= _FARTHEST_MS)
        number = nearest[timely]
        rows.append(np.stack([hd[timely], np.full(len(number), node), number], axis=-1))
        times.append(node_times[number] / 1000)
    index, time_s = np.concatenate(rows), np.concatenate(times)
    order = np.lexsort((index[:, 1], index[:, 0]))
    untimely = len(hd_frames) * len(nodes) - len(index)
    return index[order], time_s[order], untimely, tuple(mismatches)


def _nearest(wanted: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each time wanted, the number of the nearest of `times`, and how far it is."""
    if not len(times):
        return np.zeros(len(wanted), int), np.full(len(wanted), np.inf)
    order = np.argsort(times, kind="stable")
    after = np.searchsorted(times[order], wanted).clip(0, len(times) - 1)
    both = order[np.stack([(after - 1).clip(0), after])]
    apart = np.abs(times[both] - wanted)
    closer = apart.argmin(0)[None]
    return np.take_along_axis(both, closer, 0)[0], np.take_along_axis(apart, closer, 0)[0]


def _times(path: Path, tables: dict[str, Any], keys: tuple[str, ...]) -> np.ndarray:
    """Universal times in milliseconds."""
    table: Any = tables
    for key in (*keys, "univ_time"):
        table = table.get(key) if isinstance(table, dict) else None
    try:
        times = np.array(table, np.float64)
    except (TypeError, ValueError):
        times = np.zeros(())
    if times.ndim != 1:
        raise ResidualPoseError(f"{path}: expected {'.'.join((*keys, 'univ_time'))}, found none")
    return times


def _distances(dataset: PanopticDataset) -> tuple[float, ...]:
    """Mean distance to the cloud under each reading; nothing where nobody is in view."""
    chosen = np.linspace(0, len(dataset) - 1, min(len(dataset), _TRIED)).round().astype(int)
    found: dict[Reading, list[np.ndarray]] = {reading: [] for reading in READINGS}
    for i in chosen.tolist():
        frame = dataset.depth_frame(i)
        for reading in READINGS:
            joints_m = dataset.joints_m(i, reading)[:, _LIMBS]
            inside = inside_image(frame.camera.project(joints_m), frame.width, frame.height)
            found[reading].append(cloud_distance_m(frame, joints_m[inside]))
    pooled = [np.concatenate(found[reading]) for reading in READINGS]
    if not any(len(distances) for distances in pooled):
        return ()
    return tuple(float(d.clip(max=_FAR_M).mean()) if len(d) else _FAR_M for d in pooled)
