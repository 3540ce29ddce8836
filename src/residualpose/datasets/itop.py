"""ITOP (zenodo 3932973): ITOP_{side,top}_{train,test}_{depth_map,labels}.h5, or .h5.gz.

Its y points up: x = (u - 160) z 0.0035 and y = (120 - v) z 0.0035. Only frames with `is_valid` have
labels that may be used; the score counts all of their 15 joints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from residualpose.camera import Camera, preset
from residualpose.datasets.cloud import inside_image
from residualpose.datasets.dataset import Sample
from residualpose.datasets.faults import not_numbers, outside_frame
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.frames import DepthFrame
from residualpose.skeleton import ITOP15, Skeleton
from residualpose.sources.h5_files import H5File
from residualpose.sources.itop_h5 import depth_maps
from residualpose.sources.raw import stack_shape

_ENDINGS = (".h5", ".h5.gz")
_Y_UP = np.array([1.0, -1.0, 1.0])
_FAR_OUTSIDE = 0.2
"""Of the image's width: in the published files 0.5 % of the joints lie outside by less."""
_PIXELS_AGREE_PX = 5.0
_LABELS = {
    "id": (), "is_valid": (), "image_coordinates": (15, 2), "real_world_coordinates": (15, 3),
    "visible_joints": (15,),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ItopDataset:
    """One split of one view."""

    kind: str
    path: Path
    depth: H5File
    camera: Camera
    size: tuple[int, int]
    """Width and height of the images."""
    ids: np.ndarray
    """(N,) text PP_FFFFF of all frames: person and frame."""
    joints_m: np.ndarray
    """(N, 15, 3) of all frames, our camera frame."""
    joints_px: np.ndarray
    """(N, 15, 2) as the files have them."""
    visible: np.ndarray
    """(N, 15) bool."""
    rows: np.ndarray
    """(M,) the valid frames."""
    skeleton: Skeleton = ITOP15
    one_person: bool = True

    def __len__(self) -> int:
        return len(self.rows)

    def frames(self, indices: Iterable[int] | None = None) -> Iterator[Sample]:
        """Valid frames by number; see `Dataset.frames`."""
        with depth_maps(self.depth) as data:
            for i in range(len(self)) if indices is None else indices:
                row = int(self.rows[i])
                joints_m = self.joints_m[row][None]
                if not np.isfinite(joints_m).all():
                    fault = not_numbers(joints_m, self.skeleton, lambda _, r=row: self._name(r))
                    raise ResidualPoseError(f"{self.path}: {fault[0]}, though the frame is valid")
                frame = DepthFrame(
                    np.asarray(data[row], np.float32), self.camera, str(self.depth.path), row
                )
                inside = inside_image(self.camera.project(joints_m), *self.size)
                yield Sample(frame, joints_m, self.visible[row][None] & inside)

    def about(self) -> dict[str, str]:
        """See `Dataset.about`."""
        people = sorted({name.partition("_")[0] for name in self.ids})
        return {
            "files": f"{self.depth.path.name} and its labels",
            "frames": f"{len(self.ids)}, {len(self)} of them valid",
            "persons": f"{len(people)} ({', '.join(people[:20])})",
        }

    def faults(self) -> list[str]:
        """See `Dataset.faults`."""
        joints_m, px = self.joints_m[self.rows], self.joints_px[self.rows]
        asked = np.ones(joints_m.shape[:2], bool)
        margin_px = _FAR_OUTSIDE * self.size[0]

        def name(i: int) -> str:
            return self._name(int(self.rows[i]))

        found = not_numbers(joints_m, self.skeleton, name)
        found += outside_frame(
            joints_m, asked, self.camera, self.size, margin_px, self.skeleton, name
        )
        off_px = np.linalg.norm(self.camera.project(joints_m) - px, axis=-1)
        with np.errstate(invalid="ignore"):
            apart = np.argwhere(off_px > _PIXELS_AGREE_PX)
        if len(apart):
            row, joint = apart[0].tolist()
            found.append(
                f"{len(apart)} joints have image_coordinates and real_world_coordinates more than "
                f"{_PIXELS_AGREE_PX:.0f} px apart, first {self.skeleton.joints[joint]} in "
                f"{name(row)}, {off_px[row, joint]:.0f} px"
            )
        twice = len(self.ids) - len(set(self.ids.tolist()))
        return found + ([f"{twice} ids occur more than once"] if twice else [])

    def _name(self, row: int) -> str:
        return f"frame {self.ids[row]} (row {row})"


def open_itop(path: Path, view: str, split: str | None) -> ItopDataset:
    """Open a folder that holds ITOP's files, or one of the two files.

    Args:
        path: folder, depth file or label file.
        view: "side" or "top".
        split: "train" or "test"; None: what is there, test where both are.

    Raises:
        UsageError: the files are not there.
        ResidualPoseError: they are damaged, or do not belong together.
        MissingExtraError: h5py is not installed.
    """
    depth, labels = _pair(path, view, split)
    file = H5File(depth)
    with depth_maps(file) as data:
        count, height, width = stack_shape(depth, data.shape, data.dtype)
    arrays = _read_labels(labels, count)
    _same_ids(file, labels, arrays["id"])
    rows = np.flatnonzero(arrays["is_valid"])
    if not len(rows):
        raise ResidualPoseError(
            f"{labels}: expected valid frames, found is_valid 0 in all {count} frames"
        )
    joints_m = arrays["real_world_coordinates"].astype(np.float64) * _Y_UP
    return ItopDataset(
        f"itop-{view}", labels, file, preset("itop", (width, height)), (width, height),
        np.array([_text(name) for name in arrays["id"].tolist()]), joints_m,
        arrays["image_coordinates"].astype(np.float64), arrays["visible_joints"] > 0, rows,
    )  # fmt: skip


def _pair(path: Path, view: str, split: str | None) -> tuple[Path, Path]:
    """The depth file and the label file."""
    folder = path if path.is_dir() else path.parent
    if not path.is_dir():
        split = split or ("train" if f"_{view}_train_" in path.name else "test")
    for name in (split,) if split else ("test", "train"):
        stems = [f"ITOP_{view}_{name}_{what}" for what in ("depth_map", "labels")]
        found = [_first(folder, stem) for stem in stems]
        if all(found):
            return found[0], found[1]  # type: ignore[return-value]
        if any(found):
            missing = stems[found.index(None)]
            raise ResidualPoseError(
                f"{folder}: expected {missing}.h5 or .h5.gz beside the other file, found none"
            )
    raise UsageError(
        f"{folder}: expected ITOP_{view}_{split or 'test'}_depth_map.h5 and "
        f"ITOP_{view}_{split or 'test'}_labels.h5 (or .h5.gz), found neither"
    )


def _first(folder: Path, stem: str) -> Path | None:
    return next((p for p in (folder / f"{stem}{end}" for end in _ENDINGS) if p.is_file()), None)


def _read_labels(path: Path, count: int) -> dict[str, np.ndarray]:
    """The label arrays but the segmentation, which is large and not used."""
    with H5File(path).open() as file:
        missing = [name for name in _LABELS if name not in file]
        if missing:
            raise ResidualPoseError(
                f"{path}: expected {', '.join(_LABELS)}, found no {', '.join(missing)}"
            )
        arrays = {name: np.asarray(file[name]) for name in _LABELS}
    for name, shape in _LABELS.items():
        if arrays[name].shape != (count, *shape):
            raise ResidualPoseError(
                f"{path}: expected {name} {(count, *shape)} for the {count} depth images, found "
                f"{arrays[name].shape}"
            )
    return arrays


def _same_ids(file: H5File, labels: Path, ids: np.ndarray) -> None:
    """The rows of both files mean the same frames."""
    with file.open() as opened:
        if "id" not in opened:
            return
        theirs = np.asarray(opened["id"])
    if theirs.shape != ids.shape:
        raise ResidualPoseError(
            f"{file.path}: expected {len(ids)} ids, as in {labels.name}, found {len(theirs)}"
        )
    other = np.flatnonzero(theirs != ids)
    if len(other):
        row = int(other[0])
        raise ResidualPoseError(
            f"{labels}: expected the ids of {file.path.name}, found {_text(ids[row])} instead of "
            f"{_text(theirs[row])} in row {row}: the files are not of one split"
        )


def _text(name: bytes | str) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)
