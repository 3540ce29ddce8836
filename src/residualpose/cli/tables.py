"""Tables and JSON reports of the commands that measure."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from residualpose.results import replacing


def write_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output: text in the first column, numbers in the others."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    # Piped into a file there is no terminal width to keep to.
    width = None if sys.stdout.isatty() else 120
    Console(file=sys.stdout, width=width).print(table)


def write_report(path: Path, report: dict[str, object]) -> None:
    """A JSON file, replaced whole; NaN becomes null."""
    with replacing(path) as stream:
        stream.write((json.dumps(_finite(report), indent=2) + "\n").encode())


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
