"""The strip that explains the joint marks and the light and deep sides."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from residualpose.drawing.figure import Pen, draw_joint, shrink
from residualpose.drawing.palette import INK, PAPER, left_rgb, person_rgb, right_rgb
from residualpose.poses import Origin

ORIGIN_WORDS = {
    Origin.MEASURED: "measured",
    Origin.NEIGHBOUR: "depth from nearby",
    Origin.PRIOR: "guessed",
}
FINE = 3


def draw_legend(width: int) -> np.ndarray:
    """(h, width, 3) uint8 strip, about two lines of text high."""
    text_px = min(14.0, width / 36)
    size, height = text_px * FINE, round(2.2 * text_px)
    strip = Image.new("RGBA", (width * FINE, height * FINE))
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(size)
    pen = Pen(0.3 * size, 0.34 * size, 0.06 * size)
    x, y = 1.0 * size, 0.5 * height * FINE
    for origin, word in ORIGIN_WORDS.items():
        draw_joint(draw, np.array([x, y]), origin, person_rgb(0), pen)
        draw.text((x + 0.85 * size, y), word, fill=INK, font=font, anchor="lm")
        x += draw.textlength(word, font) + 2.4 * size
    for word, colour in (("right", right_rgb(0)), ("left", left_rgb(0))):
        for grow, ink in ((pen.outline_px, INK), (0.0, colour)):
            box = (x - 0.4 * size - grow, y - 0.15 * size - grow)
            draw.rectangle((*box, x + 0.7 * size + grow, y + 0.15 * size + grow), fill=ink)
        draw.text((x + 1.1 * size, y), word, fill=INK, font=font, anchor="lm")
        x += draw.textlength(word, font) + 2.5 * size
    paper = Image.new("RGBA", (width, height), (*PAPER, 255))
    paper.alpha_composite(shrink(strip, FINE))
    return np.asarray(paper.convert("RGB"))
