"""Runs that are killed or find no room: nothing is lost, made twice or left half."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the synthetic extra")
pytest.importorskip("anny", reason="needs the synthetic extra")

from residualpose.synthetic.bodies import BodyBank

SHARDS = 6
SETTINGS = """
[synth]
shards = 6
frames = 8
bodies = 3
[synth.scene]
width = 48
height = 32
focal_px = 40
centre_jitter_px = 4
people = [0.2, 0.8]
"""
# Twenty thousand poses take each worker seconds; the command is the same otherwise.
COMMAND = """
import resource, sys
from residualpose.synthetic.poses import PoseLibrary
library = PoseLibrary.procedural(0, 300)
PoseLibrary.procedural = classmethod(lambda cls: library)
from residualpose.cli.main import main
if __name__ == "__main__":
    limit = int(sys.argv.pop(1))
    if limit:
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.exit(main())
"""
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="needs Linux's /proc to see who is alive"
)


@pytest.fixture
def start(tmp_path: Path, tiny_bank: BodyBank) -> Callable[..., subprocess.Popen[str]]:
    """Starts `residualpose synth` on a folder in which the bodies are there already."""
    (tmp_path / "small.toml").write_text(SETTINGS)
    script = tmp_path / "command.py"
    script.write_text(COMMAND)

    def run(name: str, *more: object, workers: int = 2, limit: int = 0) -> subprocess.Popen[str]:
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
            tiny_bank.save(folder / "bodies_3_0.npz")
        arguments = ["synth", "--out", folder, "--config", tmp_path / "small.toml"]
        arguments += ["--workers", workers, *more]
        return subprocess.Popen(
            [sys.executable, str(script), str(limit), *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return run


def children(pid: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [one for child in map(int, listed) for one in (child, *children(child))]


def rendering(pid: int) -> list[int]:
    """The children that render (not multiprocessing's bookkeeper)."""

    def words(child: int) -> bytes:
        try:
            return Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            return b""

    return [child for child in children(pid) if b"spawn_main" in words(child)]


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("shard_*.npz"))}


def wait_for(condition: Callable[[], object], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def kill_when_it_has_made_one(
    run: subprocess.Popen[str], folder: Path, victim: str, chance: random.Random
) -> None:
    """SIGKILL to the command or to one of its workers; nobody may stay behind."""
    before = set(shards(folder))
    assert wait_for(lambda: set(shards(folder)) - before or run.poll() is not None)
    time.sleep(chance.uniform(0, 0.3))
    workers = rendering(run.pid)
    killed = run.pid if victim == "parent" or not workers else chance.choice(workers)
    os.kill(killed, signal.SIGKILL)
    error = run.communicate()[1]
    assert wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert "Traceback" not in error
    if run.returncode == 1:
        assert "a worker was killed" in error and error.count("\n") == 1


def test_killed_runs_resume_to_the_same_bytes(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    whole = start("whole", workers=1)
    assert whole.communicate()[0].startswith(f"{SHARDS} shards") and whole.returncode == 0
    expected = shards(tmp_path / "whole")
    assert len(expected) == SHARDS
    chance, folder = random.Random(4), tmp_path / "killed"
    for victim in ("parent", "worker"):
        run = start("killed")
        kill_when_it_has_made_one(run, folder, victim, chance)
        for name, content in shards(folder).items():
            assert content == expected[name], victim  # whole ones only
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("shard_*.npz")}
    last = start("killed")
    assert last.wait() == 0
    assert shards(folder) == expected
    assert all(path.stat().st_mtime_ns == made for path, made in kept.items())
    assert sorted(one.name for one in folder.iterdir()) == [
        "bodies_3_0.npz", "config.json", *expected,
    ]  # fmt: skip


@pytest.mark.parametrize("limit", [100, 3000])
def test_a_full_disk_is_one_line_and_leaves_nothing_half(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path, limit: int
) -> None:
    run = start("full", limit=limit)
    error = run.communicate()[1]
    assert run.returncode == 1
    assert error.count("\n") == 1 and "cannot be written (File too large)" in error
    assert not shards(tmp_path / "full")
    assert not list((tmp_path / "full").glob(".*"))


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """Sources that cannot be used."""
    bvh, archive, cut = tmp_path / "walk.bvh", tmp_path / "not.zip", tmp_path / "cut.zip"
    bvh.write_text("HIERARCHY\nROOT Hips\n{\n OFFSET 0 0\nMOTION\nFrames: many\n")
    archive.write_bytes(b"nothing of the kind")
    with zipfile.ZipFile(cut, "w") as made:
        made.writestr("walk.bvh", "HIERARCHY" * 1000)
    cut.write_bytes(cut.read_bytes()[:200])
    yield {"bvh": bvh, "not.zip": archive, "cut.zip": cut, "absent": tmp_path / "absent.zip"}


@pytest.mark.parametrize("flag", ["--mocap", "--wardrobe"])
@pytest.mark.parametrize("kind", ["bvh", "not.zip", "cut.zip", "absent"])
def test_sources_that_cannot_be_used_are_named_in_one_line(
    damaged: dict[str, Path], flag: str, kind: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from residualpose.cli.main import main

    out = tmp_path / "data"
    status = main(["synth", "--out", str(out), "--bodies", "2", flag, str(damaged[kind])])
    error = capsys.readouterr().err
    assert status in (1, 2) and error.count("\n") == 1
    assert damaged[kind].name in error
    assert not shards(out)
