"""How badly each simulated frame behaves: one random number per effect and frame."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from residualpose.synthetic.materials import Material
from residualpose.synthetic.noise_fields import probit, uniform


class Sensor(enum.IntEnum):
    """Looks that a depth frame may have."""

    STRUCTURED_LIGHT = 0
    TIME_OF_FLIGHT = 1
    STEREO = 2
    CLEAN = 3
    FILTERED = 4
    """One of the first three after a driver's smoothing and hole filling."""
    CUTOUT = 5
    """One of the first three with the background removed."""


_SHARE = (0.31, 0.21, 0.22, 0.05, 0.15, 0.06)


@dataclass(frozen=True, slots=True)
class Strengths:
    """One number per frame and effect, each (B,) float32; 1 is typical unless said."""

    noise: Tensor
    """Factor on the sd of depth, 0.4-2.8; recorded walls lie around 1.3."""
    holes: Tensor
    """Factor on general drop-outs: grazing, far, vignette, 0.3-2."""
    edges: Tensor
    """Factor on what happens at silhouettes: jitter, flying pixels, fattening, 0.3-2."""
    hair_loss: Tensor
    """Share of hair without a reading, 0-1."""
    dark_loss: Tensor
    """Share of dark cloth and dark furniture without a reading, 0-1."""
    speckle: Tensor
    """Shape of the missing parts, 0 whole patches, 1 single pixels."""
    averaging: Tensor
    """Share of native pixels that were averaged into one pixel, 0 picked, 1 all (log scale)."""
    smoothing: Tensor
    """Smoothing that belongs to the sensor or its driver, 0-1."""
    mirror: Tensor
    """1 where the image is mirrored, so that shadows fall on the other side, else 0."""

    def select(self, index: Tensor) -> Strengths:
        """The frames with the given index."""
        return Strengths(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def draw_strengths(
    batch: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> Strengths:
    """Random strengths for a batch of frames."""
    device = torch.device(device)
    u = uniform((11, batch), generator, device)
    return Strengths(
        noise=_factor(u[0], 0.4, 2.8),
        holes=_factor(u[1], 0.3, 2.0),
        edges=_factor(u[2], 0.3, 2.0),
        hair_loss=_loss(u[3], u[4], never=0.4),
        dark_loss=_loss(u[5], u[6], never=0.55),
        speckle=u[7] ** 2,
        averaging=u[8],
        smoothing=u[9],
        mirror=(u[10] < 0.3).float(),
    )


def _factor(u: Tensor, low: float, high: float) -> Tensor:
    return low * (high / low) ** u


def _loss(kind: Tensor, amount: Tensor, never: float) -> Tensor:
    """Nothing missing in a share `never` of the frames, most of it in a third of the others."""
    some = 0.05 + 0.6 * amount
    most = 0.8 + 0.2 * amount
    lost = torch.where(kind < never + (1 - never) * 2 / 3, some, most)
    return torch.where(kind < never, torch.zeros_like(kind), lost)


def sample_sensors(
    batch: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> Tensor:
    """Random sensors (B,) int64 in the mix that training uses."""
    edges = torch.tensor(_SHARE).cumsum(0)[:-1].to(device)
    return torch.bucketize(uniform((batch,), generator, torch.device(device)), edges, right=True)


def loss_threshold(material: Tensor, strengths: Strengths) -> Tensor:
    """Threshold (B, H, W): a standard normal field below it has no reading there."""
    hair, dark = strengths.hair_loss, strengths.dark_loss
    none = torch.zeros_like(hair)
    share = {
        Material.HAIR: hair,
        Material.DARK_CLOTH: dark,
        Material.SHOES: 0.4 * dark,
        Material.HELD: 0.2 * dark,
        Material.DARK_FURNITURE: 0.8 * dark,
        Material.GLASS: none + 0.7,
        Material.FOLIAGE: none + 0.04,
    }
    table = torch.stack([share.get(m, none) for m in Material], 1)
    # A share of 0 must never drop, whatever is added for slope or distance: probit gives -4.3.
    index = material.flatten(1).long().clamp(max=len(Material) - 1)
    return probit(table).gather(1, index).view(material.shape)
