"""How fast `residualpose live` is with its page open in a browser, and whether its memory grows.

Starts the command on a looped recording, opens the page in a headless Chromium (where there is one
and playwright is installed) and prints a line of numbers each minute and one for the whole time.
The recording is looped, so each frame is worked on anew.

Example:
  OMP_NUM_THREADS=2 python scripts/measure_live.py walk.npz --model small --seconds 900
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import tyro

WARM_UP_S = 20.0
_COUNTER = """
Object.assign(window, { drawn: 0, shown: 0, cleared: false, place: "" });
for (const kind of [WebGLRenderingContext, WebGL2RenderingContext]) {
  const clear = kind.prototype.clear;
  kind.prototype.clear = function (...a) { window.cleared = true; return clear.apply(this, a); };
}
const count = () => {
  if (window.cleared) window.drawn++;
  window.cleared = false;
  const place = [...document.querySelectorAll("input")].find((i) => /^\\d+$/.test(i.value))?.value;
  if (place !== window.place) window.shown++;
  window.place = place;
  requestAnimationFrame(count);
};
requestAnimationFrame(count);
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure."""

    source: tyro.conf.Positional[str]
    """A recording."""
    seconds: float = 240.0
    """How long, after a warm-up of 20 s."""
    model: str = "base"
    """Name or folder of the model."""
    browser: bool = True
    """Open the page."""
    port: int = 8787
    """Where the page is served."""


class Visitor:
    """A page that is looked at: what arrives, and how often it is drawn."""

    def __init__(self, url: str) -> None:
        from playwright.sync_api import sync_playwright

        self._api = sync_playwright().start()
        mesa = {"EGL_PLATFORM": "surfaceless", "LIBGL_ALWAYS_SOFTWARE": "1"}
        self._browser = self._api.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--use-gl=angle", "--use-angle=gl-egl", "--ignore-gpu-blocklist"],
            env={**os.environ, **mesa},
        )
        self._page = self._browser.new_page(viewport={"width": 1280, "height": 720})
        self._page.add_init_script(_COUNTER)
        self._page.set_default_timeout(120_000)
        self._page.goto(url)

    def numbers(self) -> np.ndarray:
        """Pictures drawn so far, and frame numbers that stood beside them."""
        return np.array(self._page.evaluate("[window.drawn, window.shown]"))

    def wait(self, seconds: float) -> None:
        """Let the page live."""
        self._page.wait_for_timeout(1000 * seconds)

    def close(self) -> None:
        """Leave."""
        self._browser.close()
        self._api.stop()


@contextmanager
def serving(options: Options) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command on a looped recording, and the address of its page."""
    command = [sys.executable, "-m", "residualpose.cli.main", "live", options.source, "--loop",
               "--model", options.model, "--port", str(options.port), "--speed", "100"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().split()[0]
        finally:
            process.send_signal(signal.SIGINT)
            sys.stdout.write(process.stdout.read())


def resident_mb(process: int) -> float:
    """Memory that a process holds."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(options: Options) -> None:
    """Measure and print."""
    # A shell that starts this in the background has it ignore Ctrl-C, and so would the command.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with serving(options) as (process, url):
        visitor = Visitor(url) if options.browser else None
        wait = sleep if visitor is None else visitor.wait
        wait(WARM_UP_S)
        records = []
        start = monotonic()
        while not records or records[-1][0] < options.seconds:
            wait(5.0)
            counts = np.zeros(2) if visitor is None else visitor.numbers()
            records.append((monotonic() - start, resident_mb(process.pid), *counts))
            if len(records) % 12 == 0:
                sys.stdout.write(_line(np.array(records[-12:])))
                sys.stdout.flush()
        if visitor is not None:
            visitor.close()
        sys.stdout.write("in all: " + _line(np.array(records)))


def _line(records: np.ndarray) -> str:
    """What (N, 4) records of time, memory, pictures and frame numbers say."""
    seconds, held_mb = records[:, 0], records[:, 1]
    drawn, shown = (records[-1, 2:] - records[0, 2:]) / max(seconds[-1] - seconds[0], 1e-9)
    growth = np.polyfit(seconds / 60, held_mb, 1)[0] if len(records) > 1 else 0.0
    return (
        f"to {seconds[-1]:.0f} s, page drawn {drawn:.1f} times a second with {shown:.1f} new "
        f"frames, memory {held_mb[0]:.0f} MB at first, {held_mb[-1]:.0f} MB at last, "
        f"{growth:+.2f} MB a minute\n"
    )


if __name__ == "__main__":
    main(tyro.cli(Options))
