"""A viser server that only this computer's own browser can talk to."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

from residualpose.errors import MissingExtraError

if TYPE_CHECKING:
    import viser

HOST = "127.0.0.1"
_OWN_PAGES = re.compile(r"http://(127\.0\.0\.1|localhost)(:\d+)?")


def open_server(port: int, label: str) -> viser.ViserServer:
    """Serve on the loopback interface; where the port is taken, on the next that is free.

    Raises:
        MissingExtraError: viser is not installed.
    """
    try:
        import viser
    except ImportError:
        raise MissingExtraError("viser", "live") from None

    class LoopbackServer(viser.ViserServer):
        """Without the tunnel to the outside that any page may ask a viser server for."""

        def request_share_url(self, verbose: bool = True) -> str | None:
            """Refused."""
            return None

    # A stranger at the port is no news; whoever sets up logging still gets to know.
    logging.getLogger("websockets").addHandler(logging.NullHandler())
    # viser has no option for either, and prints a frame of its own around the address.
    with _own_pages_only(), redirect_stdout(io.StringIO()):
        server = LoopbackServer(host=HOST, port=port, label=label, verbose=False)
    server.gui.configure_theme(show_logo=False, show_share_button=False, brand_color=(36, 89, 200))
    server.gui.main_panel.dock_right()
    return server


@contextmanager
def _own_pages_only() -> Iterator[None]:
    """Servers begun meanwhile refuse other web sites that are open in the same browser."""
    from websockets.asyncio import server

    serve = server.serve

    class OwnPagesOnly(serve):
        """Asks browsers which page wants to connect."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options, origins=[_OWN_PAGES, None])

    server.serve = OwnPagesOnly
    try:
        yield
    finally:
        server.serve = serve
