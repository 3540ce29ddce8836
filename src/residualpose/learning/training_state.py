"""What a run carries from step to step: weights, their average, optimiser; saved and resumed."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from residualpose.errors import ResidualPoseError
from residualpose.learning.checkpoint import load_checkpoint, save_checkpoint

log = logging.getLogger(__name__)


@dataclass(slots=True)
class TrainingState:
    """The state of a run between two steps; random numbers follow from seed and step alone."""

    network: nn.Module
    average: nn.Module
    """Running average of the weights, which is what is exported."""
    optimiser: torch.optim.Optimizer
    step: int = 0
    """Steps done."""

    @classmethod
    def of(cls, network: nn.Module, optimiser: torch.optim.Optimizer) -> TrainingState:
        """The state before the first step."""
        return cls(network, copy.deepcopy(network).eval(), optimiser)

    def follow(self, decay: float) -> None:
        """Move the average towards the weights."""
        pairs = zip(
            self.average.state_dict().values(), self.network.state_dict().values(), strict=True
        )
        for old, new in pairs:
            if old.dtype.is_floating_point:
                old.lerp_(new.detach(), 1 - decay)
            else:
                old.copy_(new)

    def save(self, path: Path, settings: Mapping[str, object]) -> None:
        """Write a checkpoint; an earlier one stays until this one is complete."""
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "config": json.dumps(settings, default=str),
        }
        save_checkpoint(path, state)

    def resume(self, path: Path, device: torch.device) -> None:
        """Go on from a checkpoint.

        Raises:
            ResidualPoseError: it cannot be read, or is of a network of another size.
        """
        state = load_checkpoint(path, device)
        try:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError):
            raise ResidualPoseError(
                f"{path}: the checkpoint is of a network of other size; choose another folder"
            ) from None
        self.step = int(state["step"])
        log.info("resumed at step %d from %s", self.step, path)
