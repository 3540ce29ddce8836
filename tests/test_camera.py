"""Geometry of the camera: what is projected comes back, whatever the lens and the resolution."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from residualpose import Camera, ResidualPoseError, UsageError
from residualpose.camera import PRESETS, preset

focal_px = st.floats(80, 1200)
centre_px = st.floats(40, 640)
mild = st.floats(-0.08, 0.08)
tangential = st.floats(-0.004, 0.004)
distortions = st.one_of(
    st.just(()),
    st.tuples(mild, mild, tangential, tangential),
    st.tuples(mild, mild, tangential, tangential, st.floats(-0.02, 0.02)),
)
cameras = st.builds(Camera, focal_px, focal_px, centre_px, centre_px, distortions)
points_m = st.tuples(st.floats(-0.7, 0.7), st.floats(-0.6, 0.6), st.floats(0.3, 8.0)).map(
    lambda p: np.array([p[0] * p[2], p[1] * p[2], p[2]])
)


@given(cameras, points_m)
def test_backproject_undoes_project(camera: Camera, point_m: np.ndarray) -> None:
    pixel = camera.project(point_m)
    np.testing.assert_allclose(camera.backproject(pixel, point_m[2]), point_m, atol=1e-6)


@given(cameras, points_m, st.floats(0.5, 20))
def test_points_on_one_ray_share_a_pixel(camera: Camera, point_m: np.ndarray, scale: float) -> None:
    np.testing.assert_allclose(
        camera.project(point_m * scale), camera.project(point_m), rtol=0, atol=1e-6
    )


@given(cameras, points_m, st.floats(0.25, 4), st.floats(0.25, 4))
def test_resizing_moves_pixels_as_image_resampling_does(
    camera: Camera, point_m: np.ndarray, scale_x: float, scale_y: float
) -> None:
    original = camera.project(point_m)
    resized = camera.resized(scale_x, scale_y).project(point_m)
    # The left edge of the image, -0.5, stays the left edge at every resolution.
    np.testing.assert_allclose(resized + 0.5, (original + 0.5) * [scale_x, scale_y], atol=1e-6)


@given(cameras, points_m)
def test_another_camera_sees_the_same_point(camera: Camera, point_m: np.ndarray) -> None:
    other = preset("kinect2")
    lifted_m = camera.backproject(camera.project(point_m), point_m[2])
    np.testing.assert_allclose(other.project(lifted_m), other.project(point_m), atol=1e-3)


def test_project_follows_x_right_y_down() -> None:
    camera = Camera(500, 400, 320, 240)
    np.testing.assert_allclose(camera.project(np.array([1.0, 0.5, 2.0])), [570, 340])


def test_distortion_matches_the_brown_conrady_equations() -> None:
    k1, k2, p1, p2, k3 = 0.1, -0.05, 0.002, -0.001, 0.01
    x, y = 0.3, -0.2
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    expected = [
        100 * (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)) + 10,
        100 * (y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y) + 20,
    ]
    camera = Camera(100, 100, 10, 20, (k1, k2, p1, p2, k3))
    np.testing.assert_allclose(camera.project(np.array([x, y, 1.0])), expected)


def test_the_lens_of_an_azure_kinect_is_followed_to_the_edge() -> None:
    k1, k2, k3, k4, k5, k6 = 6.084, 4.375, 0.2362, 6.409, 6.418, 1.220
    camera = Camera(504, 504, 320, 288, (k1, k2, 6.5e-5, -5.5e-5, k3, k4, k5, k6))
    r2 = 0.8**2 + 0.6**2
    radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    x = 0.8 * radial + 2 * 6.5e-5 * 0.8 * 0.6 - 5.5e-5 * (r2 + 2 * 0.8 * 0.8)
    found = camera.project(np.array([0.8, 0.6, 1.0]))
    np.testing.assert_allclose(found[0], 504 * x + 320)
    grid = np.stack(np.meshgrid(np.arange(0, 640, 8), np.arange(0, 576, 8)), -1)
    np.testing.assert_allclose(camera.project(camera.rays(grid)), grid, atol=1e-6)


def test_points_behind_or_unknown_have_no_pixel() -> None:
    camera = preset("itop")
    points = np.array([[0, 0, -1.0], [0, 0, 0], [np.nan, 0, 1], [0, 0, np.nan]])
    assert np.isnan(camera.project(points)).any(axis=-1).all()


def test_presets_keep_the_field_of_view_at_half_resolution() -> None:
    full, half = preset("kinect1"), preset("kinect1", (320, 240))
    corner_full, corner_half = full.rays(np.array([-0.5, -0.5])), half.rays(np.array([-0.5, -0.5]))
    np.testing.assert_allclose(corner_full, corner_half)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_look_through_the_middle_of_their_image(name: str) -> None:
    width, height, *_ = PRESETS[name]
    camera = preset(name)
    assert abs(camera.cx - (width - 1) / 2) <= 1
    assert abs(camera.cy - (height - 1) / 2) <= 1


def test_preset_of_another_image_shape_is_refused() -> None:
    with pytest.raises(ResidualPoseError, match=r"640x480.*100x100"):
        preset("kinect1", (100, 100))


def test_parse_takes_numbers_presets_and_files(tmp_path: Path) -> None:
    assert Camera.parse("500, 501, 320, 240") == Camera(500, 501, 320, 240)
    assert Camera.parse("kinect2") == preset("kinect2")
    path = tmp_path / "cam.json"
    camera = Camera(500, 501, 320, 240, (0.1, 0, 0, 0), name="cam.json")
    path.write_text(json.dumps(camera.to_dict()))
    assert Camera.parse(str(path)) == camera


@pytest.mark.parametrize(
    "text",
    ["nokia", "1,2,3", "0,500,320,240", "-5,500,320,240", "a,b,c,d", "nan,1,1,1", "1e9,1,1,1",
     "inf,1,1,1", "", "missing.json"],
)  # fmt: skip
def test_impossible_cameras_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError):
        Camera.parse(text)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json",
        "[]",
        '{"fx": 1}',
        '{"fx": "wide", "fy": 1, "cx": 1, "cy": 1}',
        '{"fx": null, "fy": 1, "cx": 1, "cy": 1}',
        '{"fx": 1, "fy": 1, "cx": 1, "cy": 1, "distortion": 3}',
        '{"fx": 1, "fy": 1, "cx": 1, "cy": 1, "distortion": ["a", 1, 1, 1]}',
        '{"fx": 1, "fy": 1, "cx": 1, "cy": 1, "distortion": [1, 2]}',
        "\x80",
    ],
)
def test_bad_camera_files_are_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cam.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(UsageError, match=r"cam\.json"):
        Camera.load(path)
