"""Settings of a run: dataclass defaults, over them a TOML file, over that the command's flags.

The settings a run ended up with are recorded beside what it made, so that runs which would not
give the same are never mixed in one folder.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from residualpose.errors import ResidualPoseError, UsageError
from residualpose.results import replacing

T = TypeVar("T")

SECTIONS = ("synth", "maps", "prior", "refiner", "benchmark")
"""Tables that a settings file may have, one for each command that reads it."""


def read_section(path: Path | None, section: str) -> dict[str, object]:
    """One table of a TOML file; empty where there is no file or no such table.

    Raises:
        UsageError: the file cannot be read, is not TOML, or has a table that nothing reads.
    """
    if path is None:
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the settings ({error.strerror})") from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise UsageError(f"{path}: expected settings as TOML, found {error}") from None
    for name, table in tables.items():
        if name not in SECTIONS or not isinstance(table, dict):
            known = ", ".join(f"[{one}]" for one in SECTIONS)
            raise UsageError(f"{path}: unknown entry {name!r}; expected the tables {known}")
    return tables.get(section, {})


def build(kind: type[T], values: Mapping[str, object], where: str, **fixed: object) -> T:
    """A settings dataclass from plain values; what they leave out keeps its default.

    Args:
        kind: the dataclass; its fields may be numbers, text, paths, tuples and such dataclasses.
        values: from a file or flags.
        where: what they came from, for messages.
        **fixed: fields that `values` may not set.

    Raises:
        UsageError: an unknown name, or a value of the wrong type.
    """
    if not is_dataclass(kind):
        raise TypeError(f"expected a dataclass, got {kind!r}")
    hints = get_type_hints(kind)
    allowed = [f.name for f in fields(kind) if f.name not in fixed]
    for name in values:
        if name not in allowed:
            close = difflib.get_close_matches(name, allowed, n=1)
            hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(allowed)}"
            raise UsageError(f"{where}: unknown setting {name!r}: {hint}")
    given = {name: _value(hints[name], value, f"{where}: {name}") for name, value in values.items()}
    return kind(**fixed, **given)


def _value(hint: Any, value: Any, where: str) -> object:
    """A plain value as the type that a field asks for."""
    if NoneType in get_args(hint):  # X | None
        return None if value is None else _value(get_args(hint)[0], value, where)
    if is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        return build(hint, value, where)
    if get_origin(hint) is tuple and isinstance(value, list | tuple):
        item = get_args(hint)[0]
        return tuple(_value(item, one, where) for one in value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and number:
        return float(value)
    if hint is int and number and float(value).is_integer():
        return int(value)
    if hint in (str, Path) and isinstance(value, str | Path):
        return hint(value)
    if hint is bool and isinstance(value, bool):
        return value
    name = getattr(hint, "__name__", str(hint)) if get_origin(hint) is None else "a list"
    raise UsageError(f"{where}: expected {name}, got {value!r}")


def with_flags(values: Mapping[str, object], flags: Mapping[str, object]) -> dict[str, object]:
    """File values with those flags over them that were given (are not None)."""
    return {**values, **{name: value for name, value in flags.items() if value is not None}}


def plain(settings: object) -> dict[str, object]:
    """A settings dataclass as JSON-ready values."""

    def flat(value: object) -> object:
        if is_dataclass(value):
            return {f.name: flat(getattr(value, f.name)) for f in fields(value)}
        if isinstance(value, tuple | list):
            return [flat(one) for one in value]
        return str(value) if isinstance(value, Path) else value

    return {f.name: flat(getattr(settings, f.name)) for f in fields(settings)}  # type: ignore[arg-type]


def record(path: Path, settings: Mapping[str, object], free: Collection[str] = ()) -> None:
    """Write settings as JSON; an earlier record must say the same, but for the names in `free`.

    Raises:
        UsageError: the folder holds the work of other settings.
        ResidualPoseError: the record cannot be read or written.
    """
    if path.exists():
        earlier = read_record(path)
        for name in sorted({*earlier, *settings} - set(free)):
            old, new = earlier.get(name, MISSING), settings.get(name, MISSING)
            if old != new:
                raise UsageError(
                    f"{path.parent}: holds the work of other settings "
                    f"({_difference(name, old, new)}); choose another folder, or ask for the same"
                )
    with replacing(path) as stream:
        stream.write((json.dumps(settings, indent=2) + "\n").encode())


def read_record(path: Path) -> dict[str, object]:
    """Settings that `record` wrote; raises ResidualPoseError if they cannot be read."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResidualPoseError(f"{path}: expected the settings of a run, found {error}") from None
    if not isinstance(settings, dict):
        raise ResidualPoseError(f"{path}: expected the settings of a run, found {settings!r:.60}")
    return settings


def _difference(name: str, old: object, new: object) -> str:
    """Where two values part, down to the innermost name."""
    if isinstance(old, dict) and isinstance(new, dict):
        inner = next(key for key in sorted({*old, *new}) if old.get(key) != new.get(key))
        return _difference(f"{name}.{inner}", old.get(inner, MISSING), new.get(inner, MISSING))
    was, now = ("absent" if value is MISSING else repr(value) for value in (old, new))
    return f"{name} was {was}, now {now}"
