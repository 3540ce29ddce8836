"""One person over time, as the tracker knows them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from residualpose.tracking.bones import Bones
from residualpose.tracking.kalman import Belief, update_velocity
from residualpose.tracking.strays import Way

SURE_AFTER = 3
"""Frames in which somebody new must be found to be believed."""
VAGUE_DEPTH_SD_M = 0.5
"""Half hidden people seem as near as what is in front of them."""
_COAST_SD_M_S, _SLOWING_S, _SLOWING_DEPTH_S = 0.2, 0.7, 0.2
"""Unseen people go on, and slow down; in depth sooner, as bodies half hidden seem to come nearer
to what hides them."""


@dataclass(slots=True, eq=False)
class Track:
    """One person over time."""

    belief: Belief
    """(J,) joints."""
    centre: Belief
    """() middle of the trunk."""
    bones: Bones
    born_s: float
    """When the person came into sight."""
    seen_s: float
    """When the person was seen last."""
    id: int = -1
    """The person's number; -1 until there is no doubt."""
    hits: int = 1
    """Frames in which the person was found."""
    missed: int = 0
    """Frames in which the person was not found, ever."""
    depth_sd_m: float = VAGUE_DEPTH_SD_M
    """How well the depth of the trunk was known then."""
    hides: bool = False
    """Went out of sight behind somebody."""
    hidden_s: float = 0.0
    """How long ago."""
    way: Way = field(default_factory=Way)
    """Where the trunk was found lately, and where it was thought to be."""
    claims: dict[Track, float] = field(default_factory=dict)
    """Who this may be that was lost before, each with the cost of the way from there to here."""

    @property
    def believed(self) -> bool:
        """Found often enough to be somebody."""
        return self.hits >= SURE_AFTER

    def coast(self, dt_s: float) -> None:
        """Somebody unseen goes on, a little slower."""
        belief = self.centre
        sight = belief.position_m / np.linalg.norm(belief.position_m)
        along = (belief.velocity_m_s @ sight) * sight
        slower = np.exp(-dt_s / _SLOWING_S) * (belief.velocity_m_s - along)
        slower = slower + np.exp(-dt_s / _SLOWING_DEPTH_S) * along
        everywhere = np.ones(slower.shape[:-1], bool)
        self.centre = update_velocity(belief, slower, _COAST_SD_M_S, everywhere)

    def shift(self, way_m: np.ndarray) -> None:
        """Move the trunk by (3,), its speed as it was."""
        mean = self.centre.mean + np.concatenate([way_m, np.zeros(3)])
        self.centre = Belief(mean, self.centre.covariance)

    def is_same_as(self, lost: Track) -> None:
        """Take over the number of the same person, lost before, and what was known."""
        self.id = lost.id
        self.bones.absorb(lost.bones)
