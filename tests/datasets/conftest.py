"""Rendered people, written in the exact layouts of the data sets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from residualpose import Camera
from residualpose.camera import preset
from residualpose.cli.main import main

if TYPE_CHECKING:
    from residualpose.synthetic.people import Scene, SceneConfig
    from residualpose.synthetic.shards import Cast

CM = 100.0
ITOP_IDS = ("00_00010", "00_00011", "01_00003", "01_00004", "01_00005")
ITOP_VALID = (1, 0, 1, 1, 0)


@dataclass(frozen=True)
class Shot:
    """One rendered image with its truth, camera frame x right, y down."""

    depth_m: np.ndarray
    joints_m: np.ndarray
    visible: np.ndarray


Draw = Callable[["Scene", Camera, int, int], Shot]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line: exit status, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def scenes(tiny_cast: Cast) -> Callable[[tuple[float, ...], int], Iterator[Scene]]:
    """Endless scenes with so many people."""
    from residualpose.synthetic.people import SceneConfig, sample_scene

    def sample(people: tuple[float, ...], seed: int) -> Iterator[Scene]:
        config = SceneConfig(320, 240, 280.0, 0.0, people=people, occluders=0.0)
        rng = np.random.default_rng(seed)
        while True:
            yield sample_scene(tiny_cast.bank, tiny_cast.poses, config, rng)

    return sample


def draw(scene: Scene, camera: Camera, width: int, height: int) -> Shot:
    from residualpose.synthetic.people import SceneConfig, draw_scene

    config: SceneConfig = SceneConfig(width, height, camera.fx, 0.0)
    frame = draw_scene(replace(scene, camera=camera), config)
    return Shot(frame.depth_m, frame.joints_m.astype(np.float64), frame.visible)


@pytest.fixture(scope="session")
def itop_shots(scenes: Callable[..., Iterator[Scene]]) -> list[Shot]:
    """One person, all joints in the image of ITOP's camera, most of them in sight."""
    shots, camera = [], preset("itop")
    for scene in scenes((0, 1), 11):
        shot = draw(scene, camera, 320, 240)
        u, v = np.moveaxis(camera.project(shot.joints_m[0]), -1, 0)
        if ((u > 0) & (u < 319) & (v > 0) & (v < 239)).all() and shot.visible.sum() >= 8:
            shots.append(shot)
        if len(shots) == len(ITOP_IDS):
            return shots
    raise AssertionError


def write_itop(folder: Path, shots: list[Shot], view: str = "side", split: str = "test") -> Path:
    """Depth and labels as the published files have them: float16 metres, y up, int16 pixels."""
    h5py = pytest.importorskip("h5py", reason="needs the h5 extra")
    folder.mkdir(exist_ok=True)
    ids = np.array([name.encode() for name in ITOP_IDS[: len(shots)]])
    joints_m = np.stack([shot.joints_m[0] for shot in shots]) * [1, -1, 1]
    x, y, z = np.moveaxis(joints_m, -1, 0)
    px = np.stack([160 + x / (0.0035 * z), 120 - y / (0.0035 * z)], axis=-1)
    with h5py.File(folder / f"ITOP_{view}_{split}_depth_map.h5", "w") as file:
        file["data"] = np.stack([shot.depth_m for shot in shots]).astype(np.float16)
        file["id"] = ids
    with h5py.File(folder / f"ITOP_{view}_{split}_labels.h5", "w") as file:
        file["id"] = ids
        file["is_valid"] = np.array(ITOP_VALID[: len(shots)], np.uint8)
        file["image_coordinates"] = px.round().astype(np.int16)
        file["real_world_coordinates"] = joints_m.astype(np.float32)
        file["visible_joints"] = np.stack([shot.visible[0] for shot in shots]).astype(np.int16)
        file["segmentation"] = np.full((len(shots), 240, 320), -1, np.int8)
    return folder


@pytest.fixture(scope="session")
def save_itop() -> Callable[..., Path]:
    """`write_itop`, for tests that change what they write."""
    return write_itop


@pytest.fixture
def itop(tmp_path: Path, itop_shots: list[Shot]) -> Path:
    """A folder with ITOP's side test files."""
    return write_itop(tmp_path / "ITOP", itop_shots)


def rigid(degrees: tuple[float, float, float], t: tuple[float, float, float]) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    T[:3, 3] = t
    return T


@dataclass(frozen=True)
class Kinects:
    """Two Kinects with known calibrations, under one meaning of M_color."""

    colour_to_kinect: bool
    camera: Camera = field(
        default_factory=lambda: Camera(
            365.5, 366.0, 257.2, 205.1, (0.0905, -0.268, 0.0012, -0.0007, 0.0951)
        )
    )
    M_color: np.ndarray = field(
        default_factory=lambda: rigid((0.4, -1.1, 0.3), (-0.052, 0.0015, 0.004))
    )
    M_depth: tuple[np.ndarray, np.ndarray] = field(
        default_factory=lambda: (np.eye(4), rigid((0.5, 0.2, -0.3), (0.004, -0.002, 0.001)))
    )
    T_second_first: np.ndarray = field(
        default_factory=lambda: rigid((2.0, -9.0, 1.0), (0.35, 0.05, 0.02))
    )

    def T_depth_colour(self, node: int) -> np.ndarray:
        """Metres; what the reader has to find out."""
        M = self.M_color if self.colour_to_kinect else np.linalg.inv(self.M_color)
        return self.M_depth[node - 1] @ M

    def T_colour_world(self, node: int) -> np.ndarray:
        """Centimetres; the second from where it stands beside the first."""
        first = rigid((170.0, 25.0, 3.0), (12.0, 110.0, 290.0))
        if node == 1:
            return first
        scale = np.diag([CM, CM, CM, 1.0])
        first_m = np.linalg.inv(scale) @ first
        chain = self.T_second_first @ self.T_depth_colour(1) @ first_m
        return scale @ np.linalg.inv(self.T_depth_colour(2)) @ chain

    def to_world_cm(self, joints_m: np.ndarray) -> np.ndarray:
        """Depth camera of the first Kinect, metres, to the world: the chain backwards."""
        colour_m = moved(joints_m, np.linalg.inv(self.T_depth_colour(1)))
        return moved(colour_m * CM, np.linalg.inv(self.T_colour_world(1)))

    def take(self, scene: Scene, node: int) -> Shot:
        """The distorted image of one Kinect, of a scene whose viewpoint is the first's."""
        pinhole, wide, high = Camera(365, 365, 340, 290), 680, 580
        T_first_this = np.linalg.inv(self.T_second_first) if node == 2 else np.eye(4)
        view = scene.viewpoint
        moved_view = replace(view, T_world_camera=view.T_world_camera @ T_first_this)
        shot = draw(replace(scene, viewpoint=moved_view), pinhole, wide, high)
        pixels = np.stack(np.meshgrid(np.arange(512), np.arange(424)), axis=-1)
        u, v = np.moveaxis(pinhole.project(self.camera.rays(pixels)).round().astype(int), -1, 0)
        inside = (u >= 0) & (u < wide) & (v >= 0) & (v < high)
        depth = shot.depth_m[v.clip(0, high - 1), u.clip(0, wide - 1)]
        return Shot(np.where(inside, depth, 0), shot.joints_m, shot.visible)


def moved(points: np.ndarray, T: np.ndarray) -> np.ndarray:
    return points @ T[:3, :3].T + T[:3, 3]


@dataclass(frozen=True)
class Sequence:
    """A written sequence and what it shows: (high definition frame, Kinect) -> shot."""

    folder: Path
    shots: dict[tuple[int, int], Shot]
    kinects: Kinects


def write_panoptic(folder: Path, shots: dict[tuple[int, int], Shot], kinects: Kinects) -> Sequence:
    """All files of a sequence; the skeletons are the joints of the first Kinect's shots."""
    name, frames = folder.name, sorted({hd for hd, _ in shots})
    kinect_times = [100.0 + 33.0 * i for i in range(len(frames) + 2)]
    hd_times = [0.0] * (max(frames) + 3)
    for i, hd in enumerate(frames):
        hd_times[hd + 1] = kinect_times[i + 1] + 3.0  # hd + 2 where counting starts at 1
    for node in (1, 2):
        images = [np.zeros((424, 512)), *(shots[hd, node].depth_m for hd in frames)]
        data = np.stack([*images, np.zeros((424, 512))])[:, :, ::-1] * 1000
        path = folder / "kinect_shared_depth" / f"KINECTNODE{node}" / "depthdata.dat"
        path.parent.mkdir(parents=True)
        path.write_bytes(data.round().astype("<u2").tobytes())
    camera, depth_nodes = kinects.camera, {"univ_time": kinect_times}
    sensors = [
        {
            "K_depth": camera.K.tolist(), "distCoeffs_depth": [*camera.distortion, 1000, 0],
            "M_depth": kinects.M_depth[node - 1].tolist(), "M_color": kinects.M_color.tolist(),
            "K_color": np.eye(3).tolist(), "distCoeffs_color": [0] * 7,
        }
        for node in (1, 2)
    ]  # fmt: skip
    poses = {node: kinects.T_colour_world(node) for node in (1, 2)}
    cameras = [{"name": "00_00", "R": np.eye(3).tolist(), "t": [[0], [0], [0]]}] + [
        {"name": f"50_{k:02d}", "R": T[:3, :3].tolist(), "t": T[:3, 3:].tolist()}
        for k, T in poses.items()
    ]
    tables = {"kinect": {"depth": {f"KINECTNODE{k}": depth_nodes for k in (1, 2)}}}
    for stem, content in (
        ("kcalibration", {"sensors": sensors}), ("calibration", {"cameras": cameras}),
        ("ksynctables", tables), ("synctables", {"hd": {"univ_time": hd_times}}),
    ):  # fmt: skip
        (folder / f"{stem}_{name}.json").write_text(json.dumps(content))
    skeletons = folder / "hdPose3d_stage1_coco19"
    skeletons.mkdir()
    for hd in frames:
        people = kinects.to_world_cm(shots[hd, 1].joints_m)
        bodies = [
            {"id": p, "joints19": coco19(joints).ravel().tolist()}
            for p, joints in enumerate(people)
        ]
        path = skeletons / f"body3DScene_{hd:08d}.json"
        path.write_text(json.dumps({"version": 0.7, "univTime": 0, "bodies": bodies}))
    return Sequence(folder, shots, kinects)


def coco19(joints: np.ndarray) -> np.ndarray:
    """(19, 4) of our (15, 3); eyes and ears are not seen."""
    ours = dict(zip(("nose", "neck", "rs", "ls", "re", "le", "rw", "lw", "mid", "rh", "lh", "rk",
                     "lk", "ra", "la"), joints, strict=True))  # fmt: skip
    order = ("neck", "nose", "mid", "ls", "le", "lw", "lh", "lk", "la", "rs", "re", "rw", "rh",
             "rk", "ra")  # fmt: skip
    rows = [[*ours[name], 0.8] for name in order] + [[0, 0, 0, -1.0]] * 4
    return np.array(rows)


@pytest.fixture(scope="session")
def panoptic_scenes(scenes: Callable[..., Iterator[Scene]]) -> list[Scene]:
    """Three scenes with somebody well in view of both Kinects."""
    kinects, found = Kinects(True), []
    for scene in scenes((0, 0.5, 0.5), 5):
        px = [kinects.take(scene, node) for node in (1, 2)]
        if all((shot.visible.sum(-1) >= 10).all() for shot in px):
            found.append(scene)
        if len(found) == 3:
            return found
    raise AssertionError


def take_sequence(
    folder: Path, scenes: list[Scene], colour_to_kinect: bool, on_surface: bool = False
) -> Sequence:
    """A written sequence; `on_surface`: its joints lie on the surface that the first one sees."""
    kinects, shots = Kinects(colour_to_kinect), {}
    for i, scene in enumerate(scenes):
        for node in (1, 2):
            shots[100 + 7 * i, node] = kinects.take(scene, node)
        if on_surface:
            first = shots[100 + 7 * i, 1]
            px = kinects.camera.project(first.joints_m)
            u, v = np.moveaxis(px.round().astype(int), -1, 0)
            depth = first.depth_m[v.clip(0, 423), u.clip(0, 511)]
            surface = kinects.camera.backproject(np.stack([u, v], axis=-1), depth)
            shots[100 + 7 * i, 1] = replace(first, joints_m=surface)
    return write_panoptic(folder, shots, kinects)


@pytest.fixture(scope="session")
def write_sequence() -> Callable[..., Sequence]:
    """`take_sequence`, for tests that change what they write."""
    return take_sequence


@pytest.fixture(scope="session", params=[True, False], ids=["colour to Kinect", "Kinect to colour"])
def sequence(
    request: pytest.FixtureRequest,
    panoptic_scenes: list[Scene],
    tmp_path_factory: pytest.TempPathFactory,
) -> Sequence:
    """A sequence under each meaning of M_color."""
    folder = tmp_path_factory.mktemp("panoptic") / "160422_made"
    return take_sequence(folder, panoptic_scenes, request.param)
