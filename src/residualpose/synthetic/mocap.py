"""Poses from motion capture: find BVH and AMC clips, retarget them, keep the most different.

Clips may lie in a folder, in a .zip archive, or be single files. CMU's library, for one, is free to
use (credit mocap.cs.cmu.edu).
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from residualpose.errors import ResidualPoseError, UsageError
from residualpose.synthetic.mocap_asf import read_amc, read_asf
from residualpose.synthetic.mocap_bvh import read_bvh
from residualpose.synthetic.pose_stack import PoseStack, joined
from residualpose.synthetic.retarget import Landmarks, retarget
from residualpose.synthetic.stick_figure import impossible, segment_ends

_CLIP_SUFFIXES = (".bvh", ".amc", ".asf")
_RATE_HZ = 5.0
_MAX_FRAMES = 400
_LEG_M = 0.84
_JUMP_M = (0.06, 0.5)
"""Below: noise of the capture. Above: a climb, where the floor is not the lowest point."""


def read_landmarks(
    path: Path, rate_hz: float = _RATE_HZ, max_frames: int = _MAX_FRAMES
) -> Iterator[Landmarks]:
    """Read every clip of a file, folder or .zip archive in order of name.

    Raises:
        UsageError: There is no such path, or no clip in it.
        ResidualPoseError: A clip is broken; the message names it.
    """
    texts = _texts(Path(path))
    if not any(PurePosixPath(name).suffix.lower() in (".bvh", ".amc") for name in texts):
        raise UsageError(f"{path}: expected .bvh or .amc clips, found none; give another path")
    skeletons = {n: read_asf(t, n) for n, t in texts.items() if n.lower().endswith(".asf")}
    for name, text in texts.items():
        suffix = PurePosixPath(name).suffix.lower()
        if suffix == ".bvh":
            yield read_bvh(text, name, rate_hz, max_frames)
        elif suffix == ".amc":
            skeleton = skeletons[_skeleton_of(name, list(skeletons))]
            yield read_amc(text, skeleton, name, rate_hz, max_frames)


def _texts(path: Path) -> dict[str, str]:
    """Text of the clips and skeletons by name, sorted."""
    if path.suffix.lower() == ".zip":
        return _texts_of_zip(path)
    if path.is_dir():
        files = [f for f in sorted(path.rglob("*")) if f.suffix.lower() in _CLIP_SUFFIXES]
    elif path.suffix.lower() == ".amc":
        files = [path, *sorted(path.parent.glob("*.asf"))]
    else:
        files = [path]
    try:
        return {str(file): file.read_text("latin-1") for file in files}
    except OSError as error:
        raise UsageError(f"{path}: cannot read motion capture: {error.strerror}") from error


def _texts_of_zip(path: Path) -> dict[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in sorted(archive.namelist()) if n.lower().endswith(_CLIP_SUFFIXES)]
            return {f"{path}/{name}": archive.read(name).decode("latin-1") for name in names}
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such archive of motion capture") from error
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ResidualPoseError(
            f"{path}: expected a .zip archive of clips, found it broken ({error}); fetch it again"
        ) from error


def _skeleton_of(clip: str, skeletons: list[str]) -> str:
    """The .asf in the clip's folder whose name begins the clip's, or the only one there."""
    where = PurePosixPath(clip)
    near = [PurePosixPath(name) for name in skeletons if PurePosixPath(name).parent == where.parent]
    same = [one for one in near if where.stem.split("_")[0] == one.stem]
    choice = same or (near if len(near) == 1 else [])
    if not choice:
        raise ResidualPoseError(
            f"{clip}: expected the skeleton {where.stem.split('_')[0]}.asf beside it, "
            f"found {len(near)} others; put it there"
        )
    return str(choice[0])


def clip_poses(marks: Landmarks) -> PoseStack:
    """The poses of a clip that do not push a limb through the body or the floor."""
    rotations = retarget(marks)
    sources = tuple(f"{PurePosixPath(marks.name).name}#{frame}" for frame in marks.frames)
    stack = PoseStack(rotations, _lift_m(marks), sources)
    return stack.take(np.flatnonzero(~impossible(rotations)))


def _lift_m(marks: Landmarks) -> np.ndarray:
    """Height (N,) of jumps over the clip's usual lowest point."""
    at = marks.points
    leg = np.linalg.norm(at["knee_r"] - at["hip_r"], axis=-1)
    leg = leg + np.linalg.norm(at["ankle_r"] - at["knee_r"], axis=-1)
    low = np.min([point[:, 2] for point in at.values()], axis=0) * (_LEG_M / np.median(leg))
    lift = low - np.percentile(low, 20)
    return np.where((lift > _JUMP_M[0]) & (lift < _JUMP_M[1]), lift, 0.0)


def farthest_first(features: np.ndarray, count: int) -> np.ndarray:
    """Indices of at most count of features (N, D), each the farthest from those before it.

    Exact repetitions are left out.
    """
    chosen = [0]
    nearest = np.full(len(features), np.inf)
    while len(chosen) < min(count, len(features)):
        nearest = np.minimum(nearest, np.sum((features - features[chosen[-1]]) ** 2, axis=-1))
        farthest = int(nearest.argmax())
        if nearest[farthest] <= 0.0:
            break
        chosen.append(farthest)
    return np.array(chosen)


def mocap_stack(paths: Sequence[Path], count: int) -> PoseStack:
    """The count most different poses of all clips, so that long walks do not dominate.

    Raises:
        UsageError: A path is absent or holds no clip.
        ResidualPoseError: A clip is broken; the message names it.
    """
    stack = joined([clip_poses(marks) for path in paths for marks in read_landmarks(Path(path))])
    if not len(stack):
        return stack
    ends = segment_ends(stack.rotations)[:, :, 1].reshape(len(stack), -1)
    return stack.take(np.sort(farthest_first(ends.astype(np.float32), count)))
