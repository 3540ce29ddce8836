"""The time line of the page: what is embedded, that it plays, that people keep their numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from residualpose.camera import Camera
from residualpose.drawing.ground import Ground, settled
from residualpose.drawing.html import MAX_FRAMES, Page, PageFrame
from residualpose.poses import Origin, Poses

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CAMERA = Camera(150.0, 150.0, 79.5, 59.5)


def frame_at(number: int, standing_m: np.ndarray, ids: tuple[int, ...]) -> PageFrame:
    """People who walk to the right, a tenth of a second apart."""
    shift_m = np.array([[[0.8 * place + 0.02 * number, 0, 0]] for place in range(len(ids))])
    joints_m = standing_m + shift_m.reshape(-1, 1, 3)
    count = len(ids)
    poses = Poses(
        CAMERA.project(joints_m), joints_m, np.full((count, 15), 0.9), np.full(count, 0.9),
        np.full((count, 15), Origin.MEASURED), np.full((count, 15, 3, 3), np.eye(3) * 1e-4),
        CAMERA, person_id=np.array(ids, np.int64),
    )  # fmt: skip
    depth_m = np.full((120, 160), 3.5, np.float32)
    return PageFrame(f"frame {number}", depth_m, CAMERA, poses, {}, number, number / 10)


@pytest.fixture
def page(standing_m: np.ndarray) -> Page:
    """Twelve frames: number 5 all the time, number 2 in the first half."""
    page = Page(12, recorded=24)
    for number in range(12):
        page.add(frame_at(2 * number, standing_m, (5, 2) if number < 6 else (5,)))
    return page


def data_of(text: str) -> dict:
    found = re.search(r'type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_frames_know_their_place_time_and_people(page: Page) -> None:
    data = data_of(page.render())
    assert data["recorded"] == 24
    assert [frame["number"] for frame in data["frames"]] == list(range(0, 24, 2))
    assert data["frames"][3]["time_s"] == pytest.approx(0.6)
    assert [who["id"] for who in data["frames"][0]["people"]] == [5, 2]
    assert [who["id"] for who in data["frames"][-1]["people"]] == [5]


def test_a_full_page_stays_small(standing_m: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    page = Page(MAX_FRAMES)
    for number in range(3):
        depth_m = (3 + rng.normal(0, 0.02, (480, 640))).astype(np.float32)
        frame = frame_at(number, standing_m, (0, 1, 2, 3))
        page.add(PageFrame("", depth_m, CAMERA, frame.poses, {}, number))
    first, three = (len(json.dumps(data_of(page.render())["frames"][:n])) for n in (1, 3))
    assert MAX_FRAMES * (three - first) / 2 < 14e6


def test_floors_that_agree_become_one() -> None:
    def ground(tilt_rad: float, height_m: float, measured: bool = True) -> Ground:
        cos, sin = np.cos(tilt_rad), np.sin(tilt_rad)
        return Ground(np.array([[1, 0, 0], [0, -cos, -sin], [0, sin, -cos]]), height_m, measured)

    steady = [ground(0.01 * i, 1.5 + 0.01 * i) for i in range(4)] + [ground(0, 9.0, False)]
    found, still = settled(steady)
    assert still
    assert {one.height_m for one in found} == {found[0].height_m}
    assert 1.5 <= found[0].height_m <= 1.53
    carried = [ground(0.2 * i, 1.5) for i in range(4)]
    assert settled(carried) == (carried, False)


def test_play_seek_and_a_person_can_be_clicked(
    page: Page, tmp_path: Path, chromium: Browser
) -> None:
    path = tmp_path / "page.html"
    path.write_text(page.render(), encoding="utf-8")
    tab = chromium.new_page(viewport={"width": 1100, "height": 760})
    tab.set_default_timeout(120_000)
    loaded: list[str] = []
    tab.on("request", lambda request: loaded.append(request.url.split(",")[0]))
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(path.as_uri())
    counter = tab.locator("#counter")
    assert "frame 1 of 24" in counter.inner_text()
    tab.get_by_role("button", name="Play", exact=True).click()
    tab.wait_for_function("state.index > 2")
    tab.get_by_role("button", name="Pause").click()
    stopped = tab.evaluate("state.index")
    assert f"frame {2 * stopped + 1} of 24" in counter.inner_text()
    person = tab.get_by_role("button", name="Person 5")
    person.click()
    assert person.get_attribute("aria-pressed") == "true"
    tab.locator("#frame").fill("11")
    assert "frame 23 of 24" in counter.inner_text()
    gone = tab.get_by_role("button", name="Person 2")
    assert "out of sight" in gone.inner_text()
    # The one that was chosen stays in the middle of the view.
    middle = tab.evaluate(
        "stageJoints('refined')[0].map((q) => toGround(q))"
        ".reduce((sum, q) => vec.add(sum, q, 1 / 15), [0, 0, 0])"
    )
    assert tab.evaluate("scene.orbit.target") == pytest.approx(middle, abs=1e-6)
    assert {url for url in loaded if not url.startswith("data:")} == {path.as_uri()}
    assert errors == []
    tab.close()
