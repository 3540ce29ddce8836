"""Overlays as moving pictures: MP4 through PyAV (video extra), GIF through Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import numpy as np

from residualpose.errors import MissingExtraError, ResidualPoseError
from residualpose.frames import DepthFrame
from residualpose.results import replacing
from residualpose.sinks.run import FrameRecord, Run

_GIF_WIDTH = 320
_TICKS = 90_000
"""Time base of the MP4, ticks a second."""


def write_mp4(run: Run, base: Path) -> None:
    """Write BASE_SEQUENCE.mp4, with the times of the recording.

    Raises:
        MissingExtraError: PyAV is not installed.
        ResidualPoseError: the depth images cannot be read again.
    """
    try:
        import av
    except ImportError:
        raise MissingExtraError("av", "video") from None
    for name, pictures in _sequences(run):
        with (
            replacing(base.with_name(f"{base.name}_{name}.mp4")) as stream,
            av.open(stream, "w", format="mp4") as container,
        ):
            video = None
            for time_s, picture in pictures:
                even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
                if video is None:
                    video = container.add_stream("libx264", rate=Fraction(run.fps))
                    video.height, video.width = even.shape[:2]
                    video.pix_fmt = "yuv420p"
                    video.codec_context.time_base = Fraction(1, _TICKS)
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
                frame.pts, frame.time_base = round(time_s * _TICKS), Fraction(1, _TICKS)
                container.mux(video.encode(frame))
            if video is not None:
                container.mux(video.encode())


def write_gif(run: Run, base: Path) -> None:
    """Write BASE_SEQUENCE.gif, 320 pixels wide at most."""
    from PIL import Image

    for name, pictures in _sequences(run):
        images, times_s = [], []
        for time_s, picture in pictures:
            image = Image.fromarray(picture)
            image.thumbnail((_GIF_WIDTH, _GIF_WIDTH))
            images.append(image.convert("P", palette=Image.Palette.ADAPTIVE, colors=64))
            times_s.append(time_s)
        ends_s = [*times_s[1:], times_s[-1] + 1 / run.fps]
        # GIF counts in hundredths of a second, and browsers slow down what is below two.
        shown_ms = [
            max(round((end - start) * 100), 2) * 10
            for start, end in zip(times_s, ends_s, strict=True)
        ]
        with replacing(base.with_name(f"{base.name}_{name}.gif")) as stream:
            images[0].save(
                stream, "GIF", save_all=True, append_images=images[1:], duration=shown_ms, loop=0
            )


def _sequences(run: Run) -> Iterator[tuple[str, Iterator[tuple[float, np.ndarray]]]]:
    """Each sequence's name and its pictures with their times in seconds from 0."""
    names = run.sequence_names()
    for name in dict.fromkeys(names.values()):
        records = (record for record in run.frames() if names[record.source] == name)
        yield name, _timed(run, _with_depth(run, records))


def _with_depth(
    run: Run, records: Iterator[FrameRecord]
) -> Iterator[tuple[FrameRecord, np.ndarray]]:
    """Each record with its depth image in metres, read again from where it came."""
    sources = {str(file.path): source for source in run.depth for file in source.files}
    for name, group in groupby(records, key=lambda record: record.source):
        frames = iter(sources[name])
        for record in group:
            frame = _at(frames, record.index)
            if frame is None:  # the same source came twice: begin again
                frames = iter(sources[name])
                frame = _at(frames, record.index)
            if frame is None:
                raise ResidualPoseError(f"{name}: frame {record.index} is no longer there")
            yield record, frame.depth_m


def _at(frames: Iterator[DepthFrame], index: int) -> DepthFrame | None:
    return next((frame for frame in frames if frame.index == index), None)


def _timed(
    run: Run, pairs: Iterator[tuple[FrameRecord, np.ndarray]]
) -> Iterator[tuple[float, np.ndarray]]:
    from residualpose.drawing.overlay import draw_overlay

    start_s, last_s = None, -1 / run.fps
    for record, depth_m in pairs:
        time_s = last_s + 1 / run.fps
        if record.time_s is not None:
            start_s = record.time_s if start_s is None else start_s
            # Recordings that run one after another may each begin at 0.
            time_s = max(record.time_s - start_s, last_s + 1e-3)
        last_s = time_s
        yield time_s, draw_overlay(depth_m, record.poses)
