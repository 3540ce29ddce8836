"""The network that regresses residuals: a small transformer, whose tokens are a person's joints.

The paper's is a multilayer perceptron (section III-D). One wide enough to be as good has ten times
the weights and learns the people it is shown by heart; here all joints share theirs, but for the
ways in and out and for whom each attends to. docs/experiments.md compares both. Exported, either
is an ONNX file of the same inputs and outputs.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from residualpose.errors import UsageError
from residualpose.learning.network import N_FIELDS, mirror_of_maps
from residualpose.pipeline.around import (
    N_AROUND,
    N_PATCHES,
    OPINION_SCALE_M,
    PATCH,
    SIDE,
    SURFACE_SCALE_M,
)
from residualpose.pipeline.refine import (
    DISTANCE,
    FLOOR_DOWN,
    FLOOR_POINT,
    N_FEATURES,
    N_JOINTS,
    POSITIONS,
)
from residualpose.skeleton import ITOP15

HEADS = 4
"""Independent ways of attending in each block."""
_LOOKING = 128
"""Hidden numbers that sum up what is seen around a joint."""
_MIRROR_OF_MAPS = mirror_of_maps()
_OF_AROUND = [N_PATCHES, N_AROUND - N_PATCHES]
_OF_EACH = slice(POSITIONS.stop, DISTANCE.start)
"""Columns of `features` with scores, flags and spreads: kind by kind, each of all joints."""
_OF_ALL = slice(DISTANCE.start, N_FEATURES)
"""Columns of the person as a whole."""
_HEARD = _OF_EACH.stop // N_JOINTS + _OF_ALL.stop - _OF_ALL.start
"""Numbers that a joint hears: its own and the person's."""


class RefinerNetwork(nn.Module):
    """Features (P, N_FEATURES) to residuals and log sds, (P, 15, 3) each, in units of 0.1 m.

    Once trained, it gives the mean of what it says of a person and of the person's mirror image.
    One that looks around is told what is seen around the joints, (P, 15, N_AROUND), as well; to
    begin with it makes nothing of it.

    Args:
        width: numbers that stand for a joint inside, a multiple of `HEADS`.
        blocks: times that the joints look at one another.
        dropout: share of the hidden numbers that a step of training does without.
        look_around: whether it looks around.

    Raises:
        UsageError: a width that cannot be shared out.
    """

    _columns: Tensor
    _signs: Tensor

    def __init__(
        self, width: int, blocks: int, dropout: float = 0.0, look_around: bool = False
    ) -> None:
        super().__init__()
        if width < HEADS or width % HEADS:
            raise UsageError(f"width: expected a multiple of {HEADS}, got {width}")
        self.enter = _OfEachJoint(_HEARD, width)
        nn.init.normal_(self.enter.weight, std=_HEARD**-0.5)
        self.look = _Looking(width) if look_around else None
        self.blocks = nn.Sequential(*(_Block(width, dropout) for _ in range(blocks)))
        self.before_leaving, self.leave = nn.LayerNorm(width), _OfEachJoint(width, 6)
        for name, values in zip(("_columns", "_signs"), mirror_of_features(), strict=True):
            self.register_buffer(name, values, persistent=False)

    def forward(self, x: Tensor, around: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Residual and log sd of each joint in the ray frame."""
        if self.training:
            return self._as_seen(x, around)
        if around is not None:
            around = torch.cat([around, mirrored_around(around)])
        both = self._as_seen(torch.cat([x, self.mirrored(x)]), around)
        residual, log_sd = (of.view(2, -1, N_JOINTS, 3) for of in both)
        log_sd = (log_sd[0] + log_sd[1][:, list(ITOP15.mirror)]) / 2
        return (residual[0] + mirrored_joints(residual[1])) / 2, log_sd

    def mirrored(self, x: Tensor) -> Tensor:
        """The features (P, N_FEATURES) of the mirror images of people (P, N_FEATURES)."""
        return x[:, self._columns] * self._signs

    def _as_seen(self, x: Tensor, around: Tensor | None) -> tuple[Tensor, Tensor]:
        # Joints in one column: linear layers of two axes run as one operation, bias and all.
        inside = self.enter(_tokens(x)).flatten(0, 1)
        if self.look is not None:
            assert around is not None
            inside = inside + self.look(around)
        inside = self.blocks(inside)
        found = self.leave(self.before_leaving(inside).unflatten(0, (-1, N_JOINTS)))
        return found[..., :3], found[..., 3:]

    def widen(self, factor: float) -> None:
        """Multiply all standard deviations by `factor`."""
        with torch.no_grad():
            self.leave.bias[:, 3:] += math.log(factor)


def mirrored_joints(vectors: Tensor) -> Tensor:
    """Vectors of joints (P, 15, 3), ray frame, as the mirror image has them."""
    return vectors[:, list(ITOP15.mirror)] * vectors.new_tensor([-1.0, 1.0, 1.0])


def mirrored_around(around: Tensor) -> Tensor:
    """What is seen around joints, (P, 15, N_AROUND) or nothing, as the mirror image has it."""
    if not around.shape[-1]:
        return around
    patches, maps = around[:, list(ITOP15.mirror)].split(_OF_AROUND, dim=-1)
    patches = patches.unflatten(-1, (4 * SIDE, SIDE)).flip(-1).flatten(-2)
    maps = maps[..., _MIRROR_OF_MAPS[0]] * _MIRROR_OF_MAPS[1].to(maps.device)
    return torch.cat([patches, maps], dim=-1)


def varied_around(around: Tensor, size: Tensor, moved_m: Tensor) -> Tensor:
    """What is seen around joints of people made larger and found elsewhere.

    Only how far behind it is: where the patches lie, and how wide they are, stays.

    Args:
        around: (P, 15, N_AROUND) or nothing.
        size: (P, 1) by which the people are larger.
        moved_m: (P, 15, 3) by which the joints are then moved, ray frame.
    """
    if not around.shape[-1]:
        return around
    patches, maps = around.split(_OF_AROUND, dim=-1)
    own, partners, opinion, surface = patches.unflatten(-1, (4, PATCH)).unbind(-2)
    seen, opinions = maps.split([N_JOINTS + N_FIELDS, N_JOINTS], dim=-1)
    size, behind_m = size[:, None], moved_m[..., 2:]
    opinion, opinions = (
        (of * size - behind_m / OPINION_SCALE_M) * (of != 0) for of in (opinion, opinions)
    )
    surface = surface * size - behind_m / SURFACE_SCALE_M
    return torch.cat([own, partners, opinion, surface, seen, opinions], dim=-1)


class _Looking(nn.Module):
    """What is seen around joints, (P, 15, N_AROUND), to (15 P, width); zeros to begin with.

    Patches are read alike of all joints, the maps at a joint's place by each in its own way.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        last = nn.Linear(_LOOKING, width)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.patches = nn.Sequential(nn.Linear(N_PATCHES, _LOOKING), nn.ReLU(), last)
        self.maps = _OfEachJoint(N_AROUND - N_PATCHES, width)

    def forward(self, around: Tensor) -> Tensor:
        patches, maps = around.split(_OF_AROUND, dim=-1)
        return self.patches(patches.flatten(0, 1)) + self.maps(maps).flatten(0, 1)


class _OfEachJoint(nn.Module):
    """A linear layer for each joint: (P, 15, inputs) to (P, 15, outputs); zeros to begin with."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(N_JOINTS, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(N_JOINTS, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return (x.transpose(0, 1) @ self.weight).transpose(0, 1) + self.bias


class _Block(nn.Module):
    """Joints attend to one another, then each thinks by itself; does nothing to begin with.

    Of (15 P, width), person by person, to the same.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.before_looking, self.before_thinking = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asked, self.seen = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.whom = nn.Parameter(torch.zeros(HEADS, N_JOINTS, N_JOINTS))
        """Whom a joint looks at whatever it finds there: the skeleton, as far as it helps."""
        thought = nn.Linear(2 * width, width)
        self.think = nn.Sequential(
            nn.Linear(width, 2 * width), nn.ReLU(), nn.Dropout(dropout), thought
        )
        for last in (self.seen, thought):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.seen(self._look(self.before_looking(x)))
        return x + self.think(self.before_thinking(x))

    def _look(self, x: Tensor) -> Tensor:
        # Numbers, not what x says: an exported graph would work them out for every frame.
        width = self.seen.in_features
        each = width // HEADS
        asked = self.asked(x).view(-1, N_JOINTS, 3, HEADS, each)
        query, key, value = asked.permute(2, 0, 3, 1, 4).contiguous().unbind()
        likeness = query @ key.transpose(-1, -2).contiguous() * each**-0.5
        attention = torch.softmax(likeness + self.whom.to(likeness.dtype), -1)
        return (attention.to(value.dtype) @ value).transpose(1, 2).reshape(-1, width)


def _tokens(x: Tensor) -> Tensor:
    """(P, N_FEATURES) to what each joint hears, (P, 15, _HEARD)."""
    place = x[:, POSITIONS].view(-1, N_JOINTS, 3)
    told = x[:, _OF_EACH].view(-1, _OF_EACH.stop // N_JOINTS - 3, N_JOINTS).transpose(1, 2)
    person = x[:, None, _OF_ALL].expand(-1, N_JOINTS, -1)
    return torch.cat([place, told, person], dim=-1)


def heard_columns() -> np.ndarray:
    """(15, _HEARD) which columns of `features` each joint hears."""
    return _tokens(torch.arange(N_FEATURES)[None])[0].numpy()


def mirror_of_features() -> tuple[Tensor, Tensor]:
    """Which column of `features` (N_FEATURES,) each one is of the mirror image, and its sign."""
    columns = np.arange(N_FEATURES)
    signs = np.ones(N_FEATURES, np.float32)
    partner = list(ITOP15.mirror)
    columns[POSITIONS] = columns[POSITIONS].reshape(N_JOINTS, 3)[partner].ravel()
    signs[POSITIONS] = np.tile([-1, 1, 1], N_JOINTS)
    columns[_OF_EACH] = columns[_OF_EACH].reshape(-1, N_JOINTS)[:, partner].ravel()
    signs[[FLOOR_DOWN.start, FLOOR_POINT.start]] = -1
    return torch.from_numpy(columns), torch.from_numpy(signs)
