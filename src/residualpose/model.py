"""A model folder: the networks, the prior and the card that says where they come from.

card.json     name, focal_px, stride, summary, training, scores, sha256 of each file; skeleton, by
              name or described, where it is not itop15; architecture where it is "released", whose
              files released_folder.py describes
maps.onnx     depth -> part maps, limb fields, offsets
closer.onnx   the same for a closer look at everybody found; a model without it looks once
prior.npz     limb prior
refiner.onnx  completed people -> residuals; not there yet while it is being trained
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from residualpose.errors import ResidualPoseError, UsageError
from residualpose.skeleton import ITOP15, Skeleton

WEIGHTS = Path(__file__).parent / "weights"
DEFAULT_MODEL = "base"
FILES = ("maps.onnx", "prior.npz")
REFINER, CLOSER = "refiner.onnx", "closer.onnx"


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
    """Of the list that `sha256sum` prints of its files; names the model in result files."""
    card: dict[str, object]
    """Everything card.json says."""
    skeleton: Skeleton = ITOP15
    """What its joints are."""

    @classmethod
    def open(cls, model: str | Path | None = None) -> ModelFolder:
        """A bundled model by name (None: the default), or a folder by path.

        Raises:
            UsageError: no such model.
            ResidualPoseError: the folder is incomplete or its files are not those of the card.
        """
        path = _folder_of(model or DEFAULT_MODEL)
        card = _read_card(path / "card.json")
        for file, sha256 in card["sha256"].items():
            if sha256_of(path / file) != sha256:
                raise ResidualPoseError(
                    f"{path / file}: its sha256 differs from the one in card.json; "
                    "the file is damaged or from another model: install or export it again"
                )
        return cls(
            path, card["name"], float(card["focal_px"]), card["stride"],
            _sum_of(card["sha256"]), card, _skeleton_of(path, card),
        )  # fmt: skip

    @property
    def released(self) -> bool:
        """Whether its networks are those of the paper."""
        return self.card.get("architecture") == "released"

    @property
    def refiner_path(self) -> Path:
        """The residual network; ResidualPoseError where the model has none yet."""
        if REFINER not in cast(dict, self.card["sha256"]):
            raise ResidualPoseError(
                f"{self.path}: a model without {REFINER}: fit it with residualpose fit refiner "
                f"--model {self.path}, then residualpose export"
            )
        return self.path / REFINER

    @property
    def closer_path(self) -> Path | None:
        """The 2D network of closer looks; None where the model looks once."""
        return self.path / CLOSER if CLOSER in cast(dict, self.card["sha256"]) else None


def bundled_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(card.parent.name for card in WEIGHTS.glob("*/card.json"))


def _folder_of(model: str | Path) -> Path:
    bundled = WEIGHTS / model
    if isinstance(model, str) and (bundled / "card.json").is_file():
        return bundled
    if not Path(model).is_dir():
        names = bundled_models()
        raise UsageError(
            f"no model {str(model)!r}: expected a folder with card.json, "
            f"or one of {', '.join(names) or '(none bundled)'}"
        )
    return Path(model)


def _skeleton_of(folder: Path, card: dict) -> Skeleton:
    try:
        return Skeleton.from_json(card.get("skeleton", ITOP15.name))
    except ResidualPoseError as error:
        raise ResidualPoseError(f"{folder / 'card.json'}: {error}") from None


_CARD_TYPES = {"name": str, "focal_px": (int, float), "stride": int, "sha256": dict}


def _read_card(path: Path) -> dict:
    """The card, with what the code reads from it present and of its type."""
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResidualPoseError(f"{path}: expected a JSON model card, found {error}") from None
    if not isinstance(card, dict):
        raise ResidualPoseError(f"{path}: expected a JSON model card, found another JSON value")
    wrong = [key for key, kind in _CARD_TYPES.items() if not isinstance(card.get(key), kind)]
    if wrong:
        raise ResidualPoseError(f"{path}: {', '.join(wrong)} missing or of another type")
    unsummed, unknown = (
        set(FILES) - set(card["sha256"]),
        set(card["sha256"]) - {*FILES, REFINER, CLOSER},
    )
    if unsummed or unknown:
        raise ResidualPoseError(
            f"{path}: expected the sha256 of {', '.join((*FILES, REFINER))}, "
            f"found those of {', '.join(card['sha256']) or 'no file'}"
        )
    return card


def _sum_of(sums: Mapping[str, str]) -> str:
    lines = "".join(f"{sums[file]}  {file}\n" for file in sorted(sums))
    return hashlib.sha256(lines.encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes; raises ResidualPoseError if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ResidualPoseError(f"{path}: cannot read the model file ({error.strerror})") from None
