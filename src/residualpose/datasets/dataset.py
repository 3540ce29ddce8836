"""What every labelled recording gives, whatever its files look like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from residualpose.camera import Camera
from residualpose.frames import DepthFrame
from residualpose.skeleton import Skeleton

KINDS = ("itop-side", "itop-top", "panoptic", "plain")
"""The kinds of data set that can be opened."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame and its P labelled people."""

    frame: DepthFrame
    joints_m: np.ndarray
    """(P, 15, 3) float64 metres, camera frame; NaN where unknown."""
    visible: np.ndarray
    """(P, 15) bool: in the image, and nothing hides the joint."""
    sensor: str = ""
    """Kind of sensor, or empty."""
    view: str = ""
    """Kind of camera placement, or empty."""

    @property
    def depth_m(self) -> np.ndarray:
        """(H, W) float32 metres, 0 = no reading."""
        return self.frame.depth_m

    @property
    def camera(self) -> Camera:
        """Camera of the image."""
        return self.frame.camera


class Dataset(Protocol):
    """Labelled frames on disk. Opening checks what all frames share; reading checks the frame."""

    @property
    def kind(self) -> str:
        """One of KINDS."""
        ...

    @property
    def path(self) -> Path:
        """File or folder."""
        ...

    @property
    def skeleton(self) -> Skeleton:
        """Names of the 15 joints, in order."""
        ...

    @property
    def one_person(self) -> bool:
        """The labels know one person a frame, whoever else is in it."""
        ...

    def __len__(self) -> int:
        """Labelled frames that are fit for use."""
        ...

    def frames(self, indices: Iterable[int] | None = None) -> Iterator[Sample]:
        """Samples by number, in the order asked for; None: all.

        Raises:
            ResidualPoseError: a frame cannot be read.
        """
        ...

    def about(self) -> dict[str, str]:
        """What the files say of themselves, line by line, for people to read."""
        ...

    def faults(self) -> list[str]:
        """What is wrong with the labels, one sentence each."""
        ...
