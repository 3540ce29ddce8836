"""LivePage: frames and their people go in, whoever has the page open sees them."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from residualpose.frames import DepthFrame
from residualpose.live.panel import Choice, Panel
from residualpose.live.scene import SceneView
from residualpose.live.server import HOST, open_server
from residualpose.poses import Poses

if TYPE_CHECKING:
    import viser

    from residualpose.live.playback import Playback

MAX_POINTS = 14_000


class LivePage:
    """A page on this computer alone: http://127.0.0.1:PORT. Nothing is opened, sent or loaded."""

    def __init__(
        self, port: int = 8080, playback: Playback | None = None, title: str = "residualpose"
    ) -> None:
        """Serve an empty page; ends with `close` or the with statement.

        Args:
            port: Where; the next that is free, if it is taken.
            playback: A recording whose controls the page has.
            title: Over the controls.

        Raises:
            MissingExtraError: viser is not installed (extra `live`).
        """
        self._server = open_server(port, title)
        self._scene = SceneView(self._server, MAX_POINTS)
        self._panel = Panel(self._server, playback)
        self._poses: Poses | None = None
        self._choice: Choice | None = None
        self._listen()

    @property
    def url(self) -> str:
        """What to type into the browser."""
        return f"http://{HOST}:{self._server.get_port()}"

    @property
    def chosen(self) -> Choice | None:
        """Who was clicked on last, and where; None: nobody, or nobody any more."""
        return self._choice

    def show(self, frame: DepthFrame, poses: Poses, number: int = 0, dropped: int = 0) -> None:
        """Replace what is seen.

        Args:
            frame: A depth image.
            poses: Its people, in colours by their `person_id`.
            number: Place of the frame, from 0.
            dropped: Frames lost since the one before.
        """
        self._poses = poses
        self._scene.draw(frame, poses)
        self._panel.update(poses, number, dropped, frame.time_s, self._choice)

    def close(self) -> None:
        """Serve no more."""
        with redirect_stdout(io.StringIO()):
            self._server.stop()

    def __enter__(self) -> LivePage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _listen(self) -> None:
        panel, scene = self._panel, self._scene

        def change_points(_: object) -> None:
            scene.show_depth(panel.depth.value, panel.point_mm.value / 1000)

        panel.depth.on_update(change_points)
        panel.point_mm.on_update(change_points)

        @panel.uncertainty.on_update
        def _(_: object) -> None:
            scene.show_uncertainty(panel.uncertainty.value, self._poses)

        @self._server.scene.on_click()
        def _(event: viser.SceneClickEvent) -> None:
            self._choose(np.array(event.ray_origin), np.array(event.ray_direction))

    def _choose(self, origin: np.ndarray, direction: np.ndarray) -> None:
        """The person and joint under a click, or nobody."""
        poses = self._poses
        if poses is None:
            return
        hit = self._scene.pick(poses, origin, direction)
        self._choice = None if hit is None else Choice(int(poses.person_id[hit[0]]), hit[1])
        self._panel.tell_people(poses, self._choice)
