"""`residualpose live`: what it refuses, and that Ctrl-C is how it ends well."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from residualpose.cli.main import main

K = np.array([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]])


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    np.savez(tmp_path / "walk.npz", depth_m=np.full((6, 48, 64), 3.0, np.float32), K=K)
    return tmp_path / "walk.npz"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--smooth", "9"], "--smooth"),
        (["--fps", "0"], "--fps"),
        (["--port", "70000"], "--port"),
        (["--speed", "0"], "--speed"),
    ],
)
def test_wrong_requests_are_explained(
    walk: Path, options: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["live", str(walk), *options]) == 2
    assert word in capsys.readouterr().err


@pytest.mark.parametrize("switches", [["--loop"], ["--loop", "--as-camera"]])
def test_it_serves_until_it_is_interrupted(walk: Path, switches: list[str]) -> None:
    pytest.importorskip("viser", reason="needs the live extra")
    command = [sys.executable, "-m", "residualpose.cli.main", "live", str(walk), "--port", "0"]
    with subprocess.Popen(
        command + switches, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        url = run.stdout.readline().split()[0]
        assert url.startswith("http://127.0.0.1:")
        assert b"<html" in urlopen(url, timeout=60).read()
        run.send_signal(signal.SIGINT)
        said, complaints = run.communicate(timeout=120)
    assert run.returncode == 0, complaints
    assert "frames shown" in said
    assert complaints == ""
