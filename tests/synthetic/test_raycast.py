"""Ray casting: exact depths of known solids, and no culling that changes a picture."""

import numpy as np
import pytest

from residualpose.synthetic.primitives import (
    BOX,
    ELLIPSOID,
    Primitives,
    merge,
    random_rotation,
    solids,
    yaw_rotation,
)

torch = pytest.importorskip("torch")
from residualpose.synthetic.raycast import NEAR_M, cast  # noqa: E402

CAMERA = (140.0, 150.0, 79.3, 58.6)
WIDTH, HEIGHT = 150, 117


def look(primitives: Primitives, pose: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Depth and index as arrays; the camera stands at the world's origin unless told."""
    depth, index = cast([before(primitives, pose)], lenses(1), WIDTH, HEIGHT)
    assert depth.dtype == torch.float32 and index.dtype == torch.int32
    return depth[0].numpy(), index[0].numpy()


def before(primitives: Primitives, pose: np.ndarray | None) -> Primitives:
    """The solids in the frame of a camera with a pose."""
    maps = np.linalg.inv(np.eye(4) if pose is None else pose) @ primitives.T_world_local
    return Primitives(primitives.kind, maps, primitives.material)


def lenses(count: int) -> torch.Tensor:
    return torch.tensor([CAMERA] * count, dtype=torch.float64)


def brute_force(primitives: Primitives, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slab and textbook sphere tests of every ray with every solid in float64."""
    fx, fy, cx, cy = CAMERA
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    rays = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones_like(u)], -1)
    best, index = np.full((HEIGHT, WIDTH), np.inf), np.full((HEIGHT, WIDTH), -1)
    for number in range(len(primitives)):
        inverse = np.linalg.inv(
            np.linalg.inv(pose) @ primitives.T_world_local[number].astype(np.float64)
        )
        origin, ray = inverse[:3, 3], rays @ inverse[:3, :3].T
        if primitives.kind[number] == BOX:
            with np.errstate(divide="ignore"):
                sides = np.stack([(-1 - origin) / ray, (1 - origin) / ray])
            near, far = sides.min(0).max(-1), sides.max(0).min(-1)
            hit = near <= far
        else:
            a, b, c = (ray**2).sum(-1), ray @ origin, origin @ origin - 1
            root = b * b - a * c
            hit, near = root >= 0, (-b - np.sqrt(np.maximum(root, 0))) / a
        hit = hit & (near > NEAR_M) & (near < best)
        best[hit], index[hit] = near[hit], number
    return np.where(np.isfinite(best), best, 0), index


def random_scene(rng: np.random.Generator) -> Primitives:
    """Solids of all sizes all around the origin, some containing it, many across its planes."""
    count = int(rng.integers(1, 40))
    parts = [
        solids(
            kind,
            rng.normal(0, 2, (count, 3)),
            rng.uniform(0.01, 1, (count, 3)) ** 2,
            random_rotation(rng, count, 1.5),
        )
        for kind in (BOX, ELLIPSOID)
    ]
    return merge(parts)


def random_pose(rng: np.random.Generator) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = random_rotation(rng, 1, 1.5)[0]
    pose[:3, 3] = rng.normal(0, 0.5, 3)
    return pose


def test_empty_scene_is_zero() -> None:
    depth, index = look(merge([]))
    assert depth.shape == (HEIGHT, WIDTH)
    assert (depth == 0).all() and (index == -1).all()


def test_axis_aligned_box_shows_its_face() -> None:
    depth, index = look(solids(BOX, (0, 0, 3), (0.5, 0.4, 0.25)))
    seen = index == 0
    assert np.allclose(depth[seen], 2.75, atol=1e-5) and (depth[~seen] == 0).all()
    columns = np.flatnonzero(seen.any(0))
    half_px = 0.5 / 2.75 * CAMERA[0]
    assert columns[0] == np.ceil(CAMERA[2] - half_px)
    assert columns[-1] == np.floor(CAMERA[2] + half_px)


def test_turned_box_shows_its_edge() -> None:
    quarter = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0.0]]) @ yaw_rotation(np.pi / 4)
    depth, _ = look(solids(BOX, (0, 0, 3), (0.5, 0.5, 0.5), quarter))
    u, v = 79, 59
    x_per_z = (u - CAMERA[2]) / CAMERA[0]
    # The faces x +- (z - 3) = -+ 0.5 sqrt 2 meet in an upright edge before the camera.
    expected = (3 - 0.5 * np.sqrt(2)) / (1 - abs(x_per_z))
    assert depth[v, u] == pytest.approx(expected, abs=1e-5)


def test_sphere_is_exact() -> None:
    depth, index = look(solids(ELLIPSOID, (0.3, -0.2, 2.5), (0.4, 0.4, 0.4)))
    v, u = np.nonzero(index == 0)
    z = depth[v, u].astype(np.float64)
    x, y = (u - CAMERA[2]) / CAMERA[0] * z, (v - CAMERA[3]) / CAMERA[1] * z
    radius = np.sqrt((x - 0.3) ** 2 + (y + 0.2) ** 2 + (z - 2.5) ** 2)
    assert len(z) > 800
    assert np.allclose(radius, 0.4, atol=2e-5)


@pytest.mark.parametrize("seed", range(12))
def test_culling_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene, pose = random_scene(rng), random_pose(rng)
    depth, index = look(scene, pose)
    true_depth, true_index = brute_force(scene, pose)
    wrong = index != true_index
    assert wrong.mean() < 1e-3  # rays that graze a silhouette
    assert np.allclose(depth[~wrong], true_depth[~wrong], rtol=2e-4, atol=1e-5)


def test_solids_around_the_camera_are_transparent() -> None:
    around = merge([solids(BOX, (0, 0, 0), (1, 1, 1)), solids(ELLIPSOID, (0, 0, 0), (2, 1, 1))])
    depth, index = look(merge([around, solids(BOX, (0, 0, 5), (9, 9, 1))]))
    assert (index == 2).all() and np.allclose(depth, 4, atol=1e-5)


def test_thin_far_ellipsoid_keeps_its_precision() -> None:
    depth, index = look(solids(ELLIPSOID, (0, 0, 6), (0.5, 0.5, 0.001)))
    assert (index == 0).sum() > 300
    assert np.allclose(depth[index == 0], 6, atol=2e-3)


def test_deterministic_and_independent_of_order() -> None:
    rng = np.random.default_rng(3)
    scene, pose = random_scene(rng), random_pose(rng)
    depth, index = look(scene, pose)
    again, _ = look(scene, pose)
    order = rng.permutation(len(scene))
    shuffled = Primitives(scene.kind[order], scene.T_world_local[order], scene.material[order])
    depth_shuffled, index_shuffled = look(shuffled, pose)
    assert np.array_equal(depth, again) and np.array_equal(depth, depth_shuffled)
    seen = index >= 0
    assert (order[index_shuffled[seen]] == index[seen]).all()


def test_images_cast_together_are_those_cast_alone() -> None:
    rng = np.random.default_rng(8)
    groups = [before(random_scene(rng), random_pose(rng)) for _ in range(3)]
    groups.insert(1, merge([]))
    lens = lenses(4) * torch.tensor([[1.0], [1.0], [0.7], [1.2]])
    depth, number = cast(groups, lens, WIDTH, HEIGHT)
    first = 0
    for i, group in enumerate(groups):
        alone_depth, alone = cast([group], lens[i : i + 1], WIDTH, HEIGHT)
        assert torch.equal(depth[i], alone_depth[0])
        assert torch.equal(number[i], torch.where(alone[0] >= 0, alone[0] + first, -1))
        first += len(group)
    assert (depth[0] > 0).any() and not depth[1].any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees() -> None:
    rng = np.random.default_rng(5)
    scene, pose = random_scene(rng), random_pose(rng)
    depth, index = look(scene, pose)
    solids = [before(scene, pose)]
    depth_gpu, index_gpu = (image[0] for image in cast(solids, lenses(1).cuda(), WIDTH, HEIGHT))
    same = index_gpu.cpu().numpy() == index
    assert same.mean() > 0.999
    assert np.allclose(depth_gpu.cpu().numpy()[same], depth[same], rtol=1e-5)
