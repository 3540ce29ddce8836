"""Watch people while they are found: a page in the browser of this very computer, by viser.

A page is fed with frames and their people, from a recording, a camera or a program of your own.
"""

from residualpose.live.page import LivePage
from residualpose.live.playback import Playback

__all__ = ["LivePage", "Playback"]
