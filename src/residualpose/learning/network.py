"""The compact 2D network: two stacked hourglasses that read depth and write maps.

In place of the released 13 M-parameter network (facts: 48 GFLOP a frame) a 2 M-parameter one of
about 1.2 GFLOP: the image is normalised by the camera first, so that it may be small.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from residualpose.skeleton import ITOP15

N_JOINTS = len(ITOP15.joints)
N_FIELDS = 2 * len(ITOP15.limbs)
OFFSET_SCALE_M = 0.1
"""Unit of the offset channels, so that all outputs have a like range."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Widths and depths of the hourglasses."""

    stem: int = 24
    """Channels at stride 2, where the maps are written."""
    widths: tuple[int, ...] = (48, 96, 144)
    """Channels at strides 4, 8 and 16."""
    blocks: tuple[int, ...] = (2, 2, 2)
    """Residual blocks on the way down at each stride of the first hourglass."""
    head: int = 48
    """Channels from which the maps are read."""
    depth_unit: float = 1.0
    """Unit of the distances read, metres. Weights trained at one focal length find the sizes they
    know at the distances they know in images of a k times longer one, if this is k times longer."""


class Kept(nn.Sequential):
    """What is done to numbers before they are kept for the next layer, if anything.

    A network for 8-bit arithmetic rounds them here: see integers.py.
    """


class Residual(nn.Module):
    """Two 3x3 convolutions with a shortcut (pre-trained nowhere, so plain batch norm)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = ConvNorm(channels, channels)
        self.b = Kept(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.sum = Kept(nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return self.sum(x + self.b(self.a(x)))


class ConvNorm(Kept):
    """Convolution, batch norm, ReLU."""

    def __init__(self, cin: int, cout: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(cout),
            nn.ReLU(inplace=True),
        )


class Hourglass(nn.Module):
    """Down to stride 16 and back to stride 4, adding what each level kept."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        for i, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            enter = [ConvNorm(widths[i - 1], width, stride=2)] if i else []
            self.down.append(nn.Sequential(*enter, *(Residual(width) for _ in range(count))))
        for lower, upper in zip(widths[1:], widths[:-1], strict=True):
            self.up.append(ConvNorm(lower, upper, kernel=1))
        self.sums = nn.ModuleList(Kept() for _ in widths[:-1])
        self.merge = nn.ModuleList(Residual(width) for width in widths[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """(B, widths[0], H, W), H and W multiples of 4 -> the same shape."""
        kept = []
        for level in self.down:
            x = level(x)
            kept.append(x)
        for i in reversed(range(len(self.up))):
            x = kept[i] + nn.functional.interpolate(self.up[i](x), scale_factor=2.0)
            x = self.merge[i](self.sums[i](x))
        return x


class DepthChannels(nn.Module):
    """Depth in metres to the channels that the convolutions read.

    Distance, whether there is a reading, and height above the local mean of the surface in a
    narrow and a wide window, in units of 25 cm: shape, wherever in the room it stands.

    Args:
        unit: metres in which distance is read, see `NetworkConfig.depth_unit`; shape stays.
    """

    windows_px = (17, 49)

    def __init__(self, unit: float = 1.0) -> None:
        super().__init__()
        self.unit = unit

    def forward(self, depth_m: Tensor) -> Tensor:
        """(B, 1, H, W) metres, 0 = no reading, H even -> (B, 4, H, W), 0 where no reading is."""
        valid = (depth_m > 0).to(depth_m.dtype)
        distance = depth_m.clamp(max=8.0 * self.unit) - 2.5 * self.unit
        total = _box_sums(torch.cat([depth_m, valid], dim=1), self.windows_px)
        mean = total[:, 0] / total[:, 1].clamp(min=1e-4)
        # Each row of the mean is of two rows of the image.
        above = (depth_m.unflatten(2, (-1, 2)) - mean.unsqueeze(3)).flatten(2, 3)
        shape = valid * (above * 4.0).clamp(-2.0, 2.0)
        return torch.cat([valid * distance * (0.5 / self.unit), valid, shape], dim=1)


def _box_sums(image: Tensor, windows: tuple[int, ...]) -> Tensor:
    """(B, C, H, W) to sums over nearly square windows, (B, C, windows, H/2, W).

    Of each two rows one, about the line between them and a row higher than the window is wide;
    nothing beyond the edge. Two products with band matrices: training takes a seventh to an
    eighteenth of the time of average pooling for it; ONNX Runtime, whose pooling visits every
    pixel of every window, a millisecond a frame less. All windows at once: of operations as short
    as these, it is the number that costs.
    """
    height, width = image.shape[-2:]
    rows, columns = (torch.arange(size, device=image.device) for size in (height, width))
    half = torch.tensor([window // 2 for window in windows], device=image.device)[:, None, None]
    apart = rows[::2, None] - rows
    down = ((apart >= -1 - half) & (apart <= half)).to(image.dtype)
    along = ((columns[:, None] - columns).abs() <= half).to(image.dtype)
    with torch.autocast(image.device.type, enabled=False):  # depth needs all its digits
        return (down @ image[:, :, None]) @ along


class PoseNetwork(nn.Module):
    """Depth image to part maps, limb fields and surface-to-joint depth offsets.

    Input (B, 1, H, W) metres, 0 = no reading, H and W multiples of 16, at the focal length of
    the training frames (see pipeline/normalise.py). Output at stride 4, and finer at stride 2:
    part maps (B, 15, h, w) in 0..1 after training, limb fields (B, 28, h, w) unit vectors along
    each limb, offsets (B, 15, h, w) from the seen surface to the joint, in `OFFSET_SCALE_M`.
    """

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetworkConfig()
        c = self.config
        first, head = c.widths[0], c.head
        self.channels = DepthChannels(c.depth_unit)
        self.stem = nn.Sequential(ConvNorm(4, c.stem, 5, stride=2), ConvNorm(c.stem, c.stem))
        self.enter = ConvNorm(c.stem, first, stride=2)
        self.hourglasses = nn.ModuleList(
            [Hourglass(c.widths, c.blocks), Hourglass(c.widths, (1,) * len(c.widths))]
        )
        outputs = 2 * N_JOINTS + N_FIELDS
        self.early = Kept(nn.Conv2d(first, outputs, 1))
        self.back = Kept(nn.Conv2d(outputs, first, 1))
        self.again = Kept()
        self.rise = Kept(nn.Conv2d(first, head, 1))
        self.skip = Kept(nn.Conv2d(c.stem, head, 1))
        self.risen = Kept(nn.ReLU())
        self.final = nn.Sequential(ConvNorm(head, head), nn.Conv2d(head, outputs, 1))

    def forward(self, depth_m: Tensor) -> tuple[Tensor, Tensor]:
        """Maps of both stages, (B, 58, H/4, W/4) and (B, 58, H/2, W/2): parts, fields, offsets."""
        half = self.stem(self.channels(depth_m))
        x = self.enter(half)
        y = self.hourglasses[0](x)
        early = self.early(y)
        y = self.hourglasses[1](self.again(x + y + self.back(early)))
        rise = nn.functional.interpolate(self.rise(y), scale_factor=2.0)
        return early, self.final(self.risen(rise + self.skip(half)))


def mirror_of_maps() -> tuple[Tensor, Tensor]:
    """Which of the stacked maps (58,) each one is of the mirror image, and its sign there."""
    partners = torch.tensor(ITOP15.mirror)
    limbs = torch.tensor([
        ITOP15.limbs.index((ITOP15.mirror[start], ITOP15.mirror[end]))
        for start, end in ITOP15.limbs
    ])  # fmt: skip
    fields = (2 * limbs[:, None] + torch.arange(2)).flatten()
    rows = torch.cat([partners, N_JOINTS + fields, N_JOINTS + N_FIELDS + partners])
    signs = torch.ones(len(rows))
    signs[N_JOINTS : N_JOINTS + N_FIELDS : 2] = -1  # to the right is to the left there
    return rows, signs


def split_maps(maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Stacked maps (B, 58, h, w) to part maps, limb fields and offsets in metres."""
    parts, fields, offsets = maps.split([N_JOINTS, N_FIELDS, N_JOINTS], dim=1)
    return parts, fields, offsets * OFFSET_SCALE_M
