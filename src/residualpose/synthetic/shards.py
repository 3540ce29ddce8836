"""Rendered frames on disk: shards that any number of workers makes alike, byte for byte.

Frame i of shard k depends on (seed, k, i) alone, so a killed run resumes by making what is missing.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.results import replacing
from residualpose.skeleton import ITOP15
from residualpose.synthetic.bodies import BodyBank, make_bank
from residualpose.synthetic.mhclo import read_garments
from residualpose.synthetic.people import MAX_PEOPLE, RenderedFrame, SceneConfig, render_frame
from residualpose.synthetic.poses import PoseLibrary

MM = 1000.0
_CAPTURED = "captured_poses.npz"
_JOINTS = "joints"
"""Entry with the joints' names; the shards before there was one hold those of ITOP15."""


@dataclass(frozen=True, slots=True)
class SynthConfig:
    """What `residualpose synth` makes."""

    seed: int = 0
    """Everything follows from it."""
    shards: int = 40
    """Number of shard files."""
    frames: int = 512
    """Frames a shard."""
    bodies: int = 256
    """Body shapes in the bank."""
    mocap: tuple[Path, ...] = ()
    """Motion capture (.zip, folder, .bvh, .amc) to mix with the procedural poses."""
    wardrobe: Path | None = None
    """Archive (.zip) of MakeHuman clothes to mix with the procedural ones."""
    scene: SceneConfig = field(default_factory=SceneConfig)

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("shards", 1), ("frames", 1), ("bodies", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"{name}: expected at least {least}, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Cast:
    """Who may appear in the frames of a run, and how they may stand."""

    bank: BodyBank
    poses: PoseLibrary


@dataclass(frozen=True, slots=True)
class Shard:
    """N clean frames with their truth; people are padded to MAX_PEOPLE with NaN."""

    depth_mm: np.ndarray
    """(N, H, W) uint16, 0 where nothing."""
    label: np.ndarray
    """(N, H, W) uint8: person number (0 background) times 16 plus material."""
    joints_m: np.ndarray
    """(N, MAX_PEOPLE, 15, 3) float32 camera frame, NaN where there is no person."""
    visible: np.ndarray
    """(N, MAX_PEOPLE, 15) bool."""
    intrinsics: np.ndarray
    """(N, 4) float32 fx, fy, cx, cy."""
    viewpoint: np.ndarray
    """(N,) names of the camera placements."""

    def __len__(self) -> int:
        return len(self.depth_mm)

    def camera(self, frame: int) -> Camera:
        """Camera of one frame."""
        fx, fy, cx, cy = self.intrinsics[frame].tolist()
        return Camera(fx, fy, cx, cy)


def shard_path(folder: Path, index: int) -> Path:
    """File of shard number `index`."""
    return folder / f"shard_{index:05d}.npz"


def make_shard(folder: Path, index: int, config: SynthConfig, cast: Cast) -> Path:
    """Render one shard unless it is there already; written whole or not at all.

    Raises:
        ResidualPoseError: it cannot be written.
    """
    path = shard_path(folder, index)
    if path.exists():
        return path
    shard = pack([frame_of(cast, config, index, number) for number in range(config.frames)])
    # Zipped in memory: a disk that fills up while zipfile writes makes it fail without the reason.
    content = io.BytesIO()
    arrays: dict[str, Any] = {name: getattr(shard, name) for name in Shard.__slots__}
    arrays[_JOINTS] = np.array(ITOP15.joints)
    np.savez_compressed(content, **arrays)
    with replacing(path) as stream:
        stream.write(content.getbuffer())
        stream.flush()
        os.fsync(stream.fileno())
    return path


def frame_of(cast: Cast, config: SynthConfig, index: int, number: int) -> RenderedFrame:
    """Frame `number` of shard `index`."""
    rng = np.random.default_rng([config.seed, index, number])
    return render_frame(cast.bank, cast.poses, config.scene, rng)


def pack(frames: Sequence[RenderedFrame]) -> Shard:
    """Rendered frames as a shard."""
    joints = np.full((len(frames), MAX_PEOPLE, len(ITOP15.joints), 3), np.nan, np.float32)
    visible = np.zeros(joints.shape[:3], bool)
    for i, frame in enumerate(frames):
        joints[i, : len(frame.joints_m)] = frame.joints_m
        visible[i, : len(frame.joints_m)] = frame.visible
    return Shard(
        np.stack([np.clip(f.depth_m * MM, 0, 65535).round().astype(np.uint16) for f in frames]),
        np.stack([f.person * 16 + f.material for f in frames]),
        joints,
        visible,
        np.array([(c.fx, c.fy, c.cx, c.cy) for c in (f.camera for f in frames)], np.float32),
        np.array([f.viewpoint for f in frames]),
    )


def load_shard(path: Path) -> Shard:
    """Read a shard, an older one with fewer people or other joints too; checksums are verified.

    Raises:
        ResidualPoseError: the file is missing, cut short or not a shard.
    """
    with _reading(path) as data:
        shard = Shard(*(data[f] for f in Shard.__slots__))
        names = data[_JOINTS].tolist() if _JOINTS in data else list(ITOP15.joints)
        return _as_today(shard, names)


def _as_today(shard: Shard, names: Sequence[str]) -> Shard:
    """Padded to MAX_PEOPLE, joints in the order of ITOP15; what the file lacks is NaN."""
    count, people, stored = shard.visible.shape
    if people > MAX_PEOPLE or stored != len(names):
        raise ValueError(
            f"{people} people of {stored} joints, where at most {MAX_PEOPLE} of {len(names)} fit"
        )
    known = [(k, names.index(name)) for k, name in enumerate(ITOP15.joints) if name in names]
    here, there = (list(column) for column in zip(*known, strict=True))
    joints = np.full((count, MAX_PEOPLE, len(ITOP15.joints), 3), np.nan, np.float32)
    visible = np.zeros(joints.shape[:3], bool)
    joints[:, :people, here] = shard.joints_m[:, :, there]
    visible[:, :people, here] = shard.visible[:, :, there]
    return replace(shard, joints_m=joints, visible=visible)


def frame_count(path: Path) -> int:
    """Number of frames in a shard, without reading the images; errors as `load_shard`."""
    with _reading(path) as data:
        return len(data["intrinsics"])


@contextmanager
def _reading(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    try:
        with np.load(path, allow_pickle=False) as data:
            yield data
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise ResidualPoseError(
            f"{path}: expected a shard of rendered frames, found {error}; delete it and run "
            "synth again"
        ) from None


def prepare_cast(folder: Path, config: SynthConfig) -> None:
    """Make what all workers share and keep it in the run's folder: clothed bodies, captured poses.

    Raises:
        MissingExtraError: anny is not installed.
        ResidualPoseError: motion capture or clothes cannot be read, or the folder not be written.
    """
    captured, bank = folder / _CAPTURED, _bank_path(folder, config)
    if config.mocap and not captured.exists():
        library, temporary = PoseLibrary.from_mocap(config.mocap), captured.with_suffix(".part")
        try:
            library.save_captured(temporary)
            temporary.replace(captured)
        finally:
            temporary.unlink(missing_ok=True)
    if not bank.exists():
        garments = read_garments(config.wardrobe) if config.wardrobe else []
        make_bank(config.bodies, config.seed, garments).save(bank)


def load_cast(folder: Path, config: SynthConfig) -> Cast:
    """The bodies and poses that `prepare_cast` left in a run's folder."""
    poses = PoseLibrary.procedural()
    if config.mocap:
        poses = poses.with_captured(folder / _CAPTURED)
    try:
        return Cast(BodyBank.load(_bank_path(folder, config)), poses)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ResidualPoseError(
            f"{_bank_path(folder, config)}: expected the bodies of this run, found {error}; "
            "delete it and run synth again"
        ) from None


def _bank_path(folder: Path, config: SynthConfig) -> Path:
    return folder / f"bodies_{config.bodies}_{config.seed}.npz"
