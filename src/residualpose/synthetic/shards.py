"""Rendered frames on disk: shards that any number of workers makes alike, byte for byte.

Frame i of shard k depends on (seed, k, i) alone, so a killed run resumes by making what is missing.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from residualpose.errors import ResidualPoseError
from residualpose.synthetic.people import MAX_PEOPLE, SceneConfig

MM = 1000.0


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
    scene: SceneConfig = field(default_factory=SceneConfig)


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


def shard_path(folder: Path, index: int) -> Path:
    """File of shard number `index`."""
    return folder / f"shard_{index:05d}.npz"


def make_shard(folder: Path, index: int, config: SynthConfig) -> Path:
    """Render one shard unless it is there already; written whole or not at all."""
    path = shard_path(folder, index)
    if path.exists():
        return path
    from residualpose.synthetic.people import render_frame

    bank, poses = load_cast(folder, config)
    frames = [
        render_frame(bank, poses, config.scene, np.random.default_rng([config.seed, index, i]))
        for i in range(config.frames)
    ]
    joints = np.full((len(frames), MAX_PEOPLE, 15, 3), np.nan, np.float32)
    visible = np.zeros((len(frames), MAX_PEOPLE, 15), bool)
    for i, frame in enumerate(frames):
        joints[i, : len(frame.joints_m)] = frame.joints_m
        visible[i, : len(frame.joints_m)] = frame.visible
    shard = Shard(
        np.stack([np.clip(f.depth_m * MM, 0, 65535).round().astype(np.uint16) for f in frames]),
        np.stack([f.person * 16 + f.material for f in frames]),
        joints,
        visible,
        np.array([[f.camera.fx, f.camera.fy, f.camera.cx, f.camera.cy] for f in frames], np.float32),
        np.array([f.viewpoint for f in frames]),
    )
    temporary = path.with_suffix(".part.npz")
    try:
        np.savez_compressed(temporary, **{f: getattr(shard, f) for f in Shard.__slots__})
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ResidualPoseError(f"{path}: cannot write the shard ({error.strerror})") from None
    temporary.replace(path)
    return path


def load_shard(path: Path) -> Shard:
    """Read a shard; its zip checksums are verified.

    Raises:
        ResidualPoseError: the file is missing, cut short or not a shard.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            return Shard(*(data[f] for f in Shard.__slots__))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ResidualPoseError(
            f"{path}: expected a shard of rendered frames, found {error}; delete it and run synth again"
        ) from None


def load_cast(folder: Path, config: SynthConfig):
    """The body bank and pose library of a run: read from the folder, or made and kept there."""
    from residualpose.synthetic.bodies import BodyBank, make_bank
    from residualpose.synthetic.poses import PoseLibrary

    bank_path = folder / f"bodies_{config.bodies}_{config.seed}.npz"
    if not bank_path.exists():
        make_bank(config.bodies, config.seed).save(bank_path)
    poses = PoseLibrary.mixed(config.mocap) if config.mocap else PoseLibrary.procedural()
    return BodyBank.load(bank_path), poses
