"""Films of a run: the pictures of each recording with their times; MP4 needs the video extra."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import numpy as np

from residualpose.errors import MissingExtraError, ResidualPoseError
from residualpose.frames import DepthFrame
from residualpose.poses import Poses
from residualpose.results import replacing
from residualpose.sinks.run import FrameRecord, Run

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
    from residualpose.drawing.overlay import draw_film_frame

    for name, shown in films(run):
        with (
            replacing(base.with_name(f"{base.name}_{name}.mp4")) as stream,
            av.open(stream, "w", format="mp4") as container,
        ):
            video = None
            for one in shown:
                picture = draw_film_frame(one.depth_m, one.poses)
                even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
                if video is None:
                    video = container.add_stream("libx264", rate=Fraction(run.fps))
                    video.height, video.width = even.shape[:2]
                    video.pix_fmt = "yuv420p"
                    video.codec_context.time_base = Fraction(1, _TICKS)
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
                frame.pts, frame.time_base = round(one.time_s * _TICKS), Fraction(1, _TICKS)
                container.mux(video.encode(frame))
            if video is not None:
                container.mux(video.encode())


@dataclass(frozen=True, slots=True)
class FilmFrame:
    """What one picture of a film shows."""

    time_s: float
    """From 0."""
    depth_m: np.ndarray
    poses: Poses


def films(run: Run) -> Iterator[tuple[str, Iterator[FilmFrame]]]:
    """Each sequence's name and its frames, whose depth is read again from where it came."""
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


def _timed(run: Run, pairs: Iterator[tuple[FrameRecord, np.ndarray]]) -> Iterator[FilmFrame]:
    start_s, last_s = None, -1 / run.fps
    for record, depth_m in pairs:
        time_s = last_s + 1 / run.fps
        if record.time_s is not None:
            start_s = record.time_s if start_s is None else start_s
            # Recordings that run one after another may each begin at 0.
            time_s = max(record.time_s - start_s, last_s + 1e-3)
        last_s = time_s
        yield FilmFrame(time_s, depth_m, record.poses)
