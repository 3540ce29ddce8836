"""List the models that come with the package, or show the card of one.

A card says what a model was trained on, what it measures and where it fails.

Examples:
  residualpose models
  residualpose models base
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from residualpose.errors import ResidualPoseError, UsageError

WEIGHTS = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True, slots=True)
class Options:
    """Which model to show."""

    name: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[NAME]")] = None
    """A model of the list: its whole card is shown."""


def run(options: Options) -> int:
    """Write the list, or one card as JSON, on standard output."""
    cards = {path.parent.name: path for path in sorted(WEIGHTS.glob("*/card.json"))}
    if options.name is None:
        names = (f"{name:<12} {_summary(_read(path))}".rstrip() for name, path in cards.items())
        sys.stdout.write("\n".join(names) + "\n" if cards else "no models are bundled\n")
        return 0
    if options.name not in cards:
        raise UsageError(f"no model {options.name!r}: one of {', '.join(cards) or 'none'}")
    sys.stdout.write(json.dumps(_read(cards[options.name]), indent=2, ensure_ascii=False) + "\n")
    return 0


def _read(path: Path) -> dict[str, object]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResidualPoseError(f"{path}: expected a JSON model card, found {error}") from None


def _summary(card: dict[str, object]) -> str:
    return str(card.get("summary", ""))
