"""One scene, many cameras: what the network sees is the same."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import maximum_filter, minimum_filter

from residualpose import Camera, DepthFrame, ResidualPoseError
from residualpose.pipeline.normalise import normalise

FOCAL_PX = 144.0
CENTRE_M, RADIUS_M = np.array([0.15, -0.1, 2.5]), 0.5
SLOPE, WALL_M = np.array([-0.2, 0.1, 1.0]), 4.0

# name: camera, width, height
CAMERAS = {
    "network": (Camera(144, 144, 79.5, 63.5), 160, 128),
    "itop": (Camera(285.7, 285.7, 160, 120), 320, 240),
    "kinect1": (Camera(575.8, 575.8, 319.5, 239.5), 640, 480),
    "off-centre": (Camera(365.5, 365.5, 200.3, 260.8), 512, 424),
    "large": (Camera(920, 915, 640, 512), 1280, 1024),
    "small": (Camera(72, 72, 39.5, 29.5), 80, 60),
    "wide": (Camera(252, 252, 255.5, 255.5), 512, 512),
    "barrel": (Camera(460, 460, 321, 238, (-0.2, 0.05, 0.002, -0.001, 0.0)), 640, 480),
    "pincushion": (Camera(460, 460, 321, 238, (0.15, 0.02, -0.001, 0.001)), 640, 480),
}


def scene_m(camera: Camera, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Depth of a ball in front of a sloping wall at any pixels of any camera."""
    rays = camera.rays(np.stack(np.meshgrid(columns, rows), -1))
    wall = WALL_M / (rays @ SLOPE)
    along, square = rays @ CENTRE_M, (rays**2).sum(-1)
    root = along**2 - square * (CENTRE_M @ CENTRE_M - RADIUS_M**2)
    ball = (along - np.sqrt(np.maximum(root, 0))) / square
    return np.where(root > 0, ball, wall)


def frame_of(camera: Camera, width: int, height: int) -> DepthFrame:
    return DepthFrame(scene_m(camera, np.arange(width), np.arange(height)), camera)


@pytest.mark.parametrize("name", CAMERAS)
def test_the_picture_is_that_of_the_networks_own_camera_within_a_pixel(name: str) -> None:
    camera, width, height = CAMERAS[name]
    view = normalise(frame_of(camera, width, height), FOCAL_PX)
    assert view.camera.fx == view.camera.fy == FOCAL_PX and not view.camera.distortion
    h, w = round(height * FOCAL_PX / camera.fy), round(width * FOCAL_PX / camera.fx)
    seen = view.depth_m[:h, :w]
    # What the scene holds within a pixel (of the coarser image) around every pixel.
    fine, reach = 8, max(1.0, FOCAL_PX / camera.fx)
    columns, rows = ((np.arange(n * fine) + 0.5) / fine - 0.5 for n in (w, h))
    ideal = scene_m(view.camera, columns, rows)
    size = 2 * int(reach * fine) + 1
    low = minimum_filter(ideal, size)[fine // 2 :: fine, fine // 2 :: fine]
    high = maximum_filter(ideal, size)[fine // 2 :: fine, fine // 2 :: fine]
    read = seen > 0
    assert read.mean() > (0.87 if camera.distortion else 0.999)
    assert (seen >= low - 1e-3)[read].all() and (seen <= high + 1e-3)[read].all()


def test_the_ball_is_as_large_from_every_camera() -> None:
    """Area in pixels of the network, and direction of its middle."""
    sizes, rays = [], []
    for camera, width, height in CAMERAS.values():
        view = normalise(frame_of(camera, width, height), FOCAL_PX)
        rows, columns = np.nonzero((view.depth_m > 0) & (view.depth_m < 3))
        sizes.append(len(rows))
        rays.append(view.camera.rays(np.array([columns.mean(), rows.mean()]))[:2])
    ideal = np.pi * (FOCAL_PX * RADIUS_M / CENTRE_M[2]) ** 2
    np.testing.assert_allclose(sizes, ideal * 1.05, rtol=0.08)
    # Half a pixel of the network is 3.5 milliradians.
    np.testing.assert_allclose(rays, np.tile(rays[0], (len(rays), 1)), atol=3.5e-3)


def test_pixels_and_points_agree_across_both_cameras() -> None:
    camera, width, height = CAMERAS["off-centre"]
    view = normalise(frame_of(camera, width, height), FOCAL_PX)
    grown = (camera.project(CENTRE_M) + 0.5) * FOCAL_PX / camera.fx - 0.5
    np.testing.assert_allclose(view.camera.project(CENTRE_M), grown)


@pytest.mark.parametrize("size", [(80, 60), (1280, 1024), (333, 217)])
def test_sides_are_multiples_of_16_padded_with_nothing(size: tuple[int, int]) -> None:
    focal = size[0] * 0.9
    camera = Camera(focal, focal, size[0] / 2, size[1] / 2)
    view = normalise(DepthFrame(np.full(size[::-1], 2.0), camera), FOCAL_PX)
    assert view.depth_m.dtype == np.float32
    assert not any(side % 16 for side in view.depth_m.shape)
    h, w = (round(side * FOCAL_PX / focal) for side in size[::-1])
    assert (view.depth_m[:h, :w] == 2).all()
    assert not view.depth_m[h:].any() and not view.depth_m[:, w:].any()
    assert view.depth_m.shape[0] - h < 16 and view.depth_m.shape[1] - w < 16


def test_near_far_and_holes_never_mix() -> None:
    """At half size each pixel is the lower median of the four readings it covers."""
    rng = np.random.default_rng(0)
    depth = rng.choice([0.0, 1.0, 3.0, 5.0], (64, 96)).astype(np.float32)
    view = normalise(DepthFrame(depth, Camera(288, 288, 47.5, 31.5)), FOCAL_PX)
    cells = depth.reshape(32, 2, 48, 2).transpose(0, 2, 1, 3).reshape(-1, 4)
    expected = [sorted(c[c > 0])[(int((c > 0).sum()) - 1) // 2] if c.any() else 0 for c in cells]
    np.testing.assert_array_equal(view.depth_m[:32, :48].ravel(), expected)


@pytest.mark.parametrize("focal", [72.0, 144.0, 250.0, 1000.0])
def test_no_reading_is_invented(focal: float) -> None:
    rng = np.random.default_rng(1)
    depth = rng.choice([0.0, 1.5, 4.0], (240, 320)).astype(np.float32)
    view = normalise(DepthFrame(depth, Camera(focal, focal, 160, 120)), FOCAL_PX)
    assert set(np.unique(view.depth_m)) <= {0.0, 1.5, 4.0}


def test_what_is_too_far_is_no_reading() -> None:
    depth = np.tile(np.float32([2.0, 30.0]), (64, 32)).repeat(2, axis=1)
    view = normalise(DepthFrame(depth, Camera(144, 144, 64, 32)), FOCAL_PX)
    assert set(np.unique(view.depth_m)) == {0.0, 2.0}


@pytest.mark.parametrize(
    ("focal", "found"), [(20.0, "166 x 161"), (1e5, "0 x 0")], ids=["wide", "narrow"]
)
def test_an_impossible_field_of_view_is_explained(focal: float, found: str) -> None:
    frame = DepthFrame(np.ones((240, 320)), Camera(focal, focal, 160, 120), source="odd.npy")
    with pytest.raises(ResidualPoseError, match=rf"odd.npy.*{found} degrees.*3 to 139.*camera"):
        normalise(frame, FOCAL_PX)
