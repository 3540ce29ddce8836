"""Find the people in depth images and write where every joint is, in pixels and metres.

SOURCE is .npy, .npz, .mat, 16-bit .png or .tif, .exr or an ITOP .h5 file, a folder or a quoted glob
of them; a folder or .tar with camera.json (see `residualpose record`); a ROS 1 or ROS 2 bag; a
RealSense .db3; an Azure Kinect .mkv; - is standard input and realsense://SERIAL a camera.
FILE:START:STOP[:STEP] takes some frames of a recording, FILE:7 one.

DIR/poses.jsonl gets a header line, then a line a frame. NAME_2d.png shows the joints found,
NAME_3d_completed.png and NAME_3d_refined.png the people in 3D, NAME.html all of it to turn around
in a browser. Every other file is made of the lines at the end of the run: poses.csv, .coco.json,
_openpose/, and for each recording .c3d, .trc, .mp4, .gif and ROS 2 bags. A run that was cut short
goes on with --resume.

Examples:
  residualpose predict frame.png --camera kinect2 --output results
  residualpose predict frame.npy --camera 580,580,319.5,239.5 --output results
  residualpose predict 'day1/*.tif' --camera cam.json --depth-unit 0.0002 --output results
  residualpose predict ITOP_side_test_depth_map.h5:0:500 --save jsonl --output results
  residualpose predict walk.bag --save jsonl c3d trc --output results --resume
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from residualpose.cli.predict_output import KINDS, RunOutput, open_journal, prepare_folder
from residualpose.cli.progress import progress_bar
from residualpose.cli.reporting import EXIT_DATA, EXIT_INTERRUPTED, complain
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.results import UnwritableError
from residualpose.sinks.journal import JsonlWriter
from residualpose.sources import FrameSource, open_source
from residualpose.tracking.follower import MAX_STRENGTH, follow

if TYPE_CHECKING:
    from rich.progress import Progress

    from residualpose.estimator import PoseEstimator, Stages
    from residualpose.frames import DepthFrame
    from residualpose.poses import Poses


@dataclass(frozen=True, slots=True)
class Options:
    """What to read, how, and what to write."""

    source: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE...")]
    """Files, folders or globs of depth images."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")]
    """Folder for the results; made if it is not there."""
    camera: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE|NUMBERS")] = None
    """A sensor (itop, kinect1, xtion, kinect2, azure-nfov, azure-wfov, d435, d455, l515, femto,
    oak-d), a .json file, or fx,fy,cx,cy in pixels. Default: the K in the file or the camera.json
    beside it."""
    depth_unit: Annotated[str | None, tyro.conf.arg(metavar="m|mm|SCALE")] = None
    """Unit of the stored numbers; SCALE is metres per unit (TUM: 0.0002). Default: integers are mm,
    floats m unless their median exceeds 50."""
    model: Annotated[str | None, tyro.conf.arg(metavar="NAME|PATH")] = None
    """A bundled model (see `residualpose models`) or a model folder. Default: the bundled one."""
    convention: Annotated[
        Literal["itop", "panoptic"] | None, tyro.conf.arg(metavar="itop|panoptic")
    ] = None
    """Place joints where that data set's labels place them. Default: our own convention."""
    save: Annotated[
        tuple[
            Literal[
                "jsonl",
                "png",
                "html",
                "csv",
                "coco",
                "openpose",
                "c3d",
                "trc",
                "db3",
                "mcap",
                "mp4",
                "gif",
            ],
            ...,
        ],
        tyro.conf.arg(metavar="jsonl|png|html|csv|... ..."),
    ] = ("jsonl", "png", "html")
    """What to write: jsonl, png, html, csv, coco, openpose, c3d, trc, db3, mcap, mp4, gif.
    Without png and html frames are worked on side by side, which is quickest."""
    fps: Annotated[float, tyro.conf.arg(metavar="RATE")] = 30.0
    """Frames a second, for a recording that holds no times."""
    track: bool = False
    """People keep their id through a recording."""
    smooth: Annotated[float, tyro.conf.arg(metavar="STRENGTH")] = 0.0
    """Joints move steadily, and people are tracked: 0 is off, 1 suits people who walk, 4 is the
    most. Pictures and pages show every frame as it is."""
    overwrite: bool = False
    """Replace the results of an earlier run in DIR."""
    resume: bool = False
    """Go on with a run that was cut short, with the same options: frames that are done stay."""


def run(options: Options) -> int:
    """Process every source; files that cannot be read are reported and the others go on."""
    _check(options)
    sources, failures = _open_all(options)
    if not sources:
        return EXIT_DATA
    from residualpose.estimator import PoseEstimator

    estimate = PoseEstimator(options.model, convention=options.convention)
    _check_streams(sources, options)
    prepare_folder(options.output, options.save, options.overwrite, options.resume)
    journal = open_journal(
        options.output,
        {"name": estimate.model.name, "sha256": estimate.model.sha256},
        estimate.model.skeleton,
        options.convention,
        {"camera": options.camera, "depth_unit": options.depth_unit} | _tracking(options),
        options.save,
        options.resume,
    )
    _check_sources(journal, sources)
    output = RunOutput(options.output, options.save, journal, sources, options.fps)
    output.failures = failures
    try:
        with output, progress_bar("frames") as progress:
            _process(sources, estimate, output, progress, options)
    except KeyboardInterrupt:
        complain("predict", f"interrupted; kept {output.summary()}")
        return EXIT_INTERRUPTED
    if output.frames:
        sys.stdout.write(f"{output.summary()}\n")
    return EXIT_DATA if output.failures else 0


def _check(options: Options) -> None:
    if not options.source:
        raise UsageError("give at least one SOURCE (see residualpose predict --help)")
    if not options.save:
        raise UsageError(f"--save needs at least one of {', '.join(KINDS)}")
    if options.overwrite and options.resume:
        raise UsageError("--overwrite begins again and --resume goes on: give one of them")
    if not 0 <= options.smooth <= MAX_STRENGTH:
        raise UsageError(
            f"--smooth: expected 0 (off) to {MAX_STRENGTH:g}, found {options.smooth:g}"
        )
    if not 0 < options.fps < 1e4:
        raise UsageError(f"--fps: expected frames a second, found {options.fps}")


def _check_streams(sources: list[FrameSource], options: Options) -> None:
    """What comes only once can neither be drawn later nor begun again."""
    passing = next((source for source in sources if source.unbounded), None)
    if passing is None:
        return
    name = passing.files[0].path
    twice = next((kind for kind in ("html", "mp4", "gif") if kind in options.save), None)
    if twice is not None:
        raise UsageError(
            f"{name}: frames come only once, and {twice} needs them twice: --save jsonl csv ..., "
            "or `residualpose record` it first"
        )
    if options.resume and any(source.live for source in sources):
        raise UsageError(f"{name}: a camera does not go on where it was: leave --resume out")


def _tracking(options: Options) -> dict[str, float]:
    """What the header line says of people who were followed."""
    return {"smooth": options.smooth} if options.track or options.smooth else {}


def _check_sources(journal: JsonlWriter, sources: list[FrameSource]) -> None:
    """A run is resumed with its own sources, in which there may be more by now."""
    known = {str(file.path) for source in sources for file in source.files}
    strange = next((name for name, _ in journal.done if name not in known), None)
    if strange is not None:
        raise UsageError(
            f"{journal.path}: holds frames of {strange}, which is not among the sources: give the "
            "same sources, or add --overwrite"
        )


def _open_all(options: Options) -> tuple[list[FrameSource], int]:
    """One source a file, and how many could not be found."""
    sources, failures = [], 0
    for text in options.source:
        try:
            sources += open_source(text, options.camera, options.depth_unit).split()
        except UsageError:
            raise
        except ResidualPoseError as error:
            complain("predict", error)
            failures += 1
    return sources, failures


def _process(
    sources: list[FrameSource],
    estimate: PoseEstimator,
    output: RunOutput,
    progress: Progress,
    options: Options,
) -> None:
    """Estimate and write every frame; a file that breaks is reported and given up."""
    frames_ahead = len(sources)  # at least one a file, until each is opened
    task = progress.add_task("frames", total=frames_ahead, note="")
    for source in sources:
        try:
            count = 0 if source.unbounded else len(source)
            frames_ahead += max(count - 1, 0)
            progress.update(task, total=None if source.unbounded else frames_ahead)
            for _ in _frames_done(source, count, estimate, output, options):
                progress.advance(task)
        except (UsageError, UnwritableError):
            raise
        except ResidualPoseError as error:
            complain("predict", error)
            output.failures += 1


def _frames_done(
    source: FrameSource, count: int, estimate: PoseEstimator, output: RunOutput, options: Options
) -> Iterator[None]:
    """Do one frame after the other, with its pictures if there are to be any."""
    if options.track or options.smooth:
        yield from _followed(source, count, estimate, output, options.smooth)
        return
    if not output.draws:
        waiting: deque[DepthFrame] = deque()

        def ahead() -> Iterator[DepthFrame]:
            for frame in source:
                if not output.has(frame):
                    waiting.append(frame)
                    yield frame

        for poses in estimate.stream(ahead()):
            output.add(waiting.popleft(), poses)
            yield
        return
    with output.file(source, count) as pictures:
        for number, frame in enumerate(source):
            done = output.has(frame)
            if not done or pictures.page_needs(number):
                stages = estimate.explain(frame)
                # The line says that the frame is done: it comes last.
                pictures.add(number, frame, stages)
                if not done:
                    output.add(frame, stages.poses)
            yield


def _followed(
    source: FrameSource, count: int, estimate: PoseEstimator, output: RunOutput, smooth: float
) -> Iterator[None]:
    """Do one recording whose people are followed; a resumed run follows them from the start."""
    if output.draws:
        yield from _followed_and_drawn(source, count, estimate, output, smooth)
        return
    waiting: deque[DepthFrame] = deque()

    def ahead() -> Iterator[DepthFrame]:
        for frame in source:
            waiting.append(frame)
            yield frame

    for poses in estimate.stream(ahead(), track=True, smooth=smooth):
        frame = waiting.popleft()
        if not output.has(frame):
            output.add(frame, poses)
        yield


def _followed_and_drawn(
    source: FrameSource, count: int, estimate: PoseEstimator, output: RunOutput, smooth: float
) -> Iterator[None]:
    """Pictures show the people who were followed, by their numbers, each frame as it is."""

    def found() -> Iterator[tuple[tuple[int, DepthFrame, Stages], Poses, float | None]]:
        for number, frame in enumerate(source):
            stages = estimate.explain(frame)
            yield (number, frame, stages), stages.poses, frame.time_s

    with output.file(source, count) as pictures:
        for one in follow(found(), smooth):
            number, frame, stages = one.payload
            done = output.has(frame)
            if not done or pictures.page_needs(number):
                pictures.add(number, frame, stages.of(one.rows, one.poses.person_id))
            if not done:
                output.add(frame, one.poses)
            yield
