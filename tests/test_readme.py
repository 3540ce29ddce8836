"""The README keeps its word: its python and console blocks run, in order, in one folder.

A block is left out only by a comment on the line above its fence that gives a reason:
<!-- not run: needs a camera -->
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

_FENCE = re.compile(
    r"(?:<!-- *not run: *(?P<reason>.*?) *-->\n)?^```(?P<kind>python|console)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    kind: str
    text: str
    reason: str | None
    line: int


def blocks(text: str) -> list[Block]:
    return [
        Block(m["kind"], m["text"], m["reason"], text.count("\n", 0, m.start("text")))
        for m in _FENCE.finditer(text)
    ]


def commands(text: str) -> str:
    """The lines after "$ ", with their continuations; the rest is output for the reader."""
    found, going_on = [], False
    for line in text.splitlines():
        if line.startswith("$ ") or going_on:
            found.append(line.removeprefix("$ "))
            going_on = line.endswith("\\")
    return "\n".join(found)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the project's root without being it."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("src", "config", "docs", "main.py"):
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    return folder


README = blocks((ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("block", README, ids=lambda block: f"line{block.line}-{block.kind}")
def test_block_runs(block: Block, workplace: Path) -> None:
    if block.reason is not None:
        assert block.reason, "a block that is not run needs a reason"
        pytest.skip(block.reason)
    if block.kind == "python":
        arguments = [sys.executable, "-c", block.text]
    else:
        arguments = ["bash", "-euo", "pipefail", "-c", commands(block.text)]
    scripts = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        arguments, cwd=workplace, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"README.md line {block.line}:\n{done.stdout}\n{done.stderr}"


def test_blocks_and_commands_are_found() -> None:
    text = (
        "<!-- not run: needs a camera -->\n```python\nx = 1\n```\n\n"
        "```console\n$ echo a \\\n    b\na b\n$ echo c\nc\n```\n\n```python\ny = 2\n```\n"
    )
    first, second, third = blocks(text)
    assert (first.reason, first.text) == ("needs a camera", "x = 1\n")
    assert commands(second.text) == "echo a \\\n    b\necho c"
    assert (third.reason, third.text, third.line) == (None, "y = 2\n", 14)
