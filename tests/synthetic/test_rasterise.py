"""The z-buffer against geometry worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the synthetic extra")

from residualpose.camera import Camera  # noqa: E402
from residualpose.synthetic.rasterise import rasterise  # noqa: E402

CAMERA = Camera(100.0, 100.0, 31.5, 23.5)
WIDTH, HEIGHT = 64, 48


def draw(points_m: np.ndarray, triangles: list[list[int]], labels: list[int]) -> tuple:
    """Depth and labels as numpy arrays."""
    mesh = (
        torch.tensor(np.asarray(points_m), dtype=torch.float32),
        torch.tensor(triangles),
        torch.tensor(labels),
    )
    lens = torch.tensor([[CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy]], dtype=torch.float32)
    depth, label = rasterise([mesh], lens, WIDTH, HEIGHT)
    return depth[0].numpy(), label[0].numpy()


def pixels_to_points(corners_px: list[tuple[float, float]], depths_m: list[float]) -> np.ndarray:
    return CAMERA.backproject(np.array(corners_px), np.array(depths_m))


def image_rays() -> np.ndarray:
    return CAMERA.rays(np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), -1))


def test_a_slanted_triangle_has_the_pixels_and_the_depth_of_its_plane() -> None:
    corners = [(10.2, 5.3), (14.7, 40.1), (50.4, 20.6)]
    points = pixels_to_points(corners, [1.0, 2.0, 3.0])
    depth, label = draw(points, [[0, 1, 2]], [7])
    u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    inside = np.ones((HEIGHT, WIDTH), bool)
    for (ua, va), (ub, vb) in zip(corners, [*corners[1:], corners[0]], strict=True):
        inside &= (ub - ua) * (v - va) - (vb - va) * (u - ua) <= 0
    assert inside.sum() > 400
    np.testing.assert_array_equal(label == 7, inside)
    np.testing.assert_array_equal(label == -1, ~inside)
    normal = np.cross(points[1] - points[0], points[2] - points[0])
    plane_m = (normal @ points[0]) / (image_rays() @ normal)
    np.testing.assert_allclose(depth[inside], plane_m[inside], atol=1.2e-4)
    assert not depth[~inside].any()


def test_back_faces_are_skipped() -> None:
    points = pixels_to_points([(10, 5), (14, 40), (50, 20)], [1.0, 2.0, 3.0])
    assert (draw(points, [[0, 1, 2]], [1])[0] > 0).any()
    assert not draw(points, [[0, 2, 1]], [1])[0].any()


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_the_nearest_triangle_wins(order: list[int]) -> None:
    corners: list[tuple[float, float]] = [(5.4, 5.2), (5.3, 40.6), (60.1, 20.7)]
    points = np.concatenate([pixels_to_points(corners, [z] * 3) for z in (2.0, 3.0)])
    triangles = [[[0, 1, 2], [3, 4, 5]][k] for k in order]
    depth, label = draw(points, triangles, [[20, 30][k] for k in order])
    assert (label[label >= 0] == 20).all() and (label >= 0).sum() > 500
    np.testing.assert_allclose(depth[label == 20], 2.0, atol=1e-4)


def test_what_is_behind_or_at_the_camera_is_not_drawn() -> None:
    points = pixels_to_points([(10, 5), (14, 40), (50, 20)], [1.0, 1.0, 1.0])
    for z in (-1.0, 0.0, 0.05):
        moved = points.copy()
        moved[1] *= z
        depth, label = draw(moved, [[0, 1, 2], [0, 2, 1]], [1, 2])
        assert not depth.any() and (label == -1).all()


def test_a_closed_mesh_has_no_holes_and_the_depth_of_the_sphere() -> None:
    centre, radius, rows, around = np.array([0.1, -0.05, 2.0]), 0.4, 40, 80
    polar = np.linspace(0, np.pi, rows + 1)[:, None]
    angle = np.arange(around)[None] * 2 * np.pi / around
    unit = np.stack(np.broadcast_arrays(
        np.sin(polar) * np.cos(angle), np.sin(polar) * np.sin(angle), np.cos(polar)
    ), -1).reshape(-1, 3)  # fmt: skip
    r, c = (g.ravel() for g in np.meshgrid(np.arange(rows), np.arange(around), indexing="ij"))
    a, b = r * around + c, r * around + (c + 1) % around
    triangles = np.concatenate(
        [np.stack([a, a + around, b], 1), np.stack([b, a + around, b + around], 1)]
    )
    depth, label = draw(unit * radius + centre, triangles.tolist(), [3] * len(triangles))
    rays = image_rays()
    along, square = rays @ centre, (rays**2).sum(-1)
    root = along**2 - square * (centre @ centre - radius**2)
    hit = root > 0.02
    analytic_m = (along - np.sqrt(np.maximum(root, 0))) / square
    assert hit.sum() > 700
    assert (label[hit] == 3).all()
    np.testing.assert_allclose(depth[hit], analytic_m[hit], atol=4e-3)
    assert not depth[root < -0.02].any()


def triangles_of(seed: int) -> tuple:
    """Many random triangles before the camera, some across its near plane."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform([-1, -0.8, -0.2], [1, 0.8, 4], (300, 1, 3))
    points = (centre + rng.normal(0, 0.15, (300, 3, 3))).reshape(-1, 3)
    triangles = torch.arange(900).view(300, 3)
    return torch.tensor(points, dtype=torch.float32), triangles, torch.arange(300) + seed


def test_images_drawn_together_are_those_drawn_alone() -> None:
    meshes = [triangles_of(seed) for seed in range(4)]
    nothing = torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64), torch.zeros(0).long()
    meshes.insert(2, nothing)
    lenses = torch.tensor([[100.0, 100, 31.5, 23.5], [80, 90, 30, 20], [9, 9, 9, 9],
                           [70, 70, 10, 5], [200, 190, 33, 25]])  # fmt: skip
    depth, label = rasterise(meshes, lenses, WIDTH, HEIGHT)
    for i, mesh in enumerate(meshes):
        alone_depth, alone_label = rasterise([mesh], lenses[i : i + 1], WIDTH, HEIGHT)
        assert torch.equal(depth[i], alone_depth[0]) and torch.equal(label[i], alone_label[0])
    assert not depth[2].any() and (label[2] == -1).all() and (depth[3] > 0).any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_draws_the_same() -> None:
    meshes, lens = [triangles_of(3)], torch.tensor([[100.0, 100, 31.5, 23.5]])
    depth, label = rasterise(meshes, lens, WIDTH, HEIGHT)
    depth_gpu, label_gpu = (image.cpu() for image in rasterise(meshes, lens.cuda(), WIDTH, HEIGHT))
    same = label_gpu == label
    assert same.float().mean() > 0.999
    torch.testing.assert_close(depth_gpu[same], depth[same], rtol=1e-4, atol=1e-4)
