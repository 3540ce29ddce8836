"""The `residualpose` command: finds the subcommand, parses its options, reports in one line."""

from __future__ import annotations

import difflib
import io
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from importlib import import_module
from types import ModuleType

from residualpose import __version__
from residualpose.cli.reporting import EXIT_DATA, EXIT_INTERRUPTED, EXIT_USAGE, complain
from residualpose.errors import ResidualPoseError, UsageError

COMMANDS: dict[str, str] = {
    "predict": "find the people in depth images: numbers, pictures, an interactive page",
    "live": "watch people in 3D while they are found, on a page in the browser",
    "record": "copy any source to a folder of 16-bit PNG with its camera and times",
    "models": "list the bundled models",
    "eval": "score a model on labelled frames",
    "data check": "look at recorded data sets: what is there, and what is wrong with it",
    "bench": "time each stage on this machine",
    "bench synth": "time rendering beside the training that it feeds",
    "bench tracking": "how well people are followed on rendered recordings",
    "synth": "render people in rooms to train on",
    "train": "train the 2D network, or fine-tune a model to a camera",
    "fit": "fit the limb prior or the refiner to data",
    "export": "put trained parts together to a model",
}
"""Subcommand -> what it does, for the overview. NAME lives in `residualpose.cli.NAME` (with _ for a
space), imported when it is called: its docstring is the help, its dataclass `Options` the arguments
(tyro), its `run(options) -> int` the work and the exit status."""

_OVERVIEW = """\
usage: residualpose COMMAND [OPTIONS]

People in 3D from single depth images, on a CPU.

{commands}

Start here:
  residualpose predict frame.png --camera kinect2 --output results
  residualpose COMMAND --help         explains a command, with examples
  residualpose --version
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (0 done, 1 bad data, 2 bad request)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_overview())
        return 0 if arguments else EXIT_USAGE
    if arguments[0] == "--version":
        sys.stdout.write(f"residualpose {__version__}\n")
        return 0
    words = 2 if " ".join(arguments[:2]) in COMMANDS else 1
    name, rest = " ".join(arguments[:words]), arguments[words:]
    try:
        return _run(name, rest)
    except UsageError as error:
        return _report(name, error, EXIT_USAGE)
    except ResidualPoseError as error:
        return _report(name, error, EXIT_DATA)
    except OSError as error:  # a full disk, a vanished folder: not ours to explain further
        return _report(name, f"{error.filename or 'system'}: {error.strerror}", EXIT_DATA)
    except KeyboardInterrupt:
        return _report(name, "interrupted", EXIT_INTERRUPTED)


def _report(name: str, message: object, status: int) -> int:
    complain(name, message)
    return status


def _run(name: str, arguments: list[str]) -> int:
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(COMMANDS)}"
        raise UsageError(f"unknown command: {hint} (see residualpose --help)")
    module = import_module(f"residualpose.cli.{name.replace(' ', '_')}")
    options = _parse(name, module, arguments)
    return 0 if options is None else module.run(options)


def _parse(name: str, module: ModuleType, arguments: list[str]) -> object | None:
    """The command's `Options`; None after --help, which tyro has printed."""
    import tyro

    messages = io.StringIO()
    try:
        with redirect_stderr(messages):
            return tyro.cli(
                module.Options,
                prog=f"residualpose {name}",
                description=module.__doc__,
                args=arguments,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if not stop.code:
            return None
        problem = _one_line(messages.getvalue())
        problem += _again(problem, arguments)
        raise UsageError(f"{problem} (see residualpose {name} --help)") from None


def _again(problem: str, arguments: list[str]) -> str:
    """How to give an option several values, where a second one behind the first is the problem."""
    _, _, strange = problem.partition("Unrecognized options: ")
    if strange.startswith("-") or strange not in arguments:
        return ""
    before = arguments[: arguments.index(strange)]
    if len(before) < 2 or not before[-2].startswith("-") or before[-1].startswith("-"):
        return ""
    option = before[-2]
    return (
        f"; {option} takes one value at a time; if it may be given again, write {option} {strange}"
    )


def _one_line(box: str) -> str:
    """Tyro's framed message without frame, heading and the closing pointer to --help."""
    body = box.partition("\n")[2].partition("──────")[0]
    return " ".join(re.sub("[╭╮╰╯│─]", " ", body).split())


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = (f"  {name:<{width}}  {purpose}" for name, purpose in COMMANDS.items())
    return _OVERVIEW.format(commands="\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
