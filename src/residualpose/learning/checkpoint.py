"""Checkpoints of a training run: written whole, read with errors that say what to do."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import torch

from residualpose.errors import ResidualPoseError
from residualpose.results import replacing

_KEYS = {"step", "network", "average", "optimiser", "config"}


def save_checkpoint(path: Path, state: dict[str, object]) -> None:
    """Write a checkpoint; an earlier one stays until this one is complete.

    Raises:
        ResidualPoseError: it cannot be written.
    """
    try:
        with replacing(path) as stream:
            torch.save(state, stream)
    except RuntimeError as error:  # torch's own word for a disk that is full
        raise ResidualPoseError(f"{path}: cannot be written ({error})") from None


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict:
    """Read a checkpoint.

    Raises:
        ResidualPoseError: it is missing, cut short, or not one of ours.
    """
    try:
        state = torch.load(path, weights_only=True, map_location=device)
    except OSError as error:
        raise ResidualPoseError(f"{path}: cannot read the checkpoint ({error.strerror})") from None
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        first_line = str(error).partition("\n")[0][:120]
        raise _damaged(path, first_line) from None
    if not isinstance(state, dict) or not set(state) >= _KEYS:
        raise _damaged(path, "something else")
    return state


def trained_with(state: dict) -> dict:
    """The settings a checkpoint was trained with."""
    return json.loads(state["config"])


def _damaged(path: Path, found: str) -> ResidualPoseError:
    return ResidualPoseError(
        f"{path}: expected a checkpoint of a training run, found {found}; "
        "delete it to train from the start"
    )
