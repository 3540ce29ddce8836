"""Many processes that render the shards of one run, one core each."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing.connection import wait
from pathlib import Path

from residualpose.errors import ResidualPoseError, UsageError
from residualpose.settings import plain, read_record, record
from residualpose.synthetic.shards import (
    Cast,
    SynthConfig,
    load_cast,
    make_shard,
    prepare_cast,
    shard_path,
)

RECORD = "config.json"


def missing_shards(folder: Path, config: SynthConfig) -> list[int]:
    """Numbers of the shards of a run that are not on disk yet."""
    return [k for k in range(config.shards) if not shard_path(folder, k).exists()]


def open_run(folder: Path, config: SynthConfig) -> None:
    """Make the folder of a run, or make sure that its shards are of the same settings.

    Raises:
        UsageError: it holds shards of other or unknown settings; motion capture, clothes not there.
        ResidualPoseError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{folder}: expected a folder for the shards, found a file") from None
    except OSError as error:
        raise ResidualPoseError(f"{folder}: cannot be made ({error.strerror})") from None
    if not (folder / RECORD).exists() and next(folder.glob("shard_*.npz"), None):
        raise UsageError(f"{folder}: holds shards but no {RECORD}; choose another folder")
    settings = plain(config) | {"mocap": [_fingerprint(path) for path in config.mocap]}
    if config.wardrobe:
        settings["wardrobe"] = _fingerprint(config.wardrobe)
    record(folder / RECORD, settings, free=("shards",))


def read_run(folder: Path) -> dict[str, object]:
    """The settings of the run in a folder; UsageError where there is none."""
    if not (folder / RECORD).is_file():
        raise UsageError(
            f"{folder}: expected a folder of rendered shards with its {RECORD}; "
            "make one with residualpose synth --out"
        )
    return read_record(folder / RECORD)


def _fingerprint(path: Path) -> str:
    """Name and checksum of a source: the same archive may lie elsewhere tomorrow."""
    files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    try:
        for file in files:
            digest.update(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    return f"{path.name} sha256:{digest.hexdigest()}"


def render_shards(folder: Path, config: SynthConfig, workers: int) -> Generator[Path]:
    """Render what is missing; yields the file of each shard when it is done, in any order.

    Left early, by an exception too, it stops the workers and leaves only whole shards.

    Raises:
        ResidualPoseError: a shard cannot be written, or a worker was killed.
    """
    _sweep(folder)
    prepare_cast(folder, config)
    jobs = [(folder, k, config) for k in missing_shards(folder, config)]
    try:
        yield from in_workers(_work, jobs, workers, f"{folder}: ", "shards")
    finally:
        _sweep(folder)


def in_workers(
    work: Callable[..., Path], jobs: Iterable[tuple], workers: int, where: str, made: str
) -> Generator[Path]:
    """Results of `work(*job)` as they come; left early, it stops the workers.

    Raises:
        ResidualPoseError: a worker was killed; `where` and `made` are for the message.
    """
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=start_worker
    )
    try:
        for job in as_completed([pool.submit(work, *job) for job in jobs]):
            yield job.result()
        pool.shutdown()
    except BrokenProcessPool:
        raise ResidualPoseError(
            f"{where}a worker was killed (out of memory?); run again with fewer --workers, "
            f"finished {made} are kept"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
            worker.join()


def _sweep(folder: Path) -> None:
    """Remove what a killed run was writing."""
    for unfinished in folder.glob(".*.npz.*.tmp"):
        unfinished.unlink(missing_ok=True)


def start_worker() -> None:
    """Ctrl-C reaches the parent, which stops the workers; torch must not compete with itself."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed cannot stop its workers: they would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@cache
def _cast(folder: Path, config: SynthConfig) -> Cast:
    return load_cast(folder, config)


def _work(folder: Path, index: int, config: SynthConfig) -> Path:
    return make_shard(folder, index, config, _cast(folder, config))
