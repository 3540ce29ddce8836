"""Settings: defaults, file, flags; unknown names and wrong types; records that refuse to mix."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from residualpose.errors import ResidualPoseError, UsageError
from residualpose.settings import build, plain, read_section, record, with_flags


@dataclass(frozen=True, slots=True)
class Inner:
    width: int = 3
    shares: tuple[float, ...] = (0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Outer:
    out: Path
    rate: float = 0.1
    steps: int = 10
    files: tuple[Path, ...] = ()
    name: str = "a"
    inner: Inner = field(default_factory=Inner)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_flags_go_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    text = '[maps]\nrate = 1\nsteps = 20\nfiles = ["x.zip"]\n[maps.inner]\nwidth = 7\n'
    values = read_section(write(tmp_path / "a.toml", text), "maps")
    values = with_flags(values, {"steps": 30, "name": None})
    built = build(Outer, values, "a.toml", out=tmp_path)
    assert built == Outer(tmp_path, 1.0, 30, (Path("x.zip"),), "a", Inner(7))
    assert isinstance(built.rate, float)


def test_no_file_and_an_absent_table_mean_the_defaults(tmp_path: Path) -> None:
    path = write(tmp_path / "a.toml", "[synth]\nseed = 1\n")
    assert read_section(None, "maps") == read_section(path, "maps") == {}
    assert build(Outer, {}, "", out=tmp_path) == Outer(tmp_path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"stepps": 1}, "did you mean steps"),
        ({"zzz": 1}, "one of rate, steps"),
        ({"out": "elsewhere"}, "unknown setting 'out'"),
        ({"inner": {"wide": 1}}, "inner: unknown setting 'wide'"),
        ({"steps": 1.5}, "steps: expected int, got 1.5"),
        ({"steps": float("inf")}, "steps: expected int"),
        ({"steps": True}, "steps: expected int, got True"),
        ({"rate": "fast"}, "rate: expected float"),
        ({"files": "x.zip"}, "files: expected a list"),
        ({"inner": {"shares": ["a"]}}, "shares: expected float"),
        ({"inner": 3}, "inner: expected Inner"),
    ],
)
def test_wrong_settings_are_named(values: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^here: ") as caught:
        build(Outer, values, "here", out=tmp_path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[map]\n", "unknown entry 'map'"),
        ("steps = 3\n", "unknown entry 'steps'"),
        ("[maps\n", "expected settings as TOML"),
    ],
)
def test_wrong_files_are_named(text: str, words: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.toml", text)
    with pytest.raises(UsageError, match=r"a\.toml") as caught:
        read_section(path, "maps")
    assert words in str(caught.value)
    with pytest.raises(UsageError, match="absent"):
        read_section(tmp_path / "absent.toml", "maps")


def test_a_record_takes_the_same_settings_and_the_free_ones(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    record(path, plain(Outer(tmp_path)), free=("steps",))
    record(path, plain(Outer(tmp_path, steps=99)), free=("steps",))
    stored = json.loads(path.read_text())
    assert stored["steps"] == 99
    assert stored["inner"] == {"width": 3, "shares": [0.5, 0.5]}


def test_a_record_refuses_other_settings_and_says_which(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    record(path, plain(Outer(tmp_path)))
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"inner\.width was 3, now 4"):
        record(path, plain(Outer(tmp_path, inner=Inner(4))))
    with pytest.raises(UsageError, match=r"more was absent, now 1"):
        record(path, plain(Outer(tmp_path)) | {"more": 1})
    assert path.read_bytes() == before
    path.write_text("[1]")
    with pytest.raises(ResidualPoseError, match="settings of a run"):
        record(path, {})
