"""Shared makings: people as numbers, a few bodies, a few rendered frames."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from residualpose import Camera, Origin, Poses
from residualpose.pipeline.maps import Maps
from residualpose.pipeline.normalise import NetworkInput

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from residualpose.synthetic.bodies import BodyBank
    from residualpose.synthetic.people import RenderedFrame
    from residualpose.synthetic.shards import Cast


def pytest_sessionstart() -> None:
    """Tests send Ctrl-C to commands, which a shell that starts tests in the background ignores."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def poses() -> Poses:
    """Two people; the first one's joint 0 is absent, 1 from nearby, 2 guessed without a pixel."""
    rng = np.random.default_rng(5)
    camera = Camera(300, 300, 160, 120)
    joints_m = rng.normal([0, 0, 3], [0.5, 0.5, 0.1], (2, 15, 3))
    joints_px = camera.project(joints_m)
    origin = np.full((2, 15), Origin.MEASURED)
    origin[0, :3] = [Origin.ABSENT, Origin.NEIGHBOUR, Origin.PRIOR]
    joints_m[0, 0] = np.nan
    joints_px[0, [0, 2]] = np.nan
    covariance_m2 = np.broadcast_to(np.eye(3) * 1e-4, (2, 15, 3, 3))
    return Poses(
        joints_px, joints_m, rng.uniform(0, 1, (2, 15)), np.array([0.9, 0.4]), origin,
        covariance_m2, camera,
    )  # fmt: skip


@pytest.fixture
def standing_m() -> np.ndarray:
    """(15, 3) joints of one who stands 3 m ahead, faces the camera and reaches out to it."""
    return np.array([
        [0.0, -0.65, 2.98], [0.0, -0.42, 3.0], [-0.18, -0.4, 3.0], [0.18, -0.4, 3.02],
        [-0.3, -0.15, 2.95], [0.25, -0.12, 3.0], [-0.32, -0.2, 2.7], [0.28, 0.12, 2.97],
        [0.0, -0.15, 3.0], [-0.1, 0.1, 3.0], [0.1, 0.1, 3.01], [-0.12, 0.5, 2.97],
        [0.12, 0.5, 2.99], [-0.13, 0.9, 3.03], [0.14, 0.9, 3.05],
    ])  # fmt: skip


@pytest.fixture(scope="session")
def tiny_bank() -> BodyBank:
    """Three bodies."""
    pytest.importorskip("anny", reason="needs the synthetic extra")
    from residualpose.synthetic.bodies import make_bank

    return make_bank(3, seed=1)


@pytest.fixture(scope="session")
def tiny_cast(tiny_bank: BodyBank) -> Cast:
    """Three bodies and a few hundred poses."""
    from residualpose.synthetic.poses import PoseLibrary
    from residualpose.synthetic.shards import Cast

    return Cast(tiny_bank, PoseLibrary.procedural(0, 300))


@pytest.fixture(scope="session")
def well_seen(tiny_cast: Cast) -> Callable[..., Iterator[RenderedFrame]]:
    """Makes frames of so many people of whom nearly every joint is visible."""
    from residualpose.synthetic.people import SceneConfig, render_frame

    def make(scale: float = 1.0, people: int = 1) -> Iterator[RenderedFrame]:
        odds = tuple(float(k == people) for k in range(5))
        scene = SceneConfig(
            round(160 * scale), round(128 * scale), 144 * scale, 14 * scale, people=odds
        )
        for seed in count():
            rng = np.random.default_rng(seed)
            frame = render_frame(tiny_cast.bank, tiny_cast.poses, scene, rng)
            if frame.visible.sum() >= 14 * people and frame.joints_m[..., 2].max() < 4.5:
                yield frame

    return make


class PerfectMaps:
    """Writes the training targets of the known people, less some joints."""

    nearer_m = 0.0
    """How much nearer the surfaces of the next view are than they seem."""

    def __init__(self, people_m: np.ndarray, missed: tuple[int, ...] = ()) -> None:
        self.people_m, self.missed = people_m, list(missed)

    def __call__(self, view: NetworkInput) -> Maps:
        import torch

        from residualpose.learning.targets import make_targets

        camera = view.camera
        z = self.people_m[..., 2:]
        moved_m = self.people_m * (z - self.nearer_m) / z  # along the rays
        targets = make_targets(
            torch.tensor(moved_m[None], dtype=torch.float32),
            torch.ones(1, *self.people_m.shape[:2], dtype=torch.bool),
            torch.tensor([[camera.fx, camera.fy, camera.cx, camera.cy]]),
            torch.from_numpy(view.depth_m)[None],
            2,
        )
        parts, fields, offsets = (
            t[0].numpy() for t in (targets.parts, targets.fields, targets.offsets_m)
        )
        parts[self.missed] = 0
        return Maps(parts, fields, offsets, 2)


@pytest.fixture
def perfect_maps() -> type[PerfectMaps]:
    """A 2D network that knows the truth."""
    return PerfectMaps


@pytest.fixture(scope="session")
def perfect_model(tiny_cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a fitted prior and a refiner that changes nothing; no 2D network."""
    pytest.importorskip("torch", reason="needs the train extra")
    pytest.importorskip("onnx", reason="needs the train extra")
    from residualpose.learning.export import export_refiner, write_card
    from residualpose.learning.fit_prior import PriorFit, fit_prior
    from residualpose.learning.refiner_network import RefinerNetwork
    from residualpose.synthetic.bodies import part_transforms, posed_joints

    folder = tmp_path_factory.mktemp("model")
    bank, rng = tiny_cast.bank, np.random.default_rng(0)
    world_m = np.stack([
        posed_joints(bank, k % 3, *part_transforms(bank, k % 3, tiny_cast.poses.sample(rng)))
        for k in range(120)
    ])  # fmt: skip
    camera_m = np.stack([world_m[..., 0], -world_m[..., 2], world_m[..., 1] + 3], -1)
    fit_prior(camera_m, settings=PriorFit(components=1, iterations=3)).save(folder / "prior.npz")
    export_refiner(RefinerNetwork(width=16, blocks=1), folder / "refiner.onnx")
    (folder / "maps.onnx").write_bytes(b"written by PerfectMaps instead")
    write_card(folder, "perfect")
    return folder


@pytest.fixture(scope="session")
def tiny_shards(tiny_cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two shards of four small frames, of one or two people each."""
    from residualpose.synthetic.people import SceneConfig
    from residualpose.synthetic.shards import SynthConfig, make_shard

    folder = tmp_path_factory.mktemp("shards")
    scene = SceneConfig(96, 80, 86.4, 8.0, people=(0, 0.5, 0.5, 0, 0))
    config = SynthConfig(seed=3, shards=2, frames=4, bodies=3, scene=scene)
    for index in range(config.shards):
        make_shard(folder, index, config, tiny_cast)
    return folder


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless Chromium that can draw in 3D, with Mesa if it is there: by itself it is slower."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium here to open the page with")
    quiet = ["--no-sandbox", "--no-first-run", "--disable-background-networking"]
    graphics = (
        ["--use-gl=angle", "--use-angle=gl-egl", "--ignore-gpu-blocklist"],
        ["--enable-unsafe-swiftshader"],
    )
    with api.sync_playwright() as playwright:
        for switches in graphics:
            try:
                browser = playwright.chromium.launch(
                    executable_path=found, args=quiet + switches, timeout=120_000,
                    env={**os.environ, "EGL_PLATFORM": "surfaceless", "LIBGL_ALWAYS_SOFTWARE": "1"},
                )  # fmt: skip
            except api.Error as error:
                pytest.skip(f"Chromium could not start: {str(error)[:200]}")
            page = browser.new_page()
            draws = page.evaluate("!!document.createElement('canvas').getContext('webgl2')")
            page.close()
            if draws:
                yield browser
                browser.close()
                return
            browser.close()
    pytest.skip("Chromium cannot draw in 3D here")
