"""Our own limb prior: sampled bodies and poses, in every convention that it has to serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from residualpose.conventions import CONVENTIONS, Convention, Shift, to_convention
from residualpose.learning.fit_prior import PriorFit, fit_prior
from residualpose.learning.prior_data import sample_joints
from residualpose.pipeline.limb_prior import LimbPrior
from residualpose.synthetic.shards import Cast


@dataclass(frozen=True, slots=True)
class PriorConfig:
    """How the prior is trained."""

    poses: int = 12_000
    """Sampled people."""
    standing: float = 0.75
    """Share of them who stand upright, as most people before a camera do; the others are drawn as
    the rendered ones are, among whom two thirds sit, bend, kneel or step."""
    fit: PriorFit = field(default_factory=PriorFit)
    released: bool = False
    """The paper's prior instead: one Gaussian of the labels, in the camera's axes."""


def train_prior(cast: Cast, config: PriorConfig) -> LimbPrior:
    """Sample people of a run's cast and fit the prior to them."""
    joints = sample_joints(cast.bank, cast.poses, config.poses, config.fit.seed, config.standing)
    return fit_prior(np.concatenate(every_convention(joints)), settings=config.fit)


def every_convention(joints_m: np.ndarray) -> list[np.ndarray]:
    """Poses (N, 15, 3) as they are and as each convention places their joints on the body.

    Without the moves along the viewing ray: those absorb what the 2D stage's depth offsets leave,
    and their differences would bend limbs by centimetres towards the camera.
    """
    moved = [
        to_convention(joints_m, Convention(_on_the_body(convention.shifts)))
        for convention in CONVENTIONS.values()
    ]
    return [joints_m, *moved]


def _on_the_body(shifts: Mapping[str, Shift]) -> dict[str, Shift]:
    return {kind: replace(shift, away=0.0) for kind, shift in shifts.items()}
