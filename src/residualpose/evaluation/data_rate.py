"""Does rendering keep up with training: both on one machine, each alone and side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from residualpose.learning.batches import Batch
from residualpose.learning.network import PoseNetwork
from residualpose.learning.stream import StreamConfig, stream_batches
from residualpose.learning.train_maps import MapsConfig, train_step

STEPS_NOT_COUNTED = 1


@dataclass(frozen=True, slots=True)
class Rate:
    """One setting's measurement."""

    frames_per_s: float
    """Finished frames: rendered, spoilt by a sensor, labelled; NaN where nothing was rendered."""
    step_s: float
    """Mean time of a training step, seconds; NaN where nothing was trained."""
    taken_per_s: float
    """Frames a second that such steps use up."""


@dataclass(frozen=True, slots=True)
class DataRate:
    """What was measured."""

    rendering: Rate
    """Workers alone."""
    training: Rate
    """Training alone."""
    together: Rate
    """Workers and training at the same time."""

    @property
    def starves(self) -> bool:
        """Would training wait for frames."""
        return self.together.frames_per_s < self.together.taken_per_s


def measure_data_rate(
    folder: Path,
    stream: StreamConfig,
    maps: MapsConfig,
    workers: int,
    seconds: float,
    progress: Callable[[str], None],
) -> DataRate:
    """Measure for about `seconds` in each of the three settings.

    Args:
        folder: Where `prepare_cast` left the bodies.
        stream: The frames; they stay whole, for the count of finished frames is about those.
        maps: The training, whose steps see its own crops of such frames.
        workers: Rendering processes.
        seconds: At least so long for each setting.
        progress: Told what is being done.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(maps.threads)
    progress("rendering what to train on")
    cut = replace(stream, crop=maps.crop)
    with closing(stream_batches(folder, cut, device, 0)) as batches:
        samples = list(islice(batches, maps.crop.whole_every if maps.crop else 1))
    step = _stepper(maps, samples, device)
    progress("training alone")
    alone_s = _steps_s(step, seconds, len(samples))
    with closing(stream_batches(folder, stream, device, workers)) as batches:
        progress("rendering alone")
        for _ in range(2 * workers + 1):  # start-up, and what was ready before the clock
            next(batches)
        rendered = _rendered_per_s(batches, stream.batch, seconds)
        progress("both")
        with _Counting(batches, stream.batch) as count:
            both_s = _steps_s(step, seconds, len(samples))
    return DataRate(
        Rate(rendered, np.nan, np.nan),
        Rate(np.nan, alone_s, maps.batch / alone_s),
        Rate(count.frames_per_s, both_s, maps.batch / both_s),
    )


def _stepper(
    maps: MapsConfig, samples: Sequence[Batch], device: torch.device
) -> Callable[[int], object]:
    network = PoseNetwork(maps.network).to(device)
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), maps.learning_rate)
    return lambda number: train_step(network, optimiser, samples[number % len(samples)])


def _steps_s(step: Callable[[int], object], seconds: float, round_length: int) -> float:
    """Mean time of a step over whole rounds of the samples, which differ in size."""
    for number in range(STEPS_NOT_COUNTED):
        step(number)
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds or done % round_length:
        step(done)
        done += 1
    return (time.perf_counter() - start) / done


def _rendered_per_s(batches: Generator[Batch], size: int, seconds: float) -> float:
    start, frames = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        next(batches)
        frames += size
    return frames / (time.perf_counter() - start)


class _Counting:
    """Takes batches as fast as they come, in a thread beside the training."""

    def __init__(self, batches: Generator[Batch], size: int) -> None:
        self.frames_per_s = np.nan
        self._batches, self._size = batches, size
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._take)

    def __enter__(self) -> _Counting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _take(self) -> None:
        start, frames = time.perf_counter(), 0
        while not self._stop.is_set():
            next(self._batches)
            frames += self._size
            self.frames_per_s = frames / (time.perf_counter() - start)
