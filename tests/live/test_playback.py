"""A recording under the viewer's hands: every frame once, in order, from wherever, and again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

import numpy as np
import pytest

from residualpose import DepthFrame, Poses, open_source
from residualpose.live.playback import MAX_STEP_S, Playback, as_camera, frames_from, step_s

K = np.array([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]])


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Seven frames, a hundredth of a second apart; the depth is the number, in metres."""
    depth_m = np.broadcast_to(np.arange(1.0, 8)[:, None, None], (7, 48, 64)).astype(np.float32)
    np.savez(tmp_path / "a.npz", depth_m=depth_m, K=K, time_s=np.arange(7) / 100)
    return tmp_path / "a.npz"


def nobody(frames: Iterator[DepthFrame]) -> Iterator[Poses]:
    return (Poses.empty(frame.camera) for frame in frames)


def numbers(frames: Iterator[DepthFrame]) -> list[int]:
    return [round(float(frame.depth_m[0, 0])) - 1 for frame in frames]


@pytest.mark.parametrize("start", range(7))
@pytest.mark.parametrize("chosen", ["", ":1:7:2", ":-3:", ":::-1"])
def test_frames_from_any_place_are_those_of_the_whole(
    recording: Path, chosen: str, start: int
) -> None:
    source = open_source(f"{recording}{chosen}")
    whole = numbers(iter(source))
    if start < len(whole):
        assert numbers(frames_from(source, [len(source)], start)) == whole[start:]


def test_files_are_one_recording(recording: Path) -> None:
    recording.with_name("b.npz").write_bytes(recording.read_bytes())
    source = open_source(recording.parent)
    assert numbers(frames_from(source, [7, 7], 9)) == [2, 3, 4, 5, 6]


def test_it_plays_in_order_and_again(recording: Path) -> None:
    playback = Playback(open_source(recording), loop=True)
    seen = []
    for shown in playback.frames(nobody):
        assert shown.dropped == 0
        seen.append((shown.number, *numbers(iter([shown.frame]))))
        if len(seen) == 16:
            break
    assert seen == [(n % 7, n % 7) for n in range(16)]


def test_it_keeps_the_pace_of_the_recording_and_a_faster_one(recording: Path) -> None:
    def seconds(speed: float) -> float:
        playback = Playback(open_source(recording), loop=True)
        playback.set_speed(speed)
        frames = playback.frames(nobody)
        next(frames)
        start = monotonic()
        for _ in range(6):
            next(frames)
        return monotonic() - start

    assert seconds(0.25) >= 0.23  # six hundredths, four times as slow
    assert seconds(4) < seconds(0.25)


def test_pause_seek_and_the_end(recording: Path) -> None:
    playback = Playback(open_source(recording))
    playback.play(False)
    collected: list[int] = []

    def watch() -> None:
        for shown in playback.frames(nobody):
            collected.append(shown.number)

    thread = Thread(target=watch, daemon=True)
    thread.start()

    def until(expected: list[int]) -> None:
        give_up = monotonic() + 20
        while collected != expected and monotonic() < give_up:
            sleep(0.005)
        assert collected == expected

    until([0])  # paused: only where it stands
    playback.seek(4)
    until([0, 4])
    playback.play(True)
    until([0, 4, 5, 6])  # and stops by itself
    give_up = monotonic() + 20
    while playback.playing and monotonic() < give_up:
        sleep(0.005)
    assert not playback.playing
    playback.seek(99)
    until([0, 4, 5, 6, 6])
    playback.close()
    thread.join(20)
    assert not thread.is_alive()


def test_a_camera_does_not_wait_and_can_begin_again(recording: Path) -> None:
    frames = as_camera(open_source(recording), 30.0, loop=True)
    start = monotonic()
    assert numbers(next(frames) for _ in range(9)) == [0, 1, 2, 3, 4, 5, 6, 0, 1]
    assert monotonic() - start >= 0.06
    assert len(list(as_camera(open_source(recording), 30.0, loop=False))) == 7


def test_steps_follow_the_times_where_there_are_any() -> None:
    assert step_s(1.0, 1.25, 0.5) == 0.25
    assert step_s(None, 1.0, 0.5) == step_s(1.0, None, 0.5) == 0.5
    assert step_s(1.0, 0.5, 0.5) == 0
    assert step_s(1.0, 9.0, 0.5) == MAX_STEP_S
