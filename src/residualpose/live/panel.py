"""What stands beside the 3D view: how it goes, the controls of a recording, who is there."""

from __future__ import annotations

import html
from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from residualpose.drawing.palette import person_rgb
from residualpose.poses import Origin, Poses

if TYPE_CHECKING:
    import viser

    from residualpose.live.playback import Playback

_TEXT_EVERY_S = 0.2
"""Text is renewed this often: faster nobody can read it."""
_WORDS = {
    Origin.MEASURED: "measured", Origin.NEIGHBOUR: "depth from nearby",
    Origin.PRIOR: "guessed", Origin.ABSENT: "absent",
}  # fmt: skip
_SPEEDS = {"\u00bc": 0.25, "\u00bd": 0.5, "1": 1.0, "2": 2.0, "4": 4.0}
_LEGEND = """<div style="font-size:.8em;opacity:.75;padding:0 .8em .2em;line-height:1.5">
Light limbs are the person's right, deep ones the left.<br>
Ball: joint found. Open cage: guessed from the others.<br>
Click on a person for details.</div>"""


@dataclass(frozen=True, slots=True)
class Choice:
    """The joint that was clicked on."""

    person_id: int
    joint: int


class Rate:
    """Events a second over the last second or two."""

    def __init__(self) -> None:
        self._times_s: deque[float] = deque(maxlen=40)

    def tick(self, now_s: float) -> float:
        """One more event; events a second by now."""
        self._times_s.append(now_s)
        while len(self._times_s) > 2 and now_s - self._times_s[0] > 2:
            self._times_s.popleft()
        span_s = now_s - self._times_s[0]
        return (len(self._times_s) - 1) / span_s if span_s > 0 else 0.0


class Panel:
    """The controls, in a viser server."""

    def __init__(self, server: viser.ViserServer, playback: Playback | None) -> None:
        """Lay them out; without a playback there is no time line."""
        gui = server.gui
        self._playback, self._rate, self._dropped = playback, Rate(), 0
        self._written_s = -1.0
        self._status = gui.add_html("")
        self._play: viser.GuiButtonHandle | None = None
        self._slider: viser.GuiSliderHandle[int] | None = None
        if playback is not None:
            self._add_controls(gui, playback)
        self._people = gui.add_html("")
        with gui.add_folder("Show"):
            self.depth = gui.add_checkbox("Depth points", True)
            self.point_mm = gui.add_slider("Point size, mm", 2, 40, 1, 9)
            self.uncertainty = gui.add_checkbox(
                "Uncertainty", False, hint="Ellipsoids of two standard deviations hold four in five"
            )
            gui.add_html(_LEGEND)

    def _add_controls(self, gui: viser.GuiApi, playback: Playback) -> None:
        self._play = gui.add_button("Pause")
        self._slider = gui.add_slider("Frame", 1, max(playback.count, 2), 1, 1)
        speed = gui.add_button_group("Speed", tuple(_SPEEDS))
        step = gui.add_button_group("Step", ("\u2039 back", "on \u203a"))
        play, slider = self._play, self._slider

        @play.on_click
        def _(_: object) -> None:
            playback.play(not playback.playing)
            self._name_button()

        @slider.on_update
        def _(event: viser.GuiEvent) -> None:
            if event.client is not None:  # else it is this program that moved it
                playback.seek(slider.value - 1)

        @speed.on_click
        def _(_: object) -> None:
            playback.set_speed(_SPEEDS[speed.value])

        @step.on_click
        def _(_: object) -> None:
            playback.play(False)
            playback.seek(slider.value - 1 + (1 if step.value.startswith("on") else -1))
            self._name_button()

    def _name_button(self) -> None:
        if self._play is not None and self._playback is not None:
            self._play.label = "Pause" if self._playback.playing else "Play"

    def update(
        self, poses: Poses, number: int, dropped: int, time_s: float | None, choice: Choice | None
    ) -> None:
        """Say what a frame brought.

        Args:
            poses: Its people.
            number: Its place, from 0.
            dropped: Frames lost just before it.
            time_s: Its time stamp.
            choice: What was clicked on, if anything.
        """
        now_s = monotonic()
        rate = self._rate.tick(now_s)
        self._dropped += dropped
        if self._slider is not None:
            self._slider.value = number + 1
        if now_s - self._written_s < _TEXT_EVERY_S:
            return
        self._written_s = now_s
        self._name_button()
        of = f" of {self._playback.count}" if self._playback is not None else ""
        clock = "" if time_s is None else f" &middot; {time_s:.2f} s"
        self._status.content = _status(rate, self._dropped, f"frame {number + 1}{of}{clock}")
        self.tell_people(poses, choice)

    def tell_people(self, poses: Poses, choice: Choice | None) -> None:
        """List who is there."""
        self._people.content = people_html(poses, choice)


def _status(rate: float, dropped: int, place: str) -> str:
    return (
        '<div style="padding:.5em .8em 0;font-variant-numeric:tabular-nums">'
        f'<div style="font-size:1.5em;font-weight:650;line-height:1.2">{rate:.1f}'
        '<span style="font-size:.55em;font-weight:500"> frames/s</span>'
        f'<span style="float:right">{dropped}'
        '<span style="font-size:.55em;font-weight:500"> dropped</span></span></div>'
        f'<div style="font-size:.85em;opacity:.75">{place}</div></div>'
    )


def people_html(poses: Poses, choice: Choice | None) -> str:
    """A line for each person, with the joint that was clicked on."""
    order = np.argsort(poses.person_id)
    rows = [_person_html(poses, int(row), choice) for row in order]
    if not rows:
        rows = ['<div style="opacity:.7">Nobody in sight.</div>']
    return f'<div style="padding:.2em .8em .4em;font-size:.9em">{"".join(rows)}</div>'


def _person_html(poses: Poses, row: int, choice: Choice | None) -> str:
    number = int(poses.person_id[row])
    chosen = choice is not None and choice.person_id == number
    distance_m = np.nanmedian(np.linalg.norm(poses.joints_m[row], axis=-1))
    found = int(np.isin(poses.origin[row], (Origin.MEASURED, Origin.NEIGHBOUR)).sum())
    line = (
        f'<div style="display:flex;gap:.6em;align-items:center;padding:.15em .4em;'
        f'border-radius:.4em;{"background:#2459c822;" if chosen else ""}">'
        f'<span style="width:.9em;height:.9em;border-radius:50%;border:1px solid #0006;'
        f'background:rgb{person_rgb(number)}"></span><b>Person {number}</b>'
        f'<span style="margin-left:auto;opacity:.75;font-variant-numeric:tabular-nums">'
        f"{distance_m:.1f} m &middot; {found} of {poses.origin.shape[1]} found</span></div>"
    )
    if choice is None or not chosen:
        return line
    return line + _joint_html(poses, row, choice.joint)


def _joint_html(poses: Poses, row: int, joint: int) -> str:
    name = html.escape(poses.skeleton.joints[joint].replace("_", " "))
    x, y, z = poses.joints_m[row, joint]
    variance = poses.covariance_m2[row, joint].trace() / 3
    spread = f" &plusmn; {100 * np.sqrt(variance):.1f} cm" if np.isfinite(variance) else ""
    return (
        f'<div style="padding:0 0 .4em 2em;font-variant-numeric:tabular-nums">{name}, '
        f"{_WORDS[Origin(int(poses.origin[row, joint]))]}<br>"
        f"x {x:.2f} y {y:.2f} z {z:.2f} m{spread}</div>"
    )
