"""Bars and spinners on standard error, silent where that is no terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.status import Status


def working(text: str) -> Status:
    """A spinner for work of unknown length."""
    from rich.console import Console

    return Console(stderr=True).status(text)


def progress_bar(unit: str) -> Progress:
    """A bar with a count, a rate in `unit` a second, the time left and the task's `note`."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Task as RichTask
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: RichTask) -> Text:
            scale = task.fields.get("scale", 1)
            return Text(f"{(task.speed or 0) * scale:.1f} {unit}/s")

    console = Console(stderr=True)
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
