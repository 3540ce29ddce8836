"""What the refiner learns from: rendered people, with the errors the earlier stages really make.

Held-out rendered frames go through sensor noise, 2D network, lifting and completion; every person
found is paired with the truth. Some joints are struck out at random before completion, so that the
refiner also learns from people of whom much is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from residualpose.detector import Lifted
from residualpose.errors import ResidualPoseError
from residualpose.evaluation.match import match_people
from residualpose.frames import DepthFrame
from residualpose.pipeline.around import around
from residualpose.pipeline.complete import LimbPrior, complete_people
from residualpose.pipeline.maps import Maps
from residualpose.poses import Origin
from residualpose.results import replacing
from residualpose.synthetic.sensed import sensed_frames
from residualpose.synthetic.shards import frame_count, load_shard

MATCH_WITHIN_M = 0.4
_STRUCK_GROUPS = ((0,), (4, 6), (5, 7), (6,), (7,), (13, 14), (11, 12, 13, 14), (11, 13), (12, 14),
                  (9, 10, 11, 12, 13, 14), (2, 4, 6), (3, 5, 7))  # fmt: skip
_NOTHING = np.zeros((15, 0), np.float32)


@dataclass(frozen=True, slots=True)
class RefinerData:
    """N people as the refiner meets them, with the truth; camera frame, metres."""

    joints_m: np.ndarray
    """(N, 15, 3) completed joints."""
    joint_score: np.ndarray
    """(N, 15)."""
    origin: np.ndarray
    """(N, 15) of `Origin`."""
    covariance_m2: np.ndarray
    """(N, 15, 3, 3)."""
    truth_m: np.ndarray
    """(N, 15, 3)."""
    floor: np.ndarray
    """(N, 4) of the frame, as `find_floor` returns it; NaN where it shows none."""
    around: np.ndarray
    """(N, 15, N_AROUND) float16 what is seen around the joints, or (N, 15, 0): nobody looks."""

    def __len__(self) -> int:
        return len(self.joints_m)

    def part(self, rows: slice) -> RefinerData:
        """Some of the people."""
        return RefinerData(*(getattr(self, f)[rows] for f in self.__slots__))

    def save(self, path: Path) -> None:
        """Write an .npz that `load` reads, whole or not at all."""
        with replacing(path) as stream:
            np.savez_compressed(stream, **{f: getattr(self, f) for f in self.__slots__})

    @classmethod
    def load(cls, path: Path) -> RefinerData:
        """Read a saved set."""
        with np.load(path, allow_pickle=False) as data:
            return cls(*(data[f] for f in cls.__slots__))

    @classmethod
    def of(cls, rows: Sequence[tuple[np.ndarray, ...]]) -> RefinerData:
        """Of rows as `pairs` gives them, at least one."""
        *columns, around = (np.stack(column) for column in zip(*rows, strict=True))
        return cls(*(c.astype(np.float32) for c in columns), around=around.astype(np.float16))

    @classmethod
    def joined(cls, parts: Sequence[RefinerData]) -> RefinerData:
        """One set after the other, at least one."""
        return cls(*(np.concatenate([getattr(p, f) for p in parts]) for f in cls.__slots__))


def collect(
    detect: Callable[[DepthFrame], tuple[Maps, Lifted]],
    prior: LimbPrior,
    shard_paths: Sequence[Path],
    seed: int,
    progress: Callable[[int], None],
    keep: Path,
    look_around: bool = False,
) -> RefinerData:
    """Run the stages over shards; `progress(frames)` is called after every shard.

    The people of each shard are kept as a file in the folder `keep`, and taken from there when an
    interrupted run is started again.

    Args:
        detect: the stages up to lifting.
        prior: completes people.
        shard_paths: rendered frames.
        seed: of noise and of the joints struck out.
        progress: told of every shard.
        keep: a folder.
        look_around: keep what is seen around the joints too, 8 kB a person.

    Raises:
        ResidualPoseError: nobody is found in any frame.
    """
    parts: list[RefinerData] = []
    for number, path in enumerate(shard_paths):
        kept = keep / f"people_{number:05d}.npz"
        if kept.exists():
            parts.append(RefinerData.load(kept))
            progress(frame_count(path))
            continue
        rng = np.random.default_rng([seed, number])
        shard = load_shard(path)
        rows: list[tuple[np.ndarray, ...]] = []
        for i, depth_m in enumerate(sensed_frames(shard, seed + number)):
            _, people = detect(DepthFrame(depth_m, shard.camera(i)))
            rows += pairs(prior, people, shard.joints_m[i], rng, look_around)
        if rows:
            parts.append(RefinerData.of(rows))
            parts[-1].save(kept)
        progress(len(shard))
    if not parts:
        raise ResidualPoseError(
            f"nobody is found in the {len(shard_paths)} shards: the maps need more training first"
        )
    return RefinerData.joined(parts)


def pairs(
    prior: LimbPrior,
    people: Lifted,
    truth_m: np.ndarray,
    rng: np.random.Generator,
    look_around: bool = False,
) -> list[tuple[np.ndarray, ...]]:
    """Rows of `RefinerData` of one frame, each person as found and with joints struck out."""
    truth_m = truth_m[np.isfinite(truth_m).all((1, 2))]
    matches = match_people(people.joints_m, truth_m, MATCH_WITHIN_M)
    rows = []
    for struck in (False, True):
        joints, origin = people.joints_m.copy(), people.origin.copy()
        score, covariance = people.joint_score.copy(), people.covariance_m2.copy()
        if struck:
            for p in range(len(joints)):
                lost = list(_STRUCK_GROUPS[rng.integers(len(_STRUCK_GROUPS))])
                joints[p, lost], covariance[p, lost] = np.nan, np.nan
                origin[p, lost], score[p, lost] = Origin.ABSENT, 0
        done = complete_people(prior, joints, origin, covariance)
        found = done.joints_m, score, done.origin, done.covariance_m2
        rows += [
            (*(of[p] for of in found), truth_m[q], people.floor,
             around([people.looks[p]], done.joints_m[[p]])[0] if look_around else _NOTHING)
            for p, q in matches
        ]  # fmt: skip
    return rows
