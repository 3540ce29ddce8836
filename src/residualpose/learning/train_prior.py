"""Our own limb prior: sampled bodies and poses, in every convention that it has to serve."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from residualpose.conventions import CONVENTIONS, to_convention
from residualpose.learning.fit_prior import PriorFit, fit_prior
from residualpose.learning.prior_data import sample_joints
from residualpose.pipeline.limb_prior import LimbPrior
from residualpose.synthetic.shards import Cast

_DISTANCE_M = 3.0
"""Conventions move joints along the viewing ray: people stand at a usual distance."""


@dataclass(frozen=True, slots=True)
class PriorConfig:
    """How the prior is trained."""

    poses: int = 12_000
    """Sampled people."""
    fit: PriorFit = field(default_factory=PriorFit)


def train_prior(cast: Cast, config: PriorConfig) -> LimbPrior:
    """Sample people of a run's cast and fit the prior to them."""
    joints = sample_joints(cast.bank, cast.poses, config.poses, config.fit.seed)
    joints = joints + np.array([0.0, 0.0, _DISTANCE_M])
    moved = [to_convention(joints, shifts) for shifts in CONVENTIONS.values() if shifts]
    return fit_prior(np.concatenate([joints, *moved]), settings=config.fit)
