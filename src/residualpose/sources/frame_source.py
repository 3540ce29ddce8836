"""Open any source of depth frames and settle each frame's unit and camera."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from residualpose.camera import PRESETS, Camera
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.frames import DepthFrame
from residualpose.sources.arrays import read_npy, read_npz
from residualpose.sources.azure_mkv import read_mkv
from residualpose.sources.exr import read_exr
from residualpose.sources.images import read_image
from residualpose.sources.itop_h5 import read_itop_h5
from residualpose.sources.kinoptic_dat import read_kinoptic
from residualpose.sources.listing import Selection, ending, list_files, split_range
from residualpose.sources.mat import read_mat
from residualpose.sources.plain import is_plain_folder, read_plain_folder, read_tar
from residualpose.sources.raw import Recording
from residualpose.sources.realsense import read_db3
from residualpose.sources.realsense_live import read_camera
from residualpose.sources.ros_bag import is_ros2_folder, read_ros_bag
from residualpose.sources.standard_input import read_standard_input
from residualpose.sources.units import parse_unit, to_metres

READERS: dict[str, Callable[[Path], Recording]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".mat": read_mat,
    ".png": read_image,
    ".tif": read_image,
    ".tiff": read_image,
    ".exr": read_exr,
    ".h5": read_itop_h5,
    ".hdf5": read_itop_h5,
    ".h5.gz": read_itop_h5,
    "depthdata.dat": read_kinoptic,
    ".tar": read_tar,
    ".tar.gz": read_tar,
    ".tgz": read_tar,
    ".bag": read_ros_bag,
    ".db3": read_db3,
    ".mcap": read_ros_bag,
    ".mkv": read_mkv,
}
"""The reader of each file name ending. A reader imports its library when it is called."""

FOLDERS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Recording]], ...] = (
    (is_plain_folder, read_plain_folder),
    (is_ros2_folder, read_ros_bag),
)
"""Folders that are one recording: how to tell, and the reader."""


_STDIN = Path("/dev/stdin")
_CAMERA = "realsense:"
"""How the path of a camera begins: realsense:/SERIAL."""


class UnboundedError(UsageError, TypeError):
    """The length was asked of what has none; list() and others that only wish to know go on."""


@dataclass(frozen=True, slots=True)
class FrameSource:
    """The depth frames of one or more files, read one at a time as they are iterated.

    Frames of a camera are always the newest; gaps in their `index` are those that were dropped.
    """

    files: tuple[Selection, ...]
    camera: Camera | str | None
    unit_m: float | None

    @property
    def unbounded(self) -> bool:
        """Whether frames come only once, and nobody knows how many: a camera, standard input."""
        return any(_is_stream(file.path) for file in self.files)

    @property
    def live(self) -> bool:
        """Whether frames are dropped while nobody takes them: a camera."""
        return any(_is_camera(file.path) for file in self.files)

    def __len__(self) -> int:
        """Frames in all files; opens each of them.

        Raises:
            UnboundedError: it is unbounded.
        """
        if self.unbounded:
            raise UnboundedError(f"{self.files[0].path}: nobody knows how many frames will come")
        return sum(len(_open(file)[1]) for file in self.files)

    def __iter__(self) -> Iterator[DepthFrame]:
        """Yield every frame in order.

        Raises:
            ResidualPoseError: a file that cannot be read as depth.
            UsageError: a file without a camera when none was given.
        """
        return (frame for file in self.files for frame in self._frames_of(file))

    def split(self) -> list[FrameSource]:
        """One source a file, so that a bad file need not end the others."""
        return [FrameSource((file,), self.camera, self.unit_m) for file in self.files]

    def _frames_of(self, file: Selection) -> Iterator[DepthFrame]:
        recording, indices = _open(file)
        beside = file.path.with_name("camera.json")
        neighbour = Camera.load(beside) if self.camera is None and beside.is_file() else None
        for raw in recording.read(indices):
            height, width = raw.values.shape
            own = self.camera or raw.camera or neighbour
            yield DepthFrame(
                to_metres(raw.values, self.unit_m or raw.unit_m),
                _resolve_camera(file.path, own, (width, height)),
                source=str(file.path),
                index=raw.index,
                time_s=raw.time_s,
            )


def open_source(
    source: str | Path,
    camera: Camera | str | None = None,
    depth_unit: str | float | None = None,
    frames: slice | None = None,
) -> FrameSource:
    """Open a file, folder or glob of depth images.

    Args:
        source: .npy, .npz, .mat, 16-bit .png, .tif, .exr or ITOP-style .h5; a ROS bag; a tar or a
            folder with camera.json; a folder or a glob of files; "FILE:START:STOP[:STEP]" for some
            frames of a recording; "-" for standard input; "realsense://SERIAL" for a camera.
        camera: A Camera, a preset, a .json file or "fx,fy,cx,cy". None: the file's own K or the
            camera.json beside it.
        depth_unit: "m", "mm" or metres per stored unit. None: integers are millimetres, floats
            metres unless their median exceeds 50.
        frames: Which frames of a recording, or which files of a folder.

    Raises:
        ResidualPoseError: no such file.
        UsageError: an impossible camera, unit or range.
    """
    unit_m = parse_unit(depth_unit)
    if isinstance(camera, str):
        Camera.parse(camera)  # a wrong name is reported before any file is opened
    stream = _stream(str(source), frames)
    if stream is not None:
        return FrameSource((stream,), camera, unit_m)
    files = list_files(str(source), tuple(READERS), frames or slice(None), _is_recording)
    for file in files:
        if not file.path.exists():
            raise ResidualPoseError(f"{file.path}: no such file, folder or glob")
        if _reader(file.path) is None:
            raise ResidualPoseError(
                f"{file.path}: expected one of {', '.join(READERS)}, "
                f"found {file.path.suffix or 'no file name ending'}"
            )
    return FrameSource(tuple(files), camera, unit_m)


def _stream(source: str, frames: slice | None) -> Selection | None:
    """Standard input or a camera, which are no files; None for all else."""
    text, chosen = split_range(source)
    wanted = chosen or frames or slice(None)
    name, found, serial = text.partition("://")
    if text in ("-", str(_STDIN)):
        path = _STDIN
    elif found and name == "realsense":
        path = Path(_CAMERA, serial)
    elif found and name.isalnum():
        raise UsageError(f"{source}: expected realsense://SERIAL or a file, found {name}://")
    else:
        return None
    if (wanted.start or 0) < 0 or (wanted.stop or 0) < 0 or (wanted.step or 1) < 1:
        raise UsageError(f"{source}: its end is not known, so that frames count from its start")
    return Selection(path, wanted)


def _is_camera(path: Path) -> bool:
    return path.parts[:1] == (_CAMERA,)


def _is_stream(path: Path) -> bool:
    return path == _STDIN or _is_camera(path)


def _reader(path: Path) -> Callable[[Path], Recording] | None:
    """What reads a file or folder; None for what we do not know."""
    if _is_stream(path):
        return read_camera if _is_camera(path) else read_standard_input
    if path.is_dir():
        return next((reader for tell, reader in FOLDERS if tell(path)), None)
    return READERS.get(ending(path))


def _is_recording(path: Path) -> bool:
    return path.is_dir() and any(tell(path) for tell, _ in FOLDERS)


def _open(file: Selection) -> tuple[Recording, range]:
    reader = _reader(file.path)
    if reader is None:
        raise ResidualPoseError(f"{file.path}: no such file")
    recording = reader(file.path)
    count = sys.maxsize if recording.count is None else recording.count
    indices = range(count)[file.frames]
    if not indices:
        raise UsageError(f"{file.path}: the frame range selects none of its {count} frames")
    return recording, indices


def _resolve_camera(path: Path, camera: Camera | str | None, size: tuple[int, int]) -> Camera:
    """The camera of an image of `size` (width, height), by name where it was given by name."""
    if camera is None:
        raise UsageError(
            f"{path}: the file holds no camera: give --camera fx,fy,cx,cy, a .json file, or one "
            f"of {', '.join(PRESETS)}"
        )
    if isinstance(camera, Camera):
        return camera
    try:
        return Camera.parse(camera, size)
    except ResidualPoseError as error:
        raise type(error)(f"{path}: {error}") from None
