"""The live page in a headless Chromium: it draws, it obeys, and it talks to nobody else."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING
from urllib.parse import urlparse

import numpy as np
import pytest

from residualpose import Camera, DepthFrame, Origin, Poses, open_source
from residualpose.errors import MissingExtraError

pytest.importorskip("viser", reason="needs the live extra")

from residualpose.live import LivePage, Playback

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CAMERA = Camera(60, 60, 31.5, 23.5)


@pytest.fixture
def people(standing_m: np.ndarray) -> Poses:
    """Two who stand side by side, with the numbers 4 and 7."""
    joints_m = standing_m + np.array([[[-0.6, 0, 0]], [[0.6, 0, 0.2]]])
    origin = np.full((2, 15), Origin.MEASURED)
    origin[1, 6] = Origin.PRIOR
    return Poses(
        CAMERA.project(joints_m), joints_m, np.full((2, 15), 0.9), np.full(2, 0.9), origin,
        np.full((2, 15, 3, 3), np.eye(3) * 4e-4), CAMERA, person_id=np.array([4, 7]),
    )  # fmt: skip


@pytest.fixture
def playing(tmp_path: Path, people: Poses) -> Iterator[tuple[LivePage, Playback]]:
    """A page that shows a looped recording of 40 frames."""
    depth_m = np.full((40, 48, 64), 3.5, np.float32)
    np.savez(tmp_path / "walk.npz", depth_m=depth_m, K=CAMERA.K, time_s=np.arange(40) / 10)
    playback = Playback(open_source(tmp_path / "walk.npz"), loop=True)

    def found(frames: Iterator[DepthFrame]) -> Iterator[Poses]:
        return (people for _ in frames)

    with LivePage(0, playback) as page:

        def watch() -> None:
            for one in playback.frames(found):
                page.show(one.frame, one.poses, one.number, one.dropped)

        thread = Thread(target=watch, daemon=True)
        thread.start()
        yield page, playback
        playback.close()
        thread.join(20)


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    give_up = monotonic() + seconds
    while not condition():
        assert monotonic() < give_up, "did not happen"
        sleep(0.02)


def screen_place(page: LivePage, point_m: np.ndarray, box: dict[str, float]) -> tuple[float, float]:
    """Pixel of a point (3,) of the depth camera's frame in the first view of the page."""
    view, ground = page._server.initial_camera, page._scene.ground
    assert ground is not None
    back = view.position - view.look_at
    back /= np.linalg.norm(back)
    right = np.cross([0.0, 1, 0], back)
    right /= np.linalg.norm(right)
    seen = np.stack([right, np.cross(back, right), back]) @ (
        ground.to_ground(point_m) - view.position
    )
    scale = 0.5 * box["height"] / np.tan(view.fov / 2) / -seen[2]
    return (
        box["x"] + box["width"] / 2 + seen[0] * scale,
        box["y"] + box["height"] / 2 - seen[1] * scale,
    )


def test_play_and_a_person_can_be_clicked_and_nothing_else_is_loaded(
    playing: tuple[LivePage, Playback], people: Poses, chromium: Browser
) -> None:
    page, playback = playing
    wait_for(lambda: page._scene.ground is not None)
    tab = chromium.new_page(viewport={"width": 900, "height": 560})
    hosts: set[str] = set()
    tab.on("request", lambda r: hosts.add(urlparse(r.url.removeprefix("blob:")).netloc))
    tab.on("websocket", lambda w: hosts.add(urlparse(w.url).netloc))
    tab.set_default_timeout(120_000)
    tab.goto(page.url)
    tab.get_by_text("Person 7").wait_for()
    tab.get_by_role("button", name="Pause").click()
    wait_for(lambda: not playback.playing)
    tab.get_by_role("button", name="Play", exact=True).click()
    wait_for(lambda: playback.playing)
    box = tab.locator("canvas").first.bounding_box()
    assert box is not None
    for row, joint in ((1, 8), (0, 8)):
        tab.mouse.click(*screen_place(page, people.joints_m[row, joint], dict(box)))
        wait_for(lambda row=row: page.chosen and page.chosen.person_id == people.person_id[row])
        tab.get_by_text("torso, measured").wait_for()
    assert hosts == {urlparse(page.url).netloc}
    tab.close()


def test_only_this_computer_and_only_its_own_pages(people: Poses) -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    with LivePage(0) as page:
        page.show(DepthFrame(np.full((48, 64), 3.0), CAMERA), people)
        place = urlparse(page.url)
        assert place.hostname == "127.0.0.1"
        own = socket.gethostbyname(socket.gethostname())
        if not own.startswith("127."):
            with pytest.raises(OSError):
                socket.create_connection((own, place.port), timeout=2).close()
        address = f"ws://{place.netloc}"
        protocol = [f"viser-v{__import__('viser').__version__}"]
        connect(address, origin=f"http://{place.netloc}", subprotocols=protocol).close()
        with pytest.raises(InvalidStatus):
            connect(address, origin="http://example.org", subprotocols=protocol)
        assert page._server.request_share_url() is None


def test_more_people_than_there_was_room_for(people: Poses) -> None:
    crowd = Poses(
        *(np.concatenate([getattr(people, name)] * 3) for name in (
            "joints_px", "joints_m", "joint_score", "person_score", "origin", "covariance_m2",
        )), CAMERA,
    )  # fmt: skip
    frame = DepthFrame(np.full((48, 64), 3.0), CAMERA)
    with LivePage(0) as page:
        for poses in (people, crowd, Poses.empty(CAMERA)):
            page.show(frame, poses)
            balls = page._scene._nodes["balls"].batched_scales
            assert balls is not None
            assert int((balls > 0).all(-1).sum()) == int((poses.origin == Origin.MEASURED).sum())
        assert [label.visible for label in page._scene._labels] == [False] * 6


def test_without_viser_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "viser", None)
    with pytest.raises(MissingExtraError, match=r"residualpose\[live\]"):
        LivePage(0)
