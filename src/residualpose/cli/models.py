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
from typing import Annotated

import tyro

from residualpose.model import ModelFolder, bundled_models


@dataclass(frozen=True, slots=True)
class Options:
    """Which model to show."""

    name: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[NAME]")] = None
    """A model of the list: its whole card is shown."""


def run(options: Options) -> int:
    """Write the list, or one card as JSON, on standard output."""
    if options.name is not None:
        card = ModelFolder.open(options.name).card
        sys.stdout.write(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
        return 0
    names = bundled_models()
    for name in names:
        sys.stdout.write(f"{name:<12} {ModelFolder.open(name).card.get('summary', '')}\n")
    if not names:
        sys.stdout.write("no models are bundled\n")
    return 0
