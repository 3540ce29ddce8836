"""Put trained parts together to a model folder that `predict --model DIR` and PoseEstimator load.

DIR gets maps.onnx, prior.npz, refiner.onnx and card.json, which tells how the model was trained.
Without --refiner the folder serves to train one; with --closer the model looks at everybody
twice. Needs the train extra.

Examples:
  residualpose export --run runs/base --prior runs/prior.npz --out runs/detector
  residualpose export --run runs/base --prior runs/prior.npz --refiner runs/refiner.onnx --out model
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from residualpose import __version__
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.model import CLOSER, REFINER, ModelFolder


@dataclass(frozen=True, slots=True)
class Options:
    """Which parts, and what to call them."""

    run: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """Folder of residualpose train maps."""
    prior: Annotated[Path, tyro.conf.arg(metavar="FILE.npz")]
    """File of residualpose fit prior."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")]
    """The model folder to make."""
    refiner: Annotated[Path | None, tyro.conf.arg(metavar="FILE.onnx", help_behavior_hint="")] = (
        None
    )
    """File of residualpose fit refiner."""
    closer: Annotated[Path | None, tyro.conf.arg(metavar="RUN", help_behavior_hint="")] = None
    """Folder of residualpose train maps with `closer_px`. Default: the model looks once."""
    name: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """Name of the model. Default: that of DIR."""
    summary: Annotated[str, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")] = ""
    """One line for `residualpose models`."""
    scores: Annotated[
        tuple[Path, ...], tyro.conf.arg(metavar="FILE.json ...", help_behavior_hint="")
    ] = ()
    """Reports of residualpose eval --json, to be kept in the card."""
    overwrite: bool = False
    """Replace the model in DIR."""


def run(options: Options) -> int:
    """Make the folder beside its final place, load it once, then move it there."""
    from residualpose.learning.export import card_facts, export_closer, export_maps, write_card

    out = options.out
    _check_free(out, options.overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as made:
        folder = Path(made) / "model"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tracer: the shapes are meant to be fixed
            export_maps(options.run / "checkpoint.pt", folder / "maps.onnx")
            if options.closer is not None:
                _check_closer(options.run, options.closer)
                export_closer(options.closer / "checkpoint.pt", folder / CLOSER)
        _copy(options.prior, folder / "prior.npz")
        if options.refiner is not None:
            _copy(options.refiner, folder / "refiner.onnx")
        write_card(
            folder,
            options.name or out.resolve().name,
            **card_facts(options.run / "checkpoint.pt"),
            summary=options.summary,
            training=_training(options.run),
            **({"closer": _training(options.closer)} if options.closer is not None else {}),
            scores={path.stem: _read_json(path) for path in options.scores},
        )
        _load_once(folder)
        if out.exists():
            shutil.rmtree(out)
        folder.rename(out)
    sys.stdout.write(f"{options.name or out.resolve().name}: {out}\n")
    return 0


def _check_closer(run: Path, closer: Path) -> None:
    """Both networks have to be of one kind and see with one focal length."""
    from residualpose.learning.export import card_facts

    kinds = ("focal_px", "stride", "skeleton", "architecture")
    first, second = (card_facts(folder / "checkpoint.pt") for folder in (run, closer))
    for kind in kinds:
        if first.get(kind) != second.get(kind):
            raise UsageError(
                f"{closer}: expected {kind} {first.get(kind)}, as {run} has it, found "
                f"{second.get(kind)}: both networks must see alike"
            )


def _check_free(out: Path, overwrite: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / "card.json").is_file():
        raise UsageError(f"{out}: exists and is no model folder; choose another name")
    if not overwrite:
        raise UsageError(f"{out}: holds a model; choose another folder or add --overwrite")


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise ResidualPoseError(f"{source}: cannot be copied ({error.strerror})") from None


def _training(run: Path) -> dict[str, object]:
    """What the checkpoint knows of its training, for the card."""
    from residualpose.learning.checkpoint import load_checkpoint, trained_with

    state = load_checkpoint(run / "checkpoint.pt")
    settings = {k: v for k, v in trained_with(state).items() if k not in ("data", "out")}
    facts: dict[str, object] = {"residualpose": __version__, "steps": int(state["step"])}
    facts |= {"samples": int(state["step"]) * int(settings["batch"]), "maps": settings}
    if (run / "config.json").is_file():
        facts["rendered"] = _read_json(run / "config.json").get("rendered")
    return facts


def _read_json(path: Path) -> dict[str, object]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResidualPoseError(f"{path}: expected JSON, found {error}") from None
    if not isinstance(data, dict):
        raise ResidualPoseError(f"{path}: expected a JSON object, found {type(data).__name__}")
    return data


def _load_once(folder: Path) -> None:
    """A part that does not load must not replace a model that does."""
    from residualpose.estimator import PoseEstimator
    from residualpose.pipeline.limb_prior import LimbPrior
    from residualpose.released_folder import detector_of

    if (folder / REFINER).exists():
        PoseEstimator(folder)
        return
    detector_of(ModelFolder.open(folder))
    LimbPrior.load_npz(folder / "prior.npz")
