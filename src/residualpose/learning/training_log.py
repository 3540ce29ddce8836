"""The losses of a run: one JSON line every few steps and, if asked for, TensorBoard's files."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from residualpose.errors import MissingExtraError
from residualpose.results import replacing

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

EVERY = 20
"""Steps between two lines."""
FILE = "log.jsonl"
BOARD = "tensorboard"


class TrainingLog:
    """Writes RUN/log.jsonl; what a killed run wrote beyond its checkpoint is dropped first."""

    def __init__(self, folder: Path, first_step: int, tensorboard: bool = False) -> None:
        """Open the log of a run that goes on at `first_step`.

        Raises:
            MissingExtraError: TensorBoard is asked for and not installed.
        """
        self._board = _board(folder / BOARD, first_step) if tensorboard else None
        self._closing = ExitStack()
        path = folder / FILE
        if path.exists():
            _cut(path, first_step)
        self._lines = self._closing.enter_context(path.open("a", encoding="utf-8"))
        if self._board is not None:
            self._closing.callback(self._board.close)

    def close(self) -> None:
        """Close the files."""
        self._closing.close()

    def write(self, step: int, losses: dict[str, float], learning_rate: float) -> None:
        """Note a step, if it is one of every few."""
        if step % EVERY:
            return
        line = {"step": step, "time_s": time.time(), **losses}
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()
        if self._board is not None:
            for name, value in losses.items():
                self._board.add_scalar(f"loss/{name}", value, step)
            self._board.add_scalar("learning_rate", learning_rate, step)


def _board(folder: Path, first_step: int) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError("tensorboard", "tensorboard") from None
    return SummaryWriter(str(folder), purge_step=first_step)


def _cut(path: Path, first_step: int) -> None:
    """Drop lines of steps from `first_step` on, and one that was not finished."""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            step = json.loads(line)["step"]
        except (ValueError, KeyError, TypeError):
            continue
        if step < first_step and line.endswith("\n"):
            kept.append(line)
    with replacing(path) as stream:
        stream.write("".join(kept).encode())
