"""Several processes make the run that one makes; a killed one goes on as if it had not been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from residualpose.learning.checkpoint import load_checkpoint  # noqa: E402

RUN = """
import json, sys
from pathlib import Path
from residualpose.learning.batches import Crop
from residualpose.learning.mix import Share
from residualpose.learning.network import NetworkConfig
from residualpose.learning.train_maps import MapsConfig, train_maps

data, out = Path(sys.argv[1]), Path(sys.argv[2])
config = MapsConfig(
    (Share(data),), out, steps=int(sys.argv[3]), precision=sys.argv[4], norms=sys.argv[5],
    batch=4, parts=2, shards=2, first_shards=2, crop=Crop(48, 48, 4), warm_up=10,
    minutes_between_checkpoints=0.0,
    network=NetworkConfig(stem=4, widths=(8, 8), blocks=(1, 1), head=8),
)
losses = {}
train_maps(config, lambda step, values: losses.update({step: sum(values.values())}))
if losses:
    (out / "losses.json").write_text(json.dumps([losses[step] for step in sorted(losses)]))
"""


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def alone(script: Path, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.Popen(command, env=environment())


def together(script: Path, *arguments: object) -> subprocess.Popen[bytes]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.Popen([*torchrun, str(script), *map(str, arguments)], env=environment())


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("script") / "run.py"
    path.write_text(RUN)
    return path


def test_two_processes_have_the_losses_of_one(
    tiny_shards: Path, script: Path, tmp_path: Path
) -> None:
    two = together(script, tiny_shards, tmp_path / "two", 50, "float64", "shared")
    assert alone(script, tiny_shards, tmp_path / "one", 50, "float64", "shared").wait(300) == 0
    assert two.wait(300) == 0
    one, both = (json.loads((tmp_path / n / "losses.json").read_text()) for n in ("one", "two"))
    assert len(one) == len(both) == 50
    assert one[-1] < 0.9 * one[0]
    assert both == pytest.approx(one, abs=1e-6)  # float32 would differ: training is chaotic
    weights, shared = (load_checkpoint(tmp_path / n / "checkpoint.pt") for n in ("one", "two"))
    for name, weight in weights["network"].items():
        torch.testing.assert_close(shared["network"][name], weight, atol=1e-8, rtol=1e-6)
    assert len((tmp_path / "two" / "log.jsonl").read_text().splitlines()) == 3


def test_norms_of_their_own_see_half_the_batch(
    tiny_shards: Path, script: Path, tmp_path: Path
) -> None:
    runs = {norms: tmp_path / norms for norms in ("shared", "own")}
    for norms, out in runs.items():
        assert together(script, tiny_shards, out, 3, "float64", norms).wait(300) == 0
    shared, own = (json.loads((out / "losses.json").read_text())[0] for out in runs.values())
    assert own == pytest.approx(shared, rel=0.1)
    assert abs(own - shared) > 1e-6


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_killed_without_warning_ends_with_the_same_weights(
    precision: str, tiny_shards: Path, script: Path, tmp_path: Path
) -> None:
    steps, killed = 60, tmp_path / "killed"
    straight = alone(script, tiny_shards, tmp_path / "straight", steps, precision, "shared")
    process = alone(script, tiny_shards, killed, steps, precision, "shared")
    while not (killed / "checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    done = load_checkpoint(killed / "checkpoint.pt")["step"]
    assert 0 < done < steps
    assert alone(script, tiny_shards, killed, steps, precision, "shared").wait(300) == 0
    assert straight.wait(300) == 0
    one, two = (load_checkpoint(p / "checkpoint.pt") for p in (tmp_path / "straight", killed))
    assert one["step"] == two["step"] == steps
    for kind in ("network", "average"):
        assert all(torch.equal(v, two[kind][name]) for name, v in one[kind].items())
    lines = [json.loads(line)["step"] for line in (killed / "log.jsonl").read_text().splitlines()]
    assert lines == [0, 20, 40]
