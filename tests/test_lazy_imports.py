"""`import residualpose` costs nearly nothing: what is heavy comes when it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def modules_after(code: str) -> set[str]:
    """Top-level modules that a fresh Python holds after running some code."""
    show = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_package_alone_imports_nothing_heavy() -> None:
    assert not modules_after("import residualpose") & {
        "numpy", "scipy", "onnxruntime", "PIL", "torch", "tyro", "rich",
    }  # fmt: skip


@pytest.mark.parametrize(
    "code",
    [
        "from residualpose import Camera, DepthFrame, Poses, PoseEstimator",
        "from residualpose import group_people, LimbPrior",
    ],
)
def test_names_need_numpy_alone(code: str) -> None:
    found = modules_after(code)
    assert "numpy" in found
    assert not found & {"scipy", "onnxruntime", "PIL", "torch", "tyro", "rich"}


def test_people_are_found_without_scipy_pictures_or_torch() -> None:
    code = (
        "import numpy as np, residualpose\n"
        "camera = residualpose.Camera(143, 143, 79.5, 59.5)\n"
        "residualpose.PoseEstimator()(np.full((120, 160), 3.0), camera)"
    )
    found = modules_after(code)
    assert "onnxruntime" in found
    assert not found & {"scipy", "PIL", "torch", "tyro", "rich"}


def test_a_plain_install_has_no_scipy_and_needs_none(tmp_path: Path) -> None:
    samples = Path(__file__).parents[1] / "src/residualpose/samples"
    code = (
        "import sys\n"
        "sys.modules['scipy'] = None  # as if it were not installed\n"
        "from residualpose.cli.main import main\n"
        f"assert not main(['predict', {str(samples / 'stereo_two.npz')!r}, '--output', "
        f"{str(tmp_path)!r}, '--track', '--save', 'jsonl', 'png', 'html', 'csv'])\n"
        "import residualpose.evaluation.report, residualpose.datasets, residualpose.original\n"
        "import residualpose.cli.bench, residualpose.cli.eval, residualpose.sources.mat\n"
    )
    assert "lap" in modules_after(code)
    assert {path.suffix for path in tmp_path.rglob("*.*")} >= {".jsonl", ".png", ".html", ".csv"}
