"""The interactive page: what it embeds can be read back, and it depends on nothing outside."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from residualpose.camera import Camera
from residualpose.drawing import PageFrame, write_html
from residualpose.drawing.html import render_html
from residualpose.drawing.page_data import pack_cloud, rounded, sample_cloud, uncertainty_shells
from residualpose.errors import ResidualPoseError
from residualpose.poses import Origin, Poses

CAMERA = Camera(570.0, 570.0, 319.5, 239.5)


def two_people() -> Poses:
    rng = np.random.default_rng(4)
    joints_m = rng.uniform([-0.5, -0.9, 2.5], [0.5, 0.9, 3.5], (2, 15, 3))
    joints_m[1, 6] = np.nan
    origin = rng.choice([Origin.MEASURED, Origin.NEIGHBOUR, Origin.PRIOR], (2, 15))
    origin[1, 6] = Origin.ABSENT
    covariance = np.tile(np.diag([1e-4, 4e-4, 9e-4]), (2, 15, 1, 1))
    covariance[1, 6] = np.nan
    score = rng.uniform(0, 1, (2, 15))
    score[1, 6] = np.nan
    return Poses(
        CAMERA.project(joints_m),
        joints_m,
        score,
        np.array([0.9, np.nan]),
        origin,
        covariance,
        CAMERA,
    )


def page_frame(title: str = "frame 1", poses: Poses | None = None) -> PageFrame:
    rng = np.random.default_rng(5)
    depth_m = 3 + np.linspace(0, 1, 480)[:, None] + rng.normal(0, 0.01, (480, 640))
    depth_m[:50], depth_m[60, 60] = 0, np.nan
    poses = two_people() if poses is None else poses
    return PageFrame(title, depth_m, CAMERA, poses, {"lifted": poses.joints_m + 0.02})


def data_of(page: str) -> dict:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1], parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def test_points_and_image_can_be_read_back() -> None:
    frame = page_frame()
    packed = data_of(render_html([frame]))["frames"][0]
    cloud = packed["cloud"]
    xyz = np.frombuffer(base64.b64decode(cloud["xyz"]), "<i2").reshape(-1, 3) * cloud["unit_m"]
    light = np.frombuffer(base64.b64decode(cloud["light"]), np.uint8)
    assert 20_000 < len(xyz) == len(light) <= 40_000
    u, v = np.round(CAMERA.project(xyz)).astype(int).T
    assert xyz[:, 2] == pytest.approx(frame.depth_m[v, u], abs=cloud["unit_m"])
    assert np.ptp(light) > 20
    picture = Image.open(io.BytesIO(base64.b64decode(packed["image"].split(",")[1])))
    assert picture.size == (640, 480)


def test_people_stages_and_missing_joints() -> None:
    frame = page_frame()
    packed = data_of(render_html([frame]))["frames"][0]
    assert [stage["name"] for stage in packed["stages"]] == ["lifted", "refined"]
    refined = packed["stages"][1]["joints_m"]
    assert refined[0][3] == pytest.approx(frame.poses.joints_m[0, 3], abs=1e-4)
    assert refined[1][6] is None
    person = packed["people"][1]
    assert person["joints_px"][6] is person["joint_score"][6] is person["score"] is None
    assert person["joint_score"][5] == pytest.approx(frame.poses.joint_score[1, 5], abs=1e-3)
    assert person["shell_m"][6] == [None] * 3
    assert person["origin"][6] == "absent"
    assert packed["people"][0]["origin"][0] == Origin(int(frame.poses.origin[0, 0])).name.lower()


def test_the_page_is_small_and_loads_nothing() -> None:
    page = render_html([page_frame()])
    assert len(page.encode()) < 1_500_000
    assert not re.search(
        r"""<[^>]*\s(?:src|href)=|@import|https?://|file:|/(?:work|home|tmp)/""", page
    )


def test_titles_are_escaped() -> None:
    title = '</script><b onclick="x">&/*DATA*/'
    page = render_html([page_frame(title)])
    assert data_of(page)["frames"][0]["title"] == title
    assert page.count("</script>") == 2
    assert "<b onclick" not in page
    assert "&lt;/script&gt;" in page.split("</title>")[0]


def test_nobody_and_several_frames(tmp_path: Path) -> None:
    frames = [page_frame("first"), page_frame("nobody", Poses.empty(CAMERA))]
    path = write_html(tmp_path / "page.html", frames)
    packed = data_of(path.read_text(encoding="utf-8"))["frames"]
    assert [len(frame["people"]) for frame in packed] == [2, 0]
    assert packed[1]["stages"][-1] == {"name": "refined", "joints_m": []}


def test_an_empty_depth_image_is_a_page_too() -> None:
    frame = PageFrame("dark", np.zeros((60, 80)), CAMERA, Poses.empty(CAMERA))
    assert data_of(render_html([frame]))["frames"][0]["cloud"]["xyz"] == ""


def test_wrong_requests_are_explained(tmp_path: Path) -> None:
    with pytest.raises(ResidualPoseError, match="at least one frame"):
        render_html([])
    with pytest.raises(ResidualPoseError, match="lifted"):
        PageFrame("x", np.ones((60, 80)), CAMERA, two_people(), {"lifted": np.zeros((1, 15, 3))})
    with pytest.raises(ResidualPoseError, match=r"\(H, W\)"):
        PageFrame("x", np.ones(7), CAMERA, two_people())
    with pytest.raises(ResidualPoseError, match="cannot write"):
        write_html(tmp_path / "absent" / "page.html", [page_frame()])


def test_far_points_still_fit_sixteen_bits() -> None:
    points_m = np.array([[0.0, 0, 60], [-70, 2, 3]])
    packed = pack_cloud(points_m, np.array([0.0, 1]))
    grid = np.frombuffer(base64.b64decode(str(packed["xyz"])), "<i2").reshape(-1, 3)
    assert grid * packed["unit_m"] == pytest.approx(points_m, abs=0.002)


def test_decimation_keeps_the_limit_and_the_point_size() -> None:
    points_m, light, spread = sample_cloud(np.full((480, 640), 2.0), CAMERA, 10_000)
    assert len(points_m) == len(light) == 80 * 107  # every sixth row and column
    assert spread == pytest.approx(6 / 570)


def test_shells_are_two_deviations_along_the_axes() -> None:
    shells = uncertainty_shells(np.diag([1e-4, 4e-4, 9e-4])[None])
    assert shells[0] == pytest.approx(2 * np.diag([0.01, 0.02, 0.03]), abs=1e-9)
    assert np.isnan(uncertainty_shells(np.full((1, 3, 3), np.nan))).all()
    turned = np.array([[4.0, 1, 0], [1, 3, 0.5], [0, 0.5, 2]])
    shell = uncertainty_shells(turned) / 2
    assert shell @ shell.T == pytest.approx(turned)


def test_rows_with_nan_become_null() -> None:
    assert rounded(np.array([[1.23456, 2], [np.nan, 0]]), 2) == [[1.23, 2.0], None]


def browser() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium here to open the page with")
    return found


@pytest.mark.parametrize(
    ("graphics", "message"),
    [("--use-angle=swiftshader", False), ("--disable-3d-apis", True)],
    ids=["webgl", "without-webgl"],
)
def test_a_browser_runs_the_page(tmp_path: Path, graphics: str, message: bool) -> None:
    path = write_html(tmp_path / "page.html", [page_frame("seen"), page_frame("second")])
    command = [
        browser(), "--headless", "--no-sandbox", "--disable-gpu", "--use-gl=angle",
        graphics, "--enable-unsafe-swiftshader", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--virtual-time-budget=2000", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
        path.as_uri(),
    ]  # fmt: skip
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("Chromium did not finish in 90 s on this machine")
    if run.returncode:
        pytest.skip(f"Chromium could not start: {run.stderr[-200:]}")
    assert '<h1 id="title">seen</h1>' in run.stdout
    assert run.stdout.count('title="Look at this person"') == 2
    assert run.stdout.count("<tr><td>") == 30
    assert ('<p class="message">' in run.stdout) == message
