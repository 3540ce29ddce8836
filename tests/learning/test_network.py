"""The 2D network: shapes at any image size, its cost, and what its first layer reads."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from residualpose.learning.network import (  # noqa: E402
    OFFSET_SCALE_M,
    DepthChannels,
    NetworkConfig,
    PoseNetwork,
    split_maps,
)

TINY = NetworkConfig(stem=4, widths=(8, 8, 8), blocks=(1, 1, 1), head=8)


@pytest.mark.parametrize("size", [(128, 160), (16, 16), (48, 112)])
def test_maps_are_at_strides_4_and_2(size: tuple[int, int]) -> None:
    height, width = size
    with torch.no_grad():
        early, final = PoseNetwork(TINY).eval()(torch.rand(2, 1, height, width))
    assert early.shape == (2, 58, height // 4, width // 4)
    assert final.shape == (2, 58, height // 2, width // 2)


def test_split_maps_in_the_order_of_the_targets() -> None:
    stacked = torch.arange(58.0)[None, :, None, None].expand(1, 58, 2, 3)
    parts, fields, offsets = split_maps(stacked)
    assert parts[0, :, 0, 0].tolist() == list(range(15))
    assert fields[0, :, 0, 0].tolist() == list(range(15, 43))
    torch.testing.assert_close(offsets[0, :, 1, 2], torch.arange(43.0, 58) * OFFSET_SCALE_M)


def test_the_default_network_is_compact() -> None:
    """1 to 2.5 GFLOP a frame of 160 x 128, counted as two per multiplication."""
    network, flop = PoseNetwork().eval(), 0.0

    def count(module: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal flop
        flop += 2.0 * output[0].numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 1, 128, 160))
    assert 1e9 < flop < 2.5e9
    assert sum(p.numel() for p in network.parameters()) < 3e6


def test_channels_show_shape_wherever_in_the_room() -> None:
    depth = torch.full((1, 1, 64, 64), 2.0)
    depth[..., 20:30, 20:30] = 1.9
    depth[..., 40:50, 40:50] = 0
    near, far = (DepthChannels()(d) for d in (depth, torch.where(depth > 0, depth + 1, 0.0)))
    assert near.shape == (1, 4, 64, 64)
    assert not near[..., 40:50, 40:50].any()
    assert (near[0, 1] == (depth[0, 0] > 0)).all()
    torch.testing.assert_close(near[:, 2:], far[:, 2:], atol=1e-3, rtol=0)
    assert (near[0, 2:, 25, 25] < -0.1).all() and near[0, 2, 5, 60].abs() < 1e-4


def test_heights_are_above_the_mean_of_readings_around_each_two_rows() -> None:
    depth = torch.rand(1, 1, 32, 48, generator=torch.Generator().manual_seed(0)) * 0.2 + 2
    depth[..., 5:9, 30:40] = 0
    heights = DepthChannels()(depth)[0, 2] / 4
    for row, column in ((0, 0), (13, 20), (14, 20), (31, 47)):
        above = row - row % 2
        rows, columns = slice(max(above - 8, 0), above + 10), slice(max(column - 8, 0), column + 9)
        around = depth[0, 0, rows, columns]
        expected = depth[0, 0, row, column] - around[around > 0].mean()
        torch.testing.assert_close(heights[row, column], expected, atol=1e-5, rtol=0)


def test_in_longer_units_what_is_farther_looks_as_near_and_shapes_stay() -> None:
    depth = torch.full((1, 1, 32, 32), 2.0)
    depth[..., 10:20, 10:20] = 1.9
    known, longer = DepthChannels()(depth), DepthChannels(unit=1.25)(depth * 1.25)
    torch.testing.assert_close(longer[:, 0], known[:, 0])
    farther = DepthChannels(unit=1.25)(depth + 0.5)
    torch.testing.assert_close(farther[:, 2:], known[:, 2:], atol=1e-4, rtol=0)


def test_an_image_without_readings_is_finite() -> None:
    with torch.no_grad():
        maps = PoseNetwork(TINY).eval()(torch.zeros(1, 1, 32, 32))
    assert all(torch.isfinite(m).all() for m in maps)
