"""The errors and slopes written frame by frame are those of the plain formulas under autograd."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402
from torch.nn.functional import smooth_l1_loss  # noqa: E402

from residualpose.learning.architectures import targets_of  # noqa: E402
from residualpose.learning.batches import Batch  # noqa: E402
from residualpose.learning.map_losses import map_losses  # noqa: E402

PEOPLE_M = (  # head to feet, arms hanging
    (0.0, -0.7, 2.5), (0.0, -0.5, 2.5), (-0.2, -0.45, 2.5), (0.2, -0.45, 2.5), (-0.25, -0.2, 2.5),
    (0.25, -0.2, 2.5), (-0.27, 0.05, 2.4), (0.27, 0.05, 2.4), (0.0, -0.2, 2.5), (-0.1, 0.1, 2.5),
    (0.1, 0.1, 2.5), (-0.1, 0.5, 2.5), (0.1, 0.5, 2.5), (-0.1, 0.9, 2.5), (0.1, 0.9, 2.5),
)  # fmt: skip


@pytest.fixture
def batch() -> Batch:
    one = torch.tensor(PEOPLE_M)
    joints = torch.stack([one, one + torch.tensor([0.5, 0.0, 0.3])])[None].repeat(3, 1, 1, 1)
    joints[1, 1], joints[2] = torch.nan, torch.nan  # two people, one, none
    visible = torch.isfinite(joints[..., 0])
    visible[0, 0, 6] = False
    depth = torch.full((3, 64, 80), 2.45)
    depth[:, :10] = 0
    intrinsics = torch.tensor([[70.0, 70.0, 39.5, 31.5]]).repeat(3, 1)
    return Batch(depth, joints, visible, intrinsics)


def plain(maps: Tensor, batch: Batch, stride: int) -> dict[str, Tensor]:
    targets = targets_of(batch, stride)
    parts, fields, offsets = maps.split([15, 28, 15], dim=1)
    off = (fields - targets.fields) ** 2
    offset = smooth_l1_loss(offsets, targets.offsets_m / 0.1, reduction="none", beta=0.3)
    weight = targets.offsets_weight
    return {
        "part": 20 * (targets.parts_weight * (parts - targets.parts) ** 2).mean(),
        "limb": 3 * (targets.fields_weight * off.unflatten(1, (-1, 2)).sum(2)).mean(),
        "depth": 0.3 * (weight * offset).sum() / weight.sum(),
    }


@pytest.mark.parametrize("stride", [2, 4])
def test_losses_and_slopes_are_the_plain_ones(batch: Batch, stride: int) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 58, 64 // stride, 80 // stride, generator=generator).double()
    maps = maps.to(memory_format=torch.channels_last)
    batch = batch.double()
    mine, wanted = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    losses, expected = map_losses(mine, batch, stride), plain(wanted, batch, stride)
    for factor, (name, value) in enumerate(expected.items(), 1):
        assert float(losses[name]) == pytest.approx(float(value), rel=1e-6)
        (factor * value).backward(retain_graph=True)
    torch.stack([f * v for f, v in enumerate(losses.values(), 1)]).sum().backward()
    assert mine.grad is not None and wanted.grad is not None
    assert (wanted.grad != 0).float().mean() > 0.5
    torch.testing.assert_close(mine.grad, wanted.grad, rtol=1e-5, atol=1e-12)


def test_the_right_maps_have_no_loss_and_empty_ones_have(batch: Batch) -> None:
    targets = targets_of(batch, 2)
    right = torch.cat([targets.parts, targets.fields, targets.offsets_m / 0.1], dim=1)
    none = map_losses(right.bfloat16().float(), batch, 2)
    assert all(float(value) < 1e-3 for value in none.values())
    assert all(float(v) > 1e-2 for v in map_losses(torch.zeros_like(right), batch, 2).values())


def test_the_slopes_have_the_type_of_the_maps(batch: Batch) -> None:
    maps = torch.zeros(3, 58, 32, 40, dtype=torch.bfloat16, requires_grad=True)
    losses = map_losses(maps, batch, 2)
    assert all(value.dtype == torch.float32 for value in losses.values())
    sum(losses.values(), torch.zeros(())).backward()
    assert maps.grad is not None and maps.grad.dtype == torch.bfloat16
