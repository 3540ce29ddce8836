"""A model folder: the networks, the prior and the card that says where they come from.

card.json     name, focal_px, stride, summary, training, scores, sha256 of each file
maps.onnx     depth -> part maps, limb fields, offsets
prior.npz     limb prior
refiner.onnx  completed people -> residuals; not there yet while it is being trained
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from residualpose.errors import ResidualPoseError, UsageError

WEIGHTS = Path(__file__).parent / "weights"
DEFAULT_MODEL = "base"
FILES = ("maps.onnx", "prior.npz")
REFINER = "refiner.onnx"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A bundled or own model on disk."""

    path: Path
    name: str
    focal_px: float
    """Focal length the network sees, pixels."""
    stride: int
    """Input pixels a map cell."""
    sha256: str
    """Of maps.onnx; names the model in result files."""
    card: dict[str, object]
    """Everything card.json says."""

    @classmethod
    def open(cls, model: str | Path | None = None) -> ModelFolder:
        """A bundled model by name (None: the default), or a folder by path.

        Raises:
            UsageError: no such model.
            ResidualPoseError: the folder is incomplete or its files are not those of the card.
        """
        path = WEIGHTS / (model or DEFAULT_MODEL)
        if isinstance(model, Path) or not (path / "card.json").is_file():
            path = Path(model or DEFAULT_MODEL)
        if not path.is_dir():
            bundled = sorted(p.parent.name for p in WEIGHTS.glob("*/card.json"))
            raise UsageError(
                f"no model {str(model or DEFAULT_MODEL)!r}: expected a folder with card.json, "
                f"or one of {', '.join(bundled) or '(none bundled)'}"
            )
        card = _read_card(path / "card.json")
        for file, sha256 in card["sha256"].items():
            if sha256_of(path / file) != sha256:
                raise ResidualPoseError(
                    f"{path / file}: its sha256 differs from the one in card.json; "
                    "the file is damaged or from another model: install or export it again"
                )
        return cls(
            path, str(card["name"]), float(card["focal_px"]), int(card["stride"]),
            card["sha256"]["maps.onnx"], card,
        )  # fmt: skip

    @property
    def refiner_path(self) -> Path:
        """The residual network; ResidualPoseError where the model has none yet."""
        if REFINER not in cast(dict, self.card["sha256"]):
            raise ResidualPoseError(
                f"{self.path}: a model without {REFINER}: train it with residualpose train refiner "
                f"--model {self.path}, then residualpose export"
            )
        return self.path / REFINER


def _read_card(path: Path) -> dict:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResidualPoseError(f"{path}: expected a JSON model card, found {error}") from None
    missing = {"name", "focal_px", "stride", "sha256"} - set(card)
    if missing or set(FILES) - set(card["sha256"]):
        raise ResidualPoseError(f"{path}: the card lacks {', '.join(missing) or 'file checksums'}")
    return card


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes; raises ResidualPoseError if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ResidualPoseError(f"{path}: cannot read the model file ({error.strerror})") from None
