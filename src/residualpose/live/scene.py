"""The 3D view: one node each for points, rods, balls, cages and shells, changed in place.

Nodes hang below one that turns the camera frame upright, so that arrays stay in the camera frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from residualpose.drawing.ground import Ground, find_ground
from residualpose.frames import DepthFrame
from residualpose.live import figures, meshes
from residualpose.live.figures import Instances
from residualpose.poses import Poses
from residualpose.quaternions import quaternions
from residualpose.skeleton import HEAD, NECK

if TYPE_CHECKING:
    import viser

_ROOT = "/camera"
_FIRST_ROOM = 4
"""People that there is room for at first; every time that more come, there is twice as much."""
_NODES = {"rods": meshes.rod, "balls": meshes.ball, "cages": meshes.cage, "shells": meshes.ball}
POINT_M = 0.009
"""Size of a point at first."""
_LABEL_ABOVE_M = 0.20
_GROUND_TRIES_EVERY = 15


class SceneView:
    """Draws frames into a viser scene."""

    def __init__(self, server: viser.ViserServer, max_points: int) -> None:
        """Prepare an empty scene; of each depth image it shows at most `max_points`."""
        self.ground: Ground | None = None
        self._server, self._scene = server, server.scene
        self._max_points = max_points
        self._frames = 0
        self._room = 0
        self._labels: list[viser.LabelHandle] = []
        self._scene.set_up_direction("+y")
        self._scene.configure_default_lights(enabled=False)
        self._scene.configure_environment_map(None)
        self._scene.add_light_ambient("/ambient", intensity=2.0)
        self._scene.add_light_directional("/lamp", intensity=1.5, position=(1.5, 4.0, 3.0))
        self._root = self._scene.add_frame(_ROOT, show_axes=False)
        self._grid = self._scene.add_grid(
            "/floor", 8, 8, plane="xz", cell_color=(222, 226, 233), section_color=(188, 196, 208),
            cell_size=0.5, section_size=1.0,
        )  # fmt: skip
        # A node a shade: viser builds a cloud's material anew whenever its colours change.
        self._clouds = [
            self._scene.add_point_cloud(
                f"{_ROOT}/depth/{shade}", np.zeros((0, 3), np.float32), rgb, point_size=POINT_M,
                point_shape="circle", point_shading="flat", precision="float32",
            )
            for shade, rgb in enumerate(figures.SHADES_RGB)
        ]  # fmt: skip
        self._frustum: viser.CameraFrustumHandle | None = None
        self._nodes: dict[str, viser.BatchedMeshHandle] = {}
        self._uncertain = False

    def show_depth(self, on: bool, point_m: float) -> None:
        """Whether points are seen, and how large they are."""
        for node in self._clouds:
            node.visible, node.point_size = on, point_m

    def show_uncertainty(self, on: bool, poses: Poses | None) -> None:
        """Shells from now on, at once around those who are shown; or none."""
        self._uncertain = on
        if "shells" in self._nodes:
            if on and poses is not None:
                self._move("shells", figures.shells(poses))
            self._nodes["shells"].visible = on

    def draw(self, frame: DepthFrame, poses: Poses) -> None:
        """Replace what is shown."""
        dots = figures.cloud(frame, self._max_points)
        self._find_ground(frame, poses, np.concatenate(dots))
        self._make_room(poses)
        groups = {
            "rods": figures.rods(poses),
            "balls": figures.marks(poses, guessed=False),
            "cages": figures.marks(poses, guessed=True),
        }
        if self._uncertain:
            groups["shells"] = figures.shells(poses)
        with self._server.atomic():
            for node, points_m in zip(self._clouds, dots, strict=True):
                node.points = points_m
            for name, instances in groups.items():
                self._move(name, instances)
            self._write_labels(poses)
        self._frames += 1

    def pick(
        self, poses: Poses, origin: np.ndarray, direction: np.ndarray
    ) -> tuple[int, int] | None:
        """Row of the person and joint under a ray (3,), (3,) of the upright frame."""
        if self.ground is None:
            return None
        R_camera_ground = self.ground.R_ground_camera.T
        camera_m = np.array([0.0, self.ground.height_m, 0.0])
        return figures.person_at(
            poses, R_camera_ground @ (origin - camera_m), R_camera_ground @ direction
        )

    def _find_ground(self, frame: DepthFrame, poses: Poses, points_m: np.ndarray) -> None:
        """Stand the scene upright; tried again now and then until a floor was seen."""
        first = self.ground is None
        if self.ground and (self.ground.measured or self._frames % _GROUND_TRIES_EVERY):
            return
        ground = find_ground(
            frame.depth_m, frame.camera, poses.joints_m.astype(np.float64), poses.skeleton
        )
        if not first and not ground.measured:
            return
        self.ground = ground
        wxyz = np.roll(quaternions(ground.R_ground_camera), 1)
        self._root.wxyz, self._root.position = wxyz, (0.0, ground.height_m, 0.0)
        if first:
            self._set_out(frame, poses, points_m, ground)

    def _set_out(
        self, frame: DepthFrame, poses: Poses, points_m: np.ndarray, ground: Ground
    ) -> None:
        """Camera mark, grid and first viewpoint: from a corner, as in the pages of predict."""
        camera, middle_m = frame.camera, figures.middle_m(frame.camera, poses, points_m)
        self._frustum = self._scene.add_camera_frustum(
            f"{_ROOT}/frustum", 2 * float(np.arctan(0.5 * frame.height / camera.fy)),
            frame.width / frame.height, scale=0.14,
            color=(36, 89, 200),
        )  # fmt: skip
        target = ground.to_ground(middle_m)
        self._grid.position = (round(target[0]), 0.0, round(target[2]))
        distance_m = 1.3 * max(2.0, float(np.linalg.norm(middle_m)))
        yaw, pitch = -0.42, 0.24
        back = np.array([
            np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)
        ])  # fmt: skip
        start = self._server.initial_camera
        start.fov, start.up = np.radians(42), (0.0, 1.0, 0.0)
        start.look_at, start.position = target, target + distance_m * back

    def _make_room(self, poses: Poses) -> None:
        """Nodes with copies enough; a node's number of copies never changes after that."""
        if self._nodes and len(poses) <= self._room:
            return
        self._room = max(self._room, _FIRST_ROOM)
        while self._room < len(poses):
            self._room *= 2
        joints, limbs = len(poses.skeleton.joints), len(poses.skeleton.limbs)
        hidden = figures.nothing().padded(1)
        for name, mesh in _NODES.items():
            count = self._room * (limbs if name == "rods" else joints)
            start, shape = hidden.padded(count), mesh()
            self._nodes[name] = self._scene.add_batched_meshes_simple(
                f"{_ROOT}/{name}", shape.vertices, shape.faces, start.wxyzs, start.positions_m,
                batched_scales=start.scales, batched_colors=start.colours, lod="off",
                opacity=0.22 if name == "shells" else None, cast_shadow=False, receive_shadow=False,
                visible=name != "shells" or self._uncertain,
            )  # fmt: skip

    def _move(self, name: str, instances: Instances) -> None:
        node = self._nodes[name]
        padded = instances.padded(len(node.batched_positions))
        node.batched_positions, node.batched_wxyzs = padded.positions_m, padded.wxyzs
        node.batched_scales, node.batched_colors = padded.scales, _linear(padded.colours)

    def _write_labels(self, poses: Poses) -> None:
        """The number of each person above the head."""
        up = np.array([0.0, -1, 0]) if self.ground is None else self.ground.R_ground_camera[1]
        anchors_m = np.where(
            np.isfinite(poses.joints_m[:, [HEAD]]), poses.joints_m[:, [HEAD]],
            poses.joints_m[:, [NECK]],
        )[:, 0] + up * _LABEL_ABOVE_M  # fmt: skip
        while len(self._labels) < len(poses):
            name = f"{_ROOT}/people/{len(self._labels)}"
            self._labels.append(
                self._scene.add_label(name, "", anchor="bottom-center", font_screen_scale=1.4)
            )
        for row, label in enumerate(self._labels):
            seen = row < len(poses) and bool(np.isfinite(anchors_m[row]).all())
            label.visible = seen
            if seen:
                label.text = str(int(poses.person_id[row]))
                label.position = anchors_m[row]


def _linear(colours: np.ndarray) -> np.ndarray:
    """Colours (N, 3) uint8 as viser (1.1) takes those of copies: in linear light, not sRGB."""
    share = colours / 255.0
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return np.round(255 * light).astype(np.uint8)
