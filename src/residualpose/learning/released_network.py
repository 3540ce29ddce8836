"""The released networks as torch modules, so that the released checkpoints load unchanged.

Attribute names follow the released state dicts; the layers follow the paper (arXiv 2011.05010,
section III) and Newell et al.'s stacked hourglass (arXiv 1603.06937). B is the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

PARTS, FIELDS, COORDINATES = 16, 28, 45
"""15 parts and the background; x and y of 14 limbs; x, y, z of 15 joints."""
LEVELS, STAGES, BLOCKS = 4, 2, 3


@dataclass(frozen=True, slots=True)
class ReleasedConfig:
    """Size of the 2D network; the released one's by default."""

    width: int = 256
    """Channels of the hourglasses, a multiple of 8; half of it between them."""


class ResidualBlock(nn.Module):
    """A bottleneck of 1x1, 3x3 and 1x1 convolutions beside a shortcut."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        half = width_in // 2
        self.bn = nn.BatchNorm2d(width_out)
        self.body = nn.Sequential(
            nn.Conv2d(width_in, half, 1), nn.BatchNorm2d(half), nn.ReLU(),
            nn.Conv2d(half, half, 3, padding=1), nn.BatchNorm2d(half), nn.ReLU(),
            nn.Conv2d(half, width_out, 1), nn.BatchNorm2d(width_out),
        )  # fmt: skip
        same = width_in == width_out
        self.shortcut = nn.Identity() if same else nn.Conv2d(width_in, width_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width_in, H, W) -> (B, width_out, H, W)."""
        return functional.relu(self.bn(self.body(x) + self.shortcut(x)))


def _blocks(width_in: int, width_out: int) -> nn.Sequential:
    widths = [width_in] + [width_out] * BLOCKS
    return nn.Sequential(*(ResidualBlock(a, b) for a, b in pairwise(widths)))


class Hourglass(nn.Module):
    """Four levels down and up again; what each level saw is added back on the way up."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.latent = _blocks(width, width)
        self.front = nn.ModuleList(
            _blocks(width_in if level == 0 else width, width) for level in range(LEVELS)
        )
        self.skip_connections = nn.ModuleList(_blocks(width, width) for _ in range(LEVELS))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width_in, H, W) -> (B, width, H, W); H and W multiples of 16."""
        kept: list[Tensor] = []
        for front in self.front:
            x = front(x)
            kept.append(x)
            x = functional.max_pool2d(x, 2)
        x = self.latent(x)
        for skip, seen in zip(reversed(self.skip_connections), reversed(kept), strict=True):
            x = functional.interpolate(x, scale_factor=2, mode="nearest") + skip(seen)
        return x


class ReleasedHourglass(nn.Module):
    """The 2D network: depth image to part maps and limb fields, output stride 4."""

    def __init__(self, config: ReleasedConfig | None = None) -> None:
        super().__init__()
        self.config = config or ReleasedConfig()
        width = self.config.width
        half, quarter = width // 2, width // 4
        stem = (nn.Conv2d(1, quarter, 7, stride=2, padding=3), nn.BatchNorm2d(quarter), nn.ReLU())
        tail = (
            ResidualBlock(quarter, quarter),
            ResidualBlock(quarter, quarter),
            ResidualBlock(quarter, half),
        )
        self.front = nn.Sequential(*stem, nn.MaxPool2d(2), *tail)
        self.hg = nn.ModuleList(Hourglass(half, width) for _ in range(STAGES))
        self.refinement = nn.ModuleList(
            nn.Sequential(
                *_blocks(width, width), nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU()
            )
            for _ in range(STAGES)
        )
        self.scores = nn.ModuleList(nn.Conv2d(width, PARTS, 1) for _ in range(STAGES))
        self.v_scores = nn.ModuleList(nn.Conv2d(width, FIELDS, 1) for _ in range(STAGES))
        # The last stage's feed-forward layers lead nowhere, but the checkpoints hold them.
        self.refinement_ = nn.ModuleList(nn.Conv2d(width, half, 1) for _ in range(STAGES))
        self.scores_ = nn.ModuleList(nn.Conv2d(PARTS, half, 1) for _ in range(STAGES))
        self.v_scores_ = nn.ModuleList(nn.Conv2d(FIELDS, half, 1) for _ in range(STAGES))

    def forward(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """(B, 1, H, W) -> ([(B, 16, H/4, W/4) per stage], [(B, 28, H/4, W/4) per stage])."""
        x = self.front(image)
        part_maps: list[Tensor] = []
        limb_fields: list[Tensor] = []
        for stage in range(STAGES):
            features = self.refinement[stage](self.hg[stage](x))
            part_maps.append(self.scores[stage](features))
            limb_fields.append(self.v_scores[stage](features))
            if stage + 1 < STAGES:
                x = (
                    x
                    + self.scores_[stage](part_maps[-1])
                    + self.v_scores_[stage](limb_fields[-1])
                    + self.refinement_[stage](features)
                )
        return part_maps, limb_fields


class RegressorBlock(nn.Module):
    """One fully connected layer beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.back = nn.Sequential(
            nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.5)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) -> (B, width)."""
        return functional.relu(x + self.back(x))


class ReleasedRegressor(nn.Module):
    """The 3D network: normalised joints to the normalised residual of the pose."""

    def __init__(self, width: int = 2048, blocks: int = 3) -> None:
        super().__init__()
        self.front = nn.Sequential(
            nn.Linear(COORDINATES, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.5)
        )
        self.middle = nn.ModuleList(RegressorBlock(width) for _ in range(blocks))
        self.back = nn.Linear(width, COORDINATES)

    def forward(self, joints: Tensor) -> Tensor:
        """(B, 45) -> (B, 45), joint-major x, y, z."""
        x = self.front(joints)
        for block in self.middle:
            x = block(x)
        return self.back(x)
