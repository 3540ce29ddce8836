"""Streams: the same results in order, whatever fails or ends early; live sources never wait."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from residualpose import Camera, DepthFrame, PoseEstimator, UsageError
from residualpose.stream import ahead, default_workers, newest

CAMERA = Camera(285.7, 285.7, 159.5, 119.5)


def stream_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("residualpose")]


def wait_for_no_threads() -> None:
    deadline = time.monotonic() + 5
    while stream_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not stream_threads()


def slow_first(item: int) -> int:
    time.sleep(0.05 if item == 0 else 0.0)
    return 10 * item


def test_results_keep_the_order_of_the_items_even_if_the_first_takes_longest() -> None:
    assert list(ahead(slow_first, range(9), 4)) == [(i, 10 * i) for i in range(9)]
    assert list(ahead(slow_first, [], 1)) == []


def test_no_more_items_are_read_than_workers_and_two() -> None:
    read = 0

    def source() -> Iterator[int]:
        nonlocal read
        for i in range(100):
            read += 1
            yield i

    results = ahead(slow_first, source(), 2)
    assert next(results) == (0, 0)
    assert read == 4
    assert next(results) == (1, 10)
    assert read == 5
    results.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_so_many_work_at_once_and_no_more(workers: int) -> None:
    busy, most, lock = 0, 0, threading.Lock()

    def work(item: int) -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.005)
        with lock:
            busy -= 1

    assert len(list(ahead(work, range(30), workers))) == 30
    assert most == workers


def test_work_goes_on_while_the_caller_is_busy() -> None:
    done = 0

    def work(item: int) -> None:
        nonlocal done
        done += 1

    results = ahead(work, range(9), 1)
    next(results)
    deadline = time.monotonic() + 5
    while done < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert done == 3
    results.close()


def test_an_item_that_fails_raises_in_its_turn_and_ends_the_threads() -> None:
    def work(item: int) -> int:
        if item == 2:
            raise ValueError("third")
        return item

    results = ahead(work, range(10), 3)
    assert [next(results), next(results)] == [(0, 0), (1, 1)]
    with pytest.raises(ValueError, match="third"):
        next(results)
    wait_for_no_threads()


def test_a_source_that_fails_raises_after_what_came_before() -> None:
    def source() -> Iterator[int]:
        yield from range(3)
        raise OSError("unplugged")

    results, got = ahead(slow_first, source(), 2), []
    with pytest.raises(OSError, match="unplugged"):
        for _, result in results:
            got.append(result)
    assert got == [0, 10, 20]
    wait_for_no_threads()


def test_leaving_early_ends_the_threads() -> None:
    for pair in ahead(slow_first, iter(int, 1), 2):
        assert pair == (0, 0)
        break
    wait_for_no_threads()


def test_a_live_source_is_never_held_up_and_its_last_item_is_worked_on() -> None:
    given: list[int] = []

    def source() -> Iterator[int]:
        for i in range(40):
            given.append(i)
            yield i
            time.sleep(0.002)

    def work(item: int) -> int:
        time.sleep(0.02)
        return -item

    pairs = list(newest(work, source()))
    items = [item for item, _ in pairs]
    assert all(result == -item for item, result in pairs)
    assert given == list(range(40))
    assert items == sorted(set(items))
    assert items[-1] == 39
    assert len(items) < 30
    wait_for_no_threads()


def test_a_failing_live_source_raises_after_its_last_item() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("unplugged")

    pairs = newest(lambda item: item, source())
    assert next(pairs) == (1, 1)
    with pytest.raises(OSError, match="unplugged"):
        next(pairs)
    wait_for_no_threads()


def test_leaving_a_live_source_stops_its_reader_at_the_next_item() -> None:
    go_on = threading.Event()

    def source() -> Iterator[int]:
        yield 1
        go_on.wait(5)
        yield 2
        raise AssertionError("read on after the end")

    pairs = newest(lambda item: item, source())
    assert next(pairs) == (1, 1)
    pairs.close()  # type: ignore[attr-defined]
    go_on.set()
    wait_for_no_threads()


def some_frames(count: int) -> list[DepthFrame]:
    """A wall with a bulge that walks, as many times as asked."""
    v, u = np.mgrid[:120, :160]
    frames = []
    for i in range(count):
        bulge = ((u - 40 - 7 * i % 80) / 12) ** 2 + ((v - 60) / 45) ** 2
        depth_m = np.where(bulge < 1, 2.3 + 0.1 * bulge, 3.5).astype(np.float32)
        frames.append(DepthFrame(depth_m, Camera(142.8, 142.8, 79.5, 59.5), index=i))
    return frames


@pytest.fixture(scope="module")
def estimate() -> PoseEstimator:
    return PoseEstimator()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_stream_is_what_calls_one_by_one_return(estimate: PoseEstimator, workers: int) -> None:
    frames = some_frames(8)
    streamed = list(estimate.stream(frames, workers=workers))
    assert len(streamed) == 8
    for frame, poses in zip(frames, streamed, strict=True):
        alone = estimate(frame)
        for field in ("joints_px", "joints_m", "joint_score", "person_score", "covariance_m2"):
            np.testing.assert_array_equal(getattr(poses, field), getattr(alone, field))
    wait_for_no_threads()


def test_leaving_a_stream_of_poses_early_ends_the_threads(estimate: PoseEstimator) -> None:
    for _ in estimate.stream((some_frames(1)[0] for _ in iter(int, 1)), workers=2):
        break
    wait_for_no_threads()


def test_arrays_need_the_camera_as_in_a_call(estimate: PoseEstimator) -> None:
    depth_m = some_frames(1)[0].depth_m
    poses = next(estimate.stream([depth_m], CAMERA))
    assert poses.camera == CAMERA
    with pytest.raises(UsageError, match="needs the camera"):
        next(estimate.stream([depth_m]))
    with pytest.raises(UsageError, match="workers: expected at least 1, got 0"):
        estimate.stream([depth_m], CAMERA, workers=0)


def test_live_gives_each_frame_with_its_people(estimate: PoseEstimator) -> None:
    frames = some_frames(3)
    pairs = list(estimate.live(iter(frames)))
    assert pairs[-1][0] is frames[-1]
    for frame, poses in pairs:
        np.testing.assert_array_equal(poses.joints_m, estimate(frame).joints_m)


def test_long_streams_do_not_grow(estimate: PoseEstimator) -> None:
    frames = some_frames(20)
    tracemalloc.start()
    try:
        sizes = []
        for _ in range(3):
            for _ in estimate.stream((frames[i % 20] for i in range(60)), workers=2):
                pass
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    # A single frame kept of each round would be 77 kB more.
    assert sizes[2] - sizes[1] < 60_000


def test_default_workers_follow_the_cores_that_the_process_may_use() -> None:
    assert 1 <= default_workers() <= 8
